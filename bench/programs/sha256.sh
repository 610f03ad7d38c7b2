# sha256sum of a file of 256 MiB
prepare() { head -c 256M /dev/zero >file; }
work() { sha256sum file; }
