# redis-server on a Unix socket: commands, persistence by fork (RDB) and AOF, restart, scripts, pub/sub, pipelining.
# stderr: any
# limit: 120
mkdir data; cat >conf <<'END'
port 0
unixsocket /tmp/redis.sock
dir /tmp/data
save ""
daemonize no
logfile /tmp/redis.log
enable-debug-command yes
END
r() { redis-cli -s /tmp/redis.sock "$@"; }
start() { redis-server conf "$@" & pid=$!; for i in $(seq 1000); do [ "$(r ping 2>/dev/null)" = PONG ] && return; sleep 0.05; done; echo "never up"; cat redis.log; }
start; r set k v; r get k; r incrby n 41; r incr n; r rpush l a b c; r lrange l 0 -1; r hset h f1 1 f2 2; r hgetall h; r zadd z 1 one 2 two; r zrange z 0 -1 withscores; r sadd s x y; r scard s; r append k more; r strlen k; r type z; r exists nothing; r expire k 100; [ "$(r ttl k)" -gt 50 ] && echo "ttl"; r setbit b 7 1; r bitcount b; r pfadd p a b c; r pfcount p; r xadd st 1-1 f v; r xlen st
r eval 'return redis.call("get", KEYS[1]) .. ARGV[1]' 1 k '!'; printf 'multi\nincr n\nget n\nexec\n' | r; seq 20000 | sed 's/.*/set key& value&/' | r --pipe | tail -1; r dbsize; r debug sleep 0; r psetex short 30 x; sleep 0.1; r get short
r blpop q 60 >bl & until r info clients | grep -q blocked_clients:1; do sleep 0.02; done; r rpush q item; wait $!; cat bl; (r subscribe ch >sub &); until r pubsub numsub ch | grep -qx 1; do sleep 0.02; done; r publish ch hello; until grep -q hello sub; do sleep 0.02; done; tail -1 sub; r client list | grep -c name=; r client kill type pubsub
r save; ls data; r bgsave; for i in $(seq 1000); do [ "$(r info persistence | tr -d '\r' | grep -c rdb_bgsave_in_progress:0)" = 1 ] && break; sleep 0.05; done; r info persistence | tr -d '\r' | grep -E 'rdb_last_bgsave_status|loading:'; d=$(r debug digest); r shutdown nosave; wait $pid; echo "server $?"
start; [ "$(r debug digest)" = "$d" ] && echo "same after restart"; r dbsize; r config set appendonly yes; for i in $(seq 1000); do [ "$(r info persistence | tr -d '\r' | grep -c aof_rewrite_in_progress:0)" = 1 ] && break; sleep 0.05; done; r set aof yes; r bgrewriteaof; until [ "$(r info persistence | grep -cE "aof_rewrite_(in_progress|scheduled):0")" = 2 ]; do sleep 0.05; done; d=$(r debug digest); kill -KILL $pid; wait $pid 2>/dev/null; echo "killed $?"
start --appendonly yes; r get aof; [ "$(r debug digest)" = "$d" ] && echo "same after kill"; r info server | tr -d '\r' | grep -E 'redis_mode|multiplexing_api|arch_bits'; timeout 100 redis-benchmark -s /tmp/redis.sock -n 2000 -c 10 -q -t set,get,lpush,ping >/dev/null; echo "benchmark $?"; r flushall; kill -TERM $pid; wait $pid; echo "term $?"; ls data redis.sock 2>&1; redis-check-rdb data/dump.rdb >/dev/null; echo "check $?"
start --maxmemory 2mb --maxmemory-policy allkeys-lru --io-threads 2; for i in $(seq 20); do seq $((i * 100)) $((i * 100 + 99)) | sed 's/.*/set big& xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx/' | r >/dev/null; done; [ "$(r dbsize)" -gt 10 ] && echo evicting; r object encoding big2000 | wc -l; r shutdown; wait $pid; echo "server $?"
