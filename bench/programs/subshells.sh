# 500 subshells of bash
work() { for ((i = 0; i < 500; i++)); do (:); done; }
