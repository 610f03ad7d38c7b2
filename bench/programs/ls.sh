# ls -lR of /usr
work() { ls -lR /usr; }
