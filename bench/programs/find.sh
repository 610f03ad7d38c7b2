# find over /usr
work() { find /usr; }
