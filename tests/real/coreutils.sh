# The coreutils, widely: what they print about files, text and the process.
# limit: 120
mkdir w; cd w || exit 1
echo "files"
touch a b; mkdir -p d/e/f; echo hello >d/x; ln -s d/x link; ln d/x hard; mkfifo fifo
ls -1F; ls -R d; ls -l hard | cut -c1-12; stat -c '%n %F %a %h %U:%G' a d d/x link fifo hard
readlink link; readlink -f link; realpath d/../link; basename /a/b.c .c; dirname /a/b.c
cp -a d d2; cp -r --preserve=timestamps d/x x2; mv x2 x3; rm -r d2; cp -l d/x x4; stat -c %h x4; cp -s d/x x5 2>/dev/null; readlink x5
chmod 4755 a; chmod u=rwx,g=rx,o= b; stat -c '%a %A' a b; chown 12:34 a; stat -c '%u:%g %a' a; chgrp 5 b; stat -c %g b
touch -d '2001-02-03 04:05:06 UTC' t; stat -c '%Y %y' t | cut -c1-30; TZ=UTC date -r t +%F_%T; touch -r t u; [ t -nt u ] || echo same
truncate -s 10000000 sparse; stat -c '%s %b' sparse; cp --sparse=always sparse s2; du --apparent-size -b s2 | cut -f1
dd if=/dev/zero of=z bs=1k count=100 2>/dev/null; du -b z; dd if=z bs=1000 skip=2 count=3 2>&1 >/dev/null | head -2
dd if=/dev/urandom of=r bs=64k count=16 status=none; cmp r <(cat r) && echo "same"; head -c 10 r | wc -c; split -b 100k r part.; cat part.* | cmp - r && ls part.* | wc -l
install -m 640 -D d/x in/st/all; stat -c %a in/st/all; mktemp -d ./tmp.XXXXXX | wc -c; shred -u z; ls z 2>/dev/null || echo "z gone"
rmdir d 2>/dev/null || echo "not empty"; unlink x4; link d/x x6; stat -c %h x6; rm -f nothing; rm nothing 2>/dev/null || echo "rm fails"
chmod 000 a; [ -r a ] && echo "root reads"; test -p fifo && test -L link && test -d d && test ! -e no && echo "tests"
mknod null2 c 1 3 && echo data >null2 && wc -c <null2; sync; sync d/x; df --output=target . >/dev/null && echo df
(echo through-fifo >fifo &); cat fifo; tee t1 t2 <d/x; ls -i d/x x6 | awk '{print $1}' | uniq | wc -l
stat -f -c %T /proc; stat -c %t:%T /dev/null /dev/zero /dev/tty; stat -c '%F' /dev/null /proc/self /proc/self/exe
echo "text"
seq 1 20 | tac | head -3; seq -w 8 11; seq 0 0.5 2; seq 20 | paste -sd+ ; seq 20 | sort -rn | tail -2; printf 'b 2\na 1\nc 3\n' | sort -k2,2n; seq 10 | shuf --random-source=/dev/zero | sort -n | sum
printf 'a b\na c\nb d\n' >j1; printf 'a 1\nb 2\n' >j2; join j1 j2; comm -12 <(seq 5) <(seq 3 8); uniq -c <<<$'x\nx\ny'; cut -d: -f1,3 /etc/passwd | head -2
echo 'a,b,c' | tr , '\n' | nl; fold -w 5 <<<'abcdefghijkl'; fmt -w 20 <<<'the quick brown fox jumps over the lazy dog'; expand <<<$'a\tb' | od -c; pr -l 12 -h T --date-format=D d/x
od -An -tx1 <<<abc; base64 <<<hello; base64 -d <<<aGVsbG8K; base32 <<<hi; md5sum d/x; sha1sum d/x; sha256sum d/x; sha512sum d/x; b2sum d/x; cksum d/x; sum d/x
md5sum d/x >sums; md5sum -c sums; factor 1234567890 18446744073709551557; expr 7 \* 6; expr abc : 'a\(.*\)'; numfmt --to=iec 1234567; csplit -s -z d/x /nothing/ 2>/dev/null; echo "csplit $?"
wc d/x; wc -L /etc/passwd >/dev/null; tsort <<<$'a b\nb c'; ptx <<<'x y' | wc -l; dircolors -b | head -c 9; echo; pathchk -p 'a b' 2>/dev/null || echo bad; seq 3 | xargs -n1 echo n
seq 100000 | sort -R | sort -n | md5sum; seq 200000 | sort -S 1M --parallel=2 -r | md5sum; yes | head -n 100000 | md5sum; tail -n +3 <(seq 5); tail -c 5 <(seq 10); seq 5 >grow; (sleep 0.3; echo end >>grow) & timeout 30 tail -f -s 0.05 grow | sed '/end/q'
echo "process"
id; id -un; whoami; groups; logname 2>/dev/null || echo "no logname"; hostname 2>/dev/null || uname -n; uname -s; uname -m; arch; nproc >/dev/null && echo nproc; pwd; tty; printenv HOME; env -u HOME printenv HOME || echo unset
date -u -d @86400; date -u -d '2024-02-29 +1 year' +%F; [ "$(date +%s)" -gt 1700000000 ] && echo "clock"; sleep 0.01; timeout 0.05 sleep 5; echo "$?"; nice; nohup true 2>/dev/null; echo "$?"
stdbuf -oL echo buffered; chroot / /bin/echo in-chroot; true; false || echo false; runcon 2>/dev/null; kill -l 9; kill -l TERM; users | wc -l; uptime >/dev/null 2>&1; echo $?
env -C / pwd; stty -a 2>&1 | head -1; [ -t 0 ] || echo "no terminal"; cat /proc/sys/kernel/hostname; cat </dev/null | wc -c; head -c 5 /dev/zero | od -An -tx1; echo x >/dev/full 2>/dev/null || echo "full"; ulimit -f; hostid | wc -c
