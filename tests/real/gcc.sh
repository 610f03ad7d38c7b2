# Building a C project of several files with make -j2, running it; static, shared, sanitised by hand, rebuilt in part.
# limit: 180
mkdir -p p/src p/include && cd p || exit 1
cat >include/list.h <<'END'
#pragma once
struct list { int v; struct list *next; };
struct list *push(struct list *l, int v);
long sum(const struct list *l);
END
cat >src/list.c <<'END'
#include "list.h"
#include <stdlib.h>
struct list *push(struct list *l, int v) { struct list *n = malloc(sizeof *n); *n = (struct list){v, l}; return n; }
END
cat >src/sum.c <<'END'
#include "list.h"
long sum(const struct list *l) { return l ? l->v + sum(l->next) : 0; }
END
cat >src/main.c <<'END'
#include "list.h"
#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
static void *thread(void *p) { *(double *)p = sqrt(2); return NULL; }
int main(int argc, char **argv)
{
	struct list *l = NULL; pthread_t t; double d = 0; int status;
	for (int i = 0; i < 1000; i++) l = push(l, i);
	pthread_create(&t, NULL, thread, &d); pthread_join(t, NULL);
	printf("%ld %.6f %d %s\n", sum(l), d, argc, argv[1]); fflush(stdout);
	if (fork() == 0) _exit(strlen(argv[1]));
	wait(&status);
	return WEXITSTATUS(status);
}
END
for i in $(seq 8); do echo "int extra$i(int x) { for (int i = 0; i < 100; i++) x = x * $i + i; return x; }" >src/extra$i.c; done
cat >Makefile <<'END'
CFLAGS = -O2 -Wall -Iinclude -MMD
OBJS = $(patsubst %.c,%.o,$(sort $(wildcard src/*.c)))
prog: $(OBJS)
	@echo link $@; gcc -o $@ $(OBJS) -lm -pthread
%.o: %.c
	@gcc $(CFLAGS) -c -o $@ $<
libsum.so: src/sum.c
	@gcc -fPIC -shared -Iinclude -o $@ $<
static: src/main.c src/list.c src/sum.c
	@gcc -static -Iinclude -o $@ $^ -lm -pthread
clean:
	rm -f prog $(OBJS) libsum.so static src/*.d
-include $(wildcard src/*.d)
.PHONY: clean
END
make -j2; ./prog hello; echo "status $?"
make -j2; touch include/list.h; make -j2 -n | wc -l; make -j2; make -s libsum.so static; ./static abc; echo "status $?"
gcc -O1 -g -Iinclude -o dyn src/main.c src/list.c -L. -lsum -lm -pthread -Wl,-rpath,'$ORIGIN'; ./dyn shared; echo "status $?"; LD_BIND_NOW=1 ./dyn now; echo "status $?"; ldd ./dyn | grep -c libsum
file=$(gcc -print-prog-name=cc1); [ -x "$file" ] && echo cc1; gcc -E - <<<'#define X 42
X' | tail -1; gcc -S -o - -x c - <<<'int f(void){return 7;}' | grep -c '\$7'; echo 'int main(void){return x;}' | gcc -x c - 2>&1 | grep -c error; echo "gcc ${PIPESTATUS[1]}"
objdump -d prog | grep -c '<main>:'; nm prog | grep -c ' T sum'; size prog | wc -l; strip prog; ./prog stripped; echo "status $?"; ar rcs lib.a src/extra*.o; ar t lib.a | wc -l; readelf -h prog | grep Type; strings -n 8 dyn | grep -c GLIBC
gcc -flto -O2 -Iinclude src/main.c src/list.c src/sum.c -lm -o lto && ./lto lto; echo "status $?"; gcc -fopenmp -x c - -o omp <<<'#include <stdio.h>
int main(void){long s=0;
#pragma omp parallel for reduction(+:s) num_threads(4)
for(int i=0;i<1000000;i++)s+=i;
printf("%ld\n",s);return 0;}' && ./omp; gcc -pg -x c - -o prof <<<'int main(void){volatile int s=0;for(int i=0;i<1000000;i++)s+=i;return 0;}' && ./prof && ls gmon.out
make -j2 clean >/dev/null; ls; make -j2 -k nothing 2>&1 | tail -1; echo 'all:;@echo $(shell echo hi) $(MAKELEVEL); $(MAKE) -s sub' >M2; echo 'sub:;@echo sub $(MAKELEVEL); false' >>M2; make -s -f M2; echo "make $?"
gcc -fsanitize=address,undefined -x c - -o asan <<<'int main(int c,char**v){int a[4]={0};return a[c+3];}' && ASAN_OPTIONS=detect_leaks=0 ./asan 2>&1 | grep -oE 'index 4 out of bounds|stack-buffer-overflow' | sort -u; echo "asan $?"
