# tar | gzip of the same repository
. "$here/repository.bash"
prepare() { repository; }
work() { tar c repo | gzip >repo.tar.gz; }
