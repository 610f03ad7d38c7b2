# Perl: fork, pipes, sockets, signals, File::Temp, sprintf, sorting, regular expressions, IPC::Open3, select, flock.
# status: 4
use strict; use warnings; use IO::Socket::UNIX; use IO::Handle; use IO::Select; use IO::Pipe; use File::Temp qw(tempfile tempdir); use File::Find; use File::Copy; use File::Path qw(make_path remove_tree);
use POSIX qw(:sys_wait_h :signal_h floor strftime mkfifo); use IPC::Open3; use IPC::Open2; use Fcntl qw(:flock :seek :mode); use Socket; use Time::HiRes qw(sleep time alarm); use Cwd; use Storable qw(freeze thaw); use Digest::MD5 qw(md5_hex); use Data::Dumper; use List::Util qw(sum first shuffle); use Errno; use Symbol; use Sys::Hostname; use threads; use threads::shared;
$| = 1; $Data::Dumper::Sortkeys = 1; $Data::Dumper::Indent = 1;
chdir tempdir(CLEANUP => 1) or die;
# fork and wait
my @kids = map { my $n = $_; my $p = fork // die; if (!$p) { exit $n } $p } 1 .. 5;
print join(' ', map { waitpid($_, 0); $? >> 8 } @kids), "\n";
my $p = fork; if (!$p) { kill 'KILL', $$; sleep 9 } waitpid $p, 0; printf "signal %d\n", $? & 127;
print "none left: ", wait, " ", $!{ECHILD} ? "ECHILD" : "?", "\n";
pipe my $r, my $w or die; if (!(my $k = fork)) { close $r; print $w "line $_\n" for 1 .. 1000; exit } close $w; my @l = <$r>; wait; print scalar(@l), " $l[-1]";
open my $sh, '-|', 'echo from shell; exit 3' or die; print <$sh>; close $sh; print "status ", $? >> 8, "\n";
open my $to, '|-', 'sort -r' or die; print $to "$_\n" for qw(a c b); close $to; print `echo back; echo ticks`, system('exit 7') >> 8, "\n";
open my $self, '-|' // die or do { print "child speaks\n"; exit }; print <$self>; close $self;
my $pid = open3(my $in, my $out, my $err = gensym, 'cat; echo oops >&2'); print $in "to cat\n"; close $in; print <$out>, <$err>; waitpid $pid, 0;
# signals
my $got = ''; $SIG{USR1} = sub { $got .= 'U' }; $SIG{ALRM} = sub { die "alarm\n" }; kill 'USR1', $$ for 1 .. 3; print "$got\n";
eval { alarm 0.05; sleep 5; alarm 0 }; print "died of $@"; $SIG{CHLD} = 'IGNORE'; $p = fork; exit 0 if !$p; waitpid $p, 0; print "ignored child: $?\n"; $SIG{CHLD} = 'DEFAULT';
my $set = POSIX::SigSet->new(SIGUSR1); sigprocmask(SIG_BLOCK, $set); kill 'USR1', $$; print "blocked: $got\n"; sigprocmask(SIG_UNBLOCK, $set); print "after: $got\n";
# sockets
my $srv = IO::Socket::UNIX->new(Local => 'sock', Listen => 5) or die "listen: $!"; if (!($p = fork)) { my $c = IO::Socket::UNIX->new(Peer => 'sock') or die; print $c "hello\n"; print "client: ", scalar <$c>; exit } my $c = $srv->accept; my $line = <$c>; print $c "echo $line"; close $c; waitpid $p, 0;
socketpair my $s1, my $s2, AF_UNIX, SOCK_DGRAM, 0 or die; send $s1, "datagram", 0; recv $s2, my $buf, 100, 0; print "$buf\n"; my $sel = IO::Select->new($s1, $s2); send $s2, "x", 0; print scalar($sel->can_read(0)), "\n"; print -S 'sock' ? "socket\n" : "no\n"; unlink 'sock';
# files
my ($fh, $name) = tempfile('tXXXX', DIR => '.'); print $fh "0123456789"; seek $fh, 3, SEEK_SET; read $fh, $buf, 4; print "$buf ", tell $fh, " ", -s $name, "\n"; flock $fh, LOCK_EX or die; my $g; print open($g, '<', $name) && flock($g, LOCK_SH | LOCK_NB) ? "shared\n" : "locked\n"; truncate $fh, 5; print -s $fh, "\n"; close $fh;
make_path('x/y/z'); open $fh, '>', "x/y/$_" for qw(p q r); my @f; find({wanted => sub { push @f, $File::Find::name }, no_chdir => 1}, 'x'); print join(' ', sort @f), "\n"; rename 'x/y/p', 'x/y/s'; symlink 's', 'x/y/l'; print readlink 'x/y/l', "\n"; link 'x/y/s', 'x/y/h'; print +(stat 'x/y/h')[3], "\n"; opendir my $d, 'x/y'; print join(' ', sort grep !/^\./, readdir $d), "\n"; copy('x/y/s', 'copied'); utime 1e9, 1e9, 'copied'; print +(stat 'copied')[9], "\n"; chmod 0640, 'copied'; printf "%o\n", S_IMODE((stat 'copied')[2]); remove_tree('x'); print -e 'x' ? "there\n" : "gone\n"; mkfifo 'ff', 0600; print -p 'ff' ? "fifo\n" : "no\n"; open $fh, '<', 'nothing' or print "$!\n"; opendir $d, 'copied' or print "$!\n";
open my $dup, '>&', \*STDOUT; print $dup "dup\n"; open my $mem, '<', \"in\nmemory\n"; print <$mem>; print cwd() eq getcwd() ? "cwd\n" : "?\n"; local @ARGV = ('copied'); { local $^I = '.bak'; while (<>) { print } } print -e 'copied.bak' ? "bak\n" : "none\n";
# language
printf "%s|%5d|%-5s|%05.2f|%x|%o|%e|%b|%s\n", 'a', 42, 'b', 3.14159, 255, 8, 12345.678, 5, join ',', sort { $a <=> $b } (10, 9, 2, 33); my %h = map { $_ => length } qw(one three five); print Dumper(\%h); print "$1-$2\n" if 'foo42bar' =~ /([a-z]+)(\d+)/; (my $t = 'hello') =~ tr/a-y/b-z/; print "$t ", ucfirst reverse('abc'), " ", 'x' x 5, " ", md5_hex('x'), "\n"; print sum(1 .. 100), " ", 2 ** 0.5, " ", 1e21, " ", int(7.9), " ", 10 % 3, " ", 1 / 7, " ", 0x7fffffff + 0, "\n"; print strftime('%Y-%m-%d', gmtime 0), " ", floor(-1.5), "\n"; print thaw(freeze({k => [1, 2]}))->{k}[1], "\n"; my @big = map { $_ * 7919 % 100003 } 1 .. 100000; @big = sort { $a <=> $b } @big; print "$big[0] $big[50000] $big[-1]\n"; print pack('NnC', 1, 2, 3) eq "\0\0\0\1\0\2\3" ? "pack\n" : "?\n"; print hostname(), " $0 @{[scalar getpwuid $<]} $( \n" =~ s/ 0 $/ root/r;
my $n :shared = 0; my @t = map { threads->create(sub { for (1 .. 200) { lock $n; $n++ } return $_[0] * 2 }, $_) } 1 .. 4; print join(' ', map { $_->join } @t), " $n\n"; my $t0 = time; select undef, undef, undef, 0.02; print time - $t0 >= 0.02 ? "slept\n" : "?\n"; print "$^O\n"; $0 = 'renamed'; open $fh, '<', "/proc/$$/cmdline"; print scalar(<$fh>) =~ /renamed/ ? "renamed\n" : "?\n"; exec 'sh', '-c', 'echo exec; exit 4';
