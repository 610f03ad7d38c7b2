# tar, gzip, xz: round trips, checked by checksum; sparse files, links, owners, times, pipes between them.
# limit: 180
sums() { (cd "$1" && find . -type f -print0 | sort -z | xargs -0 md5sum && find . -printf '%y %m %U:%G %l %P\n' | sort) | md5sum; }
mkdir src; cp -a /usr/share/doc/bash /usr/share/perl5 /usr/lib/python3.11/json /usr/lib/python3.11/email src/ 2>/dev/null; seq 200000 >src/numbers; head -c 3000000 /dev/urandom >src/noise
ln -s numbers src/sym; ln src/numbers src/hard; mkfifo src/fifo; chmod 751 src/numbers; chown 1000:2000 src/noise; mkdir -m 1777 src/sticky; truncate -s 5M src/sparse; touch -d '1999-12-31 UTC' src/old
touch "src/a name with spaces" $'src/new\nline' "src/$(printf 'n%.0s' $(seq 200))"; s=$(sums src)
tar cf a.tar src; tar tf a.tar | wc -l; for z in gz xz; do tar caf a.tar.$z src; mkdir out.$z; tar xpf a.tar.$z -C out.$z; [ "$(sums out.$z/src)" = "$s" ] && echo "$z same"; done
mkdir out.pipe; tar cf - src | gzip -1 | gzip -d | xz -0 | xz -d | tar xpf - -C out.pipe; [ "$(sums out.pipe/src)" = "$s" ] && echo "pipe same"; stat -c %Y out.pipe/src/old; stat -c %h out.pipe/src/hard
tar cSf sparse.tar src/sparse; [ $(stat -c %s sparse.tar) -lt 100000 ] && echo "sparse small"; mkdir out.sparse; tar xf sparse.tar -C out.sparse; cmp src/sparse out.sparse/src/sparse && echo "sparse same"
tar df a.tar; echo "diff $?"; echo more >>src/numbers; tar df a.tar 2>&1 | sort | head -5; tar rf a.tar src/numbers; tar tf a.tar | grep -c numbers; tar --delete -f a.tar src/noise; tar tf a.tar | grep -c noise; tar xOf a.tar src/hard | tail -1
tar cf - --exclude='*.py' -C src json | tar tf - | sort; tar tvf a.tar.gz src/noise src/sym src/fifo | awk '{print $1, $2}' | sort; tar cf - --transform 's,^src,renamed,' src/old --owner=9 --group=8 --numeric-owner | tar tvf - | awk '{print $2, $NF}'
tar cz -g snap -f inc0.tgz src 2>/dev/null; touch src/added; tar cz -g snap -f inc1.tgz src 2>/dev/null; tar tf inc1.tgz | grep -c added; tar --wildcards -tf a.tar '*/json/*.py' | wc -l
gzip -k src/noise; gzip -l src/noise.gz | awk 'NR==2{print $2}'; gzip -t src/noise.gz; echo "test $?"; gunzip -c src/noise.gz | cmp - src/noise && echo "gzip same"; rm src/noise.gz; head -c 1000 a.tar.gz | gzip -t 2>/dev/null; echo "truncated $?"
xz -k -9 -T2 src/numbers; xz -l --robot src/numbers.xz | awk '/totals/{print $5}'; xz -dc src/numbers.xz | md5sum; xz -t a.tar.xz; echo "test $?"; echo garbage | xz -d 2>/dev/null; echo "garbage $?"; zcat a.tar.gz | wc -c; zgrep -c 199 <(seq 2000 | gzip); xzcat a.tar.xz | md5sum | cut -c1-0; gzip -9 <src/numbers | wc -c; xz --format=lzma -c <src/numbers | xz -d | md5sum
dd if=a.tar bs=10240 2>/dev/null | tar tf - | wc -l; mkdir ro; echo x >ro/f; chmod 555 ro; tar cf - ro | (cd /dev/shm && tar xf - && cat ro/f && stat -c %a ro)
