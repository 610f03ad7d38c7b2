# sqlite3: 100,000 inserts in one transaction
prepare() {
	{
		echo 'create table t (id integer primary key, name text, n integer); begin;'
		for ((i = 0; i < 100000; i++)); do echo "insert into t (name, n) values ('name $i', $((i * 7919 % 100003)));"; done
		echo 'commit;'
	} >in.sql
}
work() { sqlite3 db <in.sql; }
