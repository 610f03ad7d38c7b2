# Bash itself: pipelines, here-documents, traps, process substitution, coprocesses, arithmetic, arrays.
# status: 11
echo "pipelines"
printf 'b\na\nc\n' | sort | tr a-z A-Z | while read -r x; do echo "<$x>"; done
false | true; echo "status ${PIPESTATUS[*]}"
set -o pipefail; false | true; echo "pipefail $?"; set +o pipefail
(exit 7); echo "subshell $?"
! true; echo "not $?"

echo "here-documents"
name=world
cat <<END
hello $name $((6 * 7)) $(echo nested)
END
cat <<'END'
literal $name
END
cat <<< "here-string $name"
big=$(printf 'x%.0s' $(seq 100000))
cat <<END | wc -c
$big
END

echo "redirections"
echo one >f; echo two >>f; cat f; cat <f | wc -l
exec 5>g; echo to5 >&5; exec 5>&-; cat g
{ echo out; echo err >&2; } 2>&1 | sort
exec 6<>f; read -r line <&6; echo "read $line"; echo three >&6; exec 6>&-; cat f
echo x >/no/such/dir/file; echo "failed $?"
cat <<<abc >/dev/null; : >empty; [ -s empty ] || echo "empty is empty"
set -C; echo y >f; echo "noclobber $?"; set +C

echo "process substitution"
diff <(printf '1\n2\n') <(printf '1\n3\n')
tee >(wc -c >count) </dev/null >/dev/null; wait; echo "tee done"
paste <(seq 3) <(seq 4 6)
while read -r a; do sum=$((sum + a)); done < <(seq 100); echo "sum $sum"

echo "coproc"
coproc CAT { while read -r l; do echo "got $l"; done; }
echo hi >&"${CAT[1]}"; read -r answer <&"${CAT[0]}"; echo "$answer"
pid=$CAT_PID; exec {CAT[1]}>&-; wait "$pid"; echo "coproc $?"

echo "traps"
(trap 'echo exit-trap' EXIT; exit 3); echo "status $?"
(trap 'echo usr1; exit 4' USR1; kill -USR1 $BASHPID; echo never); echo "status $?"
(trap '' TERM; kill -TERM $BASHPID; echo survived)
{ bash -c 'kill -TERM $$'; echo "killed $?"; bash -c 'kill -SEGV $$'; echo "killed $?"; } 2>/dev/null
trap 'echo err-trap $LINENO' ERR; false; trap - ERR
(trap 'echo chld' CHLD; /bin/true; /bin/true; :)
(trap 'echo interrupted' ALRM; me=$BASHPID; (until [ "$(cut -d" " -f3 /proc/$me/stat)" = S ]; do sleep 0.02; done; kill -ALRM $me; sleep 100) & wait $!; echo "wait $?"; kill $!)
trap 'echo got-int' INT; kill -INT $$; trap - INT

echo "background"
sleep 0.1 & wait $!; echo "waited $?"
(exit 9) & wait $!; echo "waited $?"
{ for i in 3 1 2; do (sleep "0.$i"; echo "job $i") & done; wait; } | sort
(sleep 100) & kill $!; wait $! 2>/dev/null; echo "killed $?"
{ sleep 0.05; exit 5; } & wait -n; echo "wait -n $?"

echo "shell"
a=(one "two three" four); echo "${#a[@]} ${a[1]} ${a[-1]}"; declare -A m=([x]=1 [y]=2); echo "${m[y]}"
s=abcdef; echo "${s:2:3} ${s/cd/XX} ${s^^} ${#s} ${s%ef} ${s#ab}"
echo $((2 ** 40 % 1000)) $((0xff & 017)) $((1 << 62))
printf '%5d|%-5s|%05.1f|%x|%q\n' 42 ab 3.14159 255 'a b'
echo {a..e}{1..2}; shopt -s extglob nullglob globstar; mkdir -p d/e; touch d/{1,2}.txt d/e/3.txt; echo d/**/*.txt
case abc in a*) echo glob;; esac; [[ abc123 =~ ([a-z]+)([0-9]+) ]] && echo "${BASH_REMATCH[2]}"
f() { local x=$1; ((x <= 1)) && { echo 1; return; }; echo $((x * $(f $((x - 1))))); }; f 8
read -r -t 0.05 x < <(sleep 100); echo "read timeout $(($? > 128))"
printf '%s\n' "$BASH_SUBSHELL $(echo $BASH_SUBSHELL) $SHLVL" $$
{ time -p true; } 2>/dev/null; umask; umask 077; touch priv; stat -c %a priv; umask 022
ulimit -n; ulimit -Sn 512; ulimit -n; ulimit -Hn
cd /usr/bin && pwd && cd - && cd .. && pwd
type -t cd ls f; command -v bash; hash -r; enable -n echo; echo external; enable echo
exec 3< <(echo fd3); cat <&3; ls -l /proc/self/fd/0 | grep -c -- '->'
exec bash -c 'echo "exec $0 $1"; exit 11' zero one
