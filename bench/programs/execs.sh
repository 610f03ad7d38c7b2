# 200 times /bin/true from bash
work() { for ((i = 0; i < 200; i++)); do /bin/true; done; }
