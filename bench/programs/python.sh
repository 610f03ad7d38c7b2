# python3 -c pass
times=10
work() { python3 -c pass; }
