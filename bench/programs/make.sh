# make -j2 of 25 C files
prepare() {
	for ((i = 0; i < 25; i++)); do
		echo '#include <stdio.h>'
		for ((f = 0; f < 8; f++)); do
			echo "int f${i}_$f(int x) { for (int i = 0; i < x; i++) x += x * $f ^ i; printf(\"%d\n\", x); return x; }"
		done
	done | awk -v n=-1 '/^#/ {n++} {print >"f" n ".c"}'
	echo 'int main(void) { return 0; }' >main.c
	printf 'prog: $(patsubst %%.c,%%.o,$(wildcard *.c))\n\tgcc -o $@ $^\n%%.o: %%.c\n\tgcc -O2 -c -o $@ $<\n' >Makefile
}
work() { make -j2; }
