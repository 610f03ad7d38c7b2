# Job control without a terminal: every job a process group of its own.
# stderr: any
set -m
pgid() { ps -o pgid= -p "$1" | tr -d ' '; }
sleep 50 &
a=$!
sleep 50 | cat &
jobs | sed 's/ *$//'
[ "$(pgid $a)" = "$a" ] && echo "own group"
[ "$(pgid $$)" != "$(pgid $a)" ] && echo "not ours"
kill -STOP %1
until ps -o stat= -p $a | grep -q T; do sleep 0.02; done
until jobs %1 | grep -o 'Stopped.*'; do sleep 0.02; done
bg %1 >/dev/null
until ps -o stat= -p $a | grep -q S; do sleep 0.02; done
jobs -r | wc -l
kill %1 %2
wait
jobs | wc -l
rests() { until [ "$(cut -d" " -f3 /proc/$$/stat)" = S ]; do sleep 0.02; done; }    # until the shell waits
rests & fg >/dev/null; echo "fg $?"
(rests; exit 3) & wait %1; echo "status $?"
sh -c 'kill -STOP $$; echo resumed' &
p=$!
until ps -o stat= -p $p | grep -q T; do sleep 0.02; done
kill -CONT $p; until wait $p; do :; done; echo "status $?"
sleep 60 & disown; kill $!; jobs | wc -l
set +m
setsid sh -c 'ps -o pid=,pgid=,sid= -p $$ | { read -r a b c; [ $a = $b ] && [ $b = $c ] && echo leader; }'
nohup sh -c 'kill -HUP $$; echo immune' 2>/dev/null
timeout 0.1 sleep 10; echo "timeout $?"
timeout -s KILL 0.1 sleep 10; echo "timeout $?"
timeout 50 sh -c 'exit 6'; echo "timeout $?"
nice -n 5 nice; env -i A=1 env
