// Walks over a tree some times, looks at each name and reads each file: many calls, most of them from few places. The same in each language here.
#define _XOPEN_SOURCE 700
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static long names, bytes;

static int visit(const char *path, const struct stat *st, int type, struct FTW *where)
{
	static char buf[65536];
	ssize_t n;
	int fd;

	names++;
	if (type != FTW_F)
		return 0;
	fd = open(path, O_RDONLY);
	while ((n = read(fd, buf, sizeof(buf))) > 0)
		bytes += n;
	close(fd);
	return 0;
}

int main(int argc, char **argv)
{
	for (int i = atoi(argv[2]); i > 0; i--)
		if (nftw(argv[1], visit, 16, FTW_PHYS))
			return 1;
	printf("%ld names, %ld bytes\n", names, bytes);
	return 0;
}
