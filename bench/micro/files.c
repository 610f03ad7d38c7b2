// Files: reading in the root file system (a file that every Debian has), writing in a tmpfs at /tmp, so that natively and in
// every sandbox the same kinds of file systems are compared.
#include "micro.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#define ROOT_FILE "/usr/bin/perl" // larger than what is read of it
#define TMP_FILE "/tmp/micro-file"
#define TMP_DIR "/tmp/micro-dir"
enum { BLOCK = 4096, BLOCKS = 64, ENTRIES = 1000 };

static int fd = -1;
static char block[BLOCK];

static void setup_root(void)
{
	fd = MUST(open(ROOT_FILE, O_RDONLY));
}

static void setup_tmp(void)
{
	fd = MUST(open(TMP_FILE, O_RDWR | O_CREAT | O_TRUNC, 0600));
	for (int i = 0; i < BLOCKS; i++)
		MUST(write(fd, block, BLOCK));
}

static void teardown_fd(void)
{
	close(fd);
	unlink(TMP_FILE);
}

static void loop_pread(long count)
{
	for (long i = 0; i < count; i++)
		if (pread(fd, block, BLOCK, i % BLOCKS * BLOCK) != BLOCK)
			fail("pread");
}

static void loop_pwrite(long count)
{
	for (long i = 0; i < count; i++)
		if (pwrite(fd, block, BLOCK, i % BLOCKS * BLOCK) != BLOCK)
			fail("pwrite");
}

static void loop_stat(long count)
{
	struct stat st;

	while (count-- > 0)
		MUST(stat(ROOT_FILE, &st));
}

static void loop_stat_none(long count)
{
	struct stat st;

	while (count-- > 0)
		if (stat("/usr/bin/there-is-no-such-file", &st) == 0)
			fail("stat of nothing");
}

static void loop_open(long count)
{
	while (count-- > 0)
		close(MUST(open(ROOT_FILE, O_RDONLY)));
}

static void loop_create(long count)
{
	while (count-- > 0) {
		close(MUST(open(TMP_FILE, O_RDWR | O_CREAT | O_EXCL, 0600)));
		MUST(unlink(TMP_FILE));
	}
}

static void setup_dir(void)
{
	char name[32];

	MUST(mkdir(TMP_DIR, 0700));
	MUST(chdir(TMP_DIR));
	for (int i = 0; i < ENTRIES; i++) {
		snprintf(name, sizeof(name), "entry-%d", i);
		close(MUST(open(name, O_WRONLY | O_CREAT | O_EXCL, 0600)));
	}
}

static void teardown_dir(void)
{
	char name[32];

	for (int i = 0; i < ENTRIES; i++) {
		snprintf(name, sizeof(name), "entry-%d", i);
		MUST(unlink(name));
	}
	MUST(chdir("/"));
	MUST(rmdir(TMP_DIR));
}

static void list(int with_attributes)
{
	struct dirent *e;
	struct stat st;
	int seen = 0;
	DIR *d = opendir(".");

	if (!d)
		fail("opendir");
	while ((e = readdir(d))) {
		seen++;
		if (with_attributes)
			MUST(lstat(e->d_name, &st));
	}
	closedir(d);
	if (seen != ENTRIES + 2)
		fail("a listing has lost entries");
}

static void loop_list(long count)
{
	while (count-- > 0)
		list(0);
}

static void loop_list_lstat(long count)
{
	while (count-- > 0)
		list(1);
}

const struct row file_rows[] = {
	{"pread-4k", "pread 4 KiB, file in the root", setup_root, loop_pread, teardown_fd},
	{"pread-4k-tmpfs", "pread 4 KiB, file in a tmpfs", setup_tmp, loop_pread, teardown_fd},
	{"pwrite-4k-tmpfs", "pwrite 4 KiB, file in a tmpfs", setup_tmp, loop_pwrite, teardown_fd},
	{"stat", "stat of a file that is there", NULL, loop_stat},
	{"stat-none", "stat of a file that isn't", NULL, loop_stat_none},
	{"open-close", "open + close, file in the root", NULL, loop_open},
	{"create-unlink", "create + close + unlink, in a tmpfs", NULL, loop_create},
	{"list", "list a directory of 1,000, in a tmpfs", setup_dir, loop_list, teardown_dir, .keep = 1},
	{"list-lstat", "the same, and lstat each entry", setup_dir, loop_list_lstat, teardown_dir, .keep = 1},
	{},
};
