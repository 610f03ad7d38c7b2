# sqlite3's shell: transactions, rollback journals and WAL, several processes on one file, dump, backup, integrity.
sqlite3 -version | cut -d. -f1
sqlite3 a.db <<'END'
create table t(id integer primary key, name text, v real);
with recursive n(i) as (select 1 union all select i + 1 from n where i < 20000) insert into t select i, 'name' || i, i * 0.5 from n;
create index byname on t(name);
select count(*), sum(v), max(name) from t;
begin; delete from t where id > 100; select count(*) from t; rollback; select count(*) from t;
savepoint s; update t set v = 0; release s; select sum(v) from t;
explain query plan select * from t where name = 'name7';
pragma integrity_check;
END
md5sum <(sqlite3 a.db .dump); for mode in delete truncate persist memory wal; do sqlite3 a.db "pragma journal_mode=$mode; update t set v = v + id where id % 7 = 0; select sum(v) from t;"; ls a.db*; done
for i in 1 2 3 4; do (for j in $(seq 10); do sqlite3 -cmd '.timeout 20000' a.db "begin immediate; update t set v = v + 1 where id = $i; insert into t(name) values('p$i'); commit;"; done) & done; wait
sqlite3 a.db "select count(*) from t where name like 'p_'; select sum(v) from t where id <= 4; pragma wal_checkpoint(truncate);"
sqlite3 a.db '.backup b.db' ; cmp <(sqlite3 a.db .dump) <(sqlite3 b.db .dump) && echo "backup same"; sqlite3 a.db .dump | sqlite3 c.db; sqlite3 c.db 'select count(*) from t'; sqlite3 a.db 'vacuum; pragma page_count' >/dev/null; echo "vacuum $?"
echo 'touch held; until [ -e tried ]; do sleep 0.02; done' >hold
sqlite3 a.db <<<"begin exclusive;
.shell sh hold
commit;" & until [ -e held ]; do sleep 0.02; done; sqlite3 a.db 'begin immediate; select 1;' 2>&1; touch tried; wait; sqlite3 a.db 'pragma mmap_size=100000000; select count(distinct name) from t;'
sqlite3 -csv -header a.db 'select id, name from t limit 3'; sqlite3 -json a.db 'select id from t limit 2'; sqlite3 :memory: 'select json_extract(json_object("a", 5), "$.a"), printf("%.3f", sqrt(2)), date(0, "unixepoch")'; sqlite3 a.db 'create virtual table f using fts5(x); insert into f values("the quick fox"), ("lazy dog"); select * from f where f match "quick"'; echo garbage >g.db; sqlite3 g.db 'select * from x' 2>&1; sqlite3 /no/such/x.db 'select 1 from t' 2>&1; echo $?
sqlite3 a.db "pragma journal_mode=wal; insert into t(name) values('lost');" & wait; sqlite3 a.db 'pragma journal_mode=delete; select count(*) from t where name = "lost"'; python3 - <<'END'
import os, signal, sqlite3
pid = os.fork()
if not pid:
    db = sqlite3.connect('a.db', isolation_level=None); db.execute('pragma journal_mode=delete'); db.execute('pragma cache_size=5'); db.execute('begin'); db.execute('update t set name = "torn"'); os.kill(os.getpid(), signal.SIGKILL)
os.waitpid(pid, 0); print(os.path.exists('a.db-journal')); db = sqlite3.connect('a.db'); print(db.execute('select count(*) from t where name = "torn"').fetchone(), db.execute('pragma integrity_check').fetchone(), os.path.exists('a.db-journal'))
END
