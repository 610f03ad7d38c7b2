# find, xargs, grep, sed, awk (mawk) on a tree.
# limit: 180
mkdir -p t/{a,b,c}/{x,y,z}; for i in t/*/*; do echo "file in $i" >"$i/f.txt"; : >"$i/empty"; done; ln -s ../a t/loop; ln -s nowhere t/dangling
find t | sort | md5sum; find t -type d | wc -l; find t -name '*.txt' | sort | head -2; find t -empty -type f | wc -l; find t -type l | sort
find -L t -maxdepth 2 -type d 2>/dev/null | sort | head -5; find t -xtype l; find t -size +0c -type f | wc -l; find t -path '*/b/*' -prune -o -type f -print | wc -l
find t -name empty -delete; find t -type f | wc -l; find t -type f -exec cat {} + | sort | head -3; find t -type f -exec sh -c 'echo $#' _ {} +; find t -type f -execdir pwd \; | sort -u | wc -l
find t -newermt '2001-01-01' -type f | wc -l; touch -d '10 days ago' t/a/x/f.txt; find t -mtime +9; find t -perm 644 -type f | wc -l; find t -user root -group root | wc -l; find t -links 1 -type f | wc -l
find t -printf '%y %P %d\n' | sort | tail -4; find t -type f -print0 | xargs -0 -n 2 -P 3 wc -l >/dev/null; echo "xargs $?"; seq 10 | xargs -P 4 -I{} sh -c 'exit $(({} == 7))'; echo "xargs $?"
seq 50000 | xargs | wc -l; printf 'a\0b\0' | xargs -0 -I{} echo '<{}>'; echo 'a b' | xargs -n1; seq 3 | xargs -t echo 2>&1; find t -regex '.*/[ab]/.*txt' | wc -l; find / -xdev -maxdepth 1 -name etc; find t -samefile t/a/x/f.txt
find /proc/self/ -maxdepth 1 -name 'stat*' | sort; find /dev -type c -name null; find / -maxdepth 1 -type l | sort; find t/nothing 2>&1; echo $?; find /usr -xdev -type f 2>/dev/null | wc -l; find /usr /etc -xdev -type f -print0 | sort -z | xargs -0 md5sum | md5sum
grep -r 'in t/b' t | sort; grep -rc file t | sort | head -2; grep -l x -r t | sort | tail -1; grep -v a <<<$'a\nb'; grep -oE '[0-9]+' <<<'a12b345'; grep -q zzz -r t; echo $?; grep -n root /etc/passwd; grep -P '\d{2,}' <<<$'1\n22'
sed -i 's/file/FILE/' t/a/*/f.txt; cat t/a/*/f.txt; sed -n '2,3p;$=' <(seq 7); sed 's/\(.\)\(.\)/\2\1/g' <<<abcd; sed -e '/2/d' -e 's/3/three/' <(seq 4) -s; sed 'N;s/\n/-/' <(seq 6); sed '$!G' <(seq 2); sed -E ':a;s/^([0-9]+)([0-9]{3})/\1,\2/;ta' <<<1234567
awk 'BEGIN{for(i=0;i<5;i++)printf "%d ",i*i; print ""}'; awk -F: '{n[$7]++}END{for(s in n)print s,n[s]}' /etc/passwd | sort; awk '{s+=$1}END{print s/NR, s}' <(seq 1000); awk 'BEGIN{while(("echo a; echo b"|getline l)>0)print "got",l; close("x"); print length("hello"), substr("hello",2,3), toupper("x"), index("abc","c"); system("exit 3"); print "out" | "cat 1>&2"}' 2>&1
updatedb 2>/dev/null; locate x 2>/dev/null; echo $?

# all of a large tree, in the order of a walk and then once more by paths that nobody walked to; what came ahead must be what is there
find /usr -type d -printf '%p %m %u %g\n' -o -type f -printf '%p %m %s %T@ %n\n' -o -printf '%p %y %m %l\n' | LC_ALL=C sort | sha256sum
ls -lR /usr/share /usr/lib | grep -v '^total' | grep -v '^d' | sha256sum
find /usr -print0 | LC_ALL=C sort -rz | xargs -0 stat -c '%n %F %a %Y %N' | sha256sum

# a directory that is below alone when it is opened, and no longer while it is read
perl -e 'opendir D, "/usr/share" or die; my @all = readdir D; my %had = map { $_ => 1 } @all; rewinddir D; readdir D for 1 .. 3; my $at = telldir D; my $fourth = readdir D; seekdir D, $at; print readdir(D) eq $fourth ? "same\n" : "other\n";
	mkdir "/usr/share/a-new-one" or die; system "rm -r /usr/share/menu"; my @rest = grep !/^(a-new-one|menu)$/, readdir D; print scalar(grep $_ ne "menu", @all) - @rest, "\n";
	rewinddir D; my %has = map { $_ => 1 } readdir D; print join(" ", sort grep !$had{$_}, keys %has), " for ", join(" ", sort grep !$has{$_}, keys %had), "\n"; closedir D; opendir D, "/usr/share/doc"; print scalar(grep 1, readdir D), "\n"'
