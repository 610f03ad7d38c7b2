# git status in a repository of 1,000 files
. "$here/repository.bash"
times=5
prepare() { repository; }
work() { git -C repo status; }
