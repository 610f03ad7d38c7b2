// Bytes through files, as many a second as go: reading a file that is in the page cache in small pieces and in large ones,
// writing a new file in a tmpfs and in the root. The root may be read-only; who runs the row that writes there sees to that.
#include "micro.h"

#include <fcntl.h>
#include <unistd.h>

#define ROOT_FILE "/usr/bin/perl"
#define TMP_FILE "/tmp/micro-stream"
#define NEW_FILE "/var/tmp/micro-stream"
enum { SMALL = 4096, LARGE = 128 << 10, READ = 3 << 20, WRITTEN = 32 << 20 };

static int fd = -1;
static char buffer[LARGE];

static void setup_read(void)
{
	fd = MUST(open(ROOT_FILE, O_RDONLY));
}

static void setup_tmp(void)
{
	fd = MUST(open(TMP_FILE, O_WRONLY | O_CREAT | O_TRUNC, 0600));
}

static void setup_new(void)
{
	fd = MUST(open(NEW_FILE, O_WRONLY | O_CREAT | O_TRUNC, 0600));
}

static void teardown_read(void)
{
	close(fd);
}

static void teardown_tmp(void)
{
	close(fd);
	unlink(TMP_FILE);
}

static void teardown_new(void)
{
	close(fd);
	unlink(NEW_FILE);
}

static void read_pieces(long count, long piece)
{
	for (long i = 0; i < count; i++) {
		if (i % (READ / piece) == 0)
			MUST(lseek(fd, 0, SEEK_SET));
		if (read(fd, buffer, piece) != piece)
			fail("read");
	}
}

static void loop_read_small(long count)
{
	read_pieces(count, SMALL);
}

static void loop_read_large(long count)
{
	read_pieces(count, LARGE);
}

// The file grows to WRITTEN, then starts anew: new pages, not old ones overwritten.
static void loop_write(long count)
{
	for (long i = 0; i < count; i++) {
		if (i % (WRITTEN / LARGE) == 0) {
			MUST(ftruncate(fd, 0));
			MUST(lseek(fd, 0, SEEK_SET));
		}
		if (write(fd, buffer, LARGE) != LARGE)
			fail("write");
	}
}

const struct row throughput_rows[] = {
	{"read-4k", "read a hot file in 4 KiB pieces", setup_read, loop_read_small, teardown_read, .bytes = SMALL},
	{"read-128k", "read a hot file in 128 KiB pieces", setup_read, loop_read_large, teardown_read, .bytes = LARGE},
	{"write-tmpfs", "write a new file in a tmpfs, 128 KiB pieces", setup_tmp, loop_write, teardown_tmp, .bytes = LARGE},
	{"write-root", "write a new file in the root, 128 KiB pieces", setup_new, loop_write, teardown_new, .bytes = LARGE},
	{},
};
