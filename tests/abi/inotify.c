/* inotify: events of files and folders, cookies of renames, limits of the buffer, removal. */
#include "abi.h"
#include <poll.h>
#include <sys/inotify.h>
#include <sys/ioctl.h>

static int in;
static char buf[8192] __attribute__((aligned(8)));
static int have, at;

/* The next event, or NULL where none waits. */
static struct inotify_event *next(void)
{
	struct inotify_event *e;

	if (at >= have) {
		struct pollfd p = { in, POLLIN, 0 };
		if (poll(&p, 1, 0) == 0)
			return NULL;
		have = OK(read(in, buf, sizeof buf));
		at = 0;
	}
	e = (void *)(buf + at);
	at += sizeof *e + e->len;
	return e;
}

static void expect(uint32_t mask, const char *name)
{
	struct inotify_event *e = next();

	if (!e)
		FAIL("no event where 0x%x %s was due", mask, name ? name : "");
	EQ(e->mask, mask);
	STREQ(e->len ? e->name : "", name ? name : "");
}

static void expect_none(void)
{
	struct inotify_event *e = next();

	if (e)
		FAIL("an event 0x%x too many", e->mask);
}

CASE(file_events)
{
	in = OK(inotify_init1(IN_CLOEXEC));
	put_file("f", "abc", 0600);
	int wd = OK(inotify_add_watch(in, "f", IN_ALL_EVENTS));
	EQ(wd, 1);
	int fd = OK(open("f", O_RDWR));
	expect(IN_OPEN, NULL);
	char c;
	EQ(read(fd, &c, 1), 1);
	expect(IN_ACCESS, NULL);
	EQ(write(fd, "x", 1), 1);
	expect(IN_MODIFY, NULL);
	OK(ftruncate(fd, 0));
	expect(IN_MODIFY, NULL);
	OK(fchmod(fd, 0644));
	expect(IN_ATTRIB, NULL);
	close(fd);
	expect(IN_CLOSE_WRITE, NULL);
	fd = OK(open("f", O_RDONLY));
	close(fd);
	expect(IN_OPEN, NULL);
	expect(IN_CLOSE_NOWRITE, NULL);
	OK(rename("f", "g"));
	expect(IN_MOVE_SELF, NULL);
	OK(unlink("g"));
	expect(IN_ATTRIB, NULL);
	expect(IN_DELETE_SELF, NULL);
	expect(IN_IGNORED, NULL);
	expect_none();
}

CASE(folder_events)
{
	in = OK(inotify_init1(IN_NONBLOCK));
	OK(mkdir("d", 0700));
	OK(inotify_add_watch(in, "d", IN_CREATE | IN_DELETE | IN_MOVE | IN_MODIFY));
	put_file("d/a", "text", 0600);
	expect(IN_CREATE, "a");
	expect(IN_MODIFY, "a");
	OK(mkdir("d/sub", 0700));
	expect(IN_CREATE | IN_ISDIR, "sub");
	OK(symlink("a", "d/link"));
	expect(IN_CREATE, "link");
	OK(link("d/a", "d/hard"));
	expect(IN_CREATE, "hard");
	OK(unlink("d/a"));
	expect(IN_DELETE, "a");
	OK(rmdir("d/sub"));
	expect(IN_DELETE | IN_ISDIR, "sub");
	expect_none();
}

CASE(rename_cookies)
{
	in = OK(inotify_init1(0));
	OK(mkdir("d", 0700));
	put_file("d/a", "", 0600);
	OK(inotify_add_watch(in, "d", IN_MOVE));
	OK(rename("d/a", "d/b"));
	struct inotify_event *e = next();
	CHECK(e && e->mask == IN_MOVED_FROM);
	STREQ(e->name, "a");
	uint32_t cookie = e->cookie;
	CHECK(cookie != 0);
	e = next();
	CHECK(e && e->mask == IN_MOVED_TO);
	STREQ(e->name, "b");
	EQ(e->cookie, cookie);
	OK(rename("d/b", "out"));
	expect(IN_MOVED_FROM, "b");
	OK(rename("out", "d/c"));
	expect(IN_MOVED_TO, "c");
	expect_none();
}

CASE(remove_watch)
{
	in = OK(inotify_init1(0));
	int wd = OK(inotify_add_watch(in, ".", IN_CREATE));
	EQ(inotify_add_watch(in, ".", IN_CREATE | IN_DELETE), wd);
	OK(inotify_rm_watch(in, wd));
	expect(IN_IGNORED, NULL);
	put_file("x", "", 0600);
	expect_none();
	ERR(inotify_rm_watch(in, wd), EINVAL);
	CHECK(OK(inotify_add_watch(in, ".", IN_CREATE)) > wd);
}

CASE(same_events_merge)
{
	in = OK(inotify_init1(0));
	put_file("f", "", 0600);
	OK(inotify_add_watch(in, "f", IN_MODIFY));
	int fd = OK(open("f", O_WRONLY));
	for (int i = 0; i < 5; i++)
		EQ(write(fd, "x", 1), 1);
	expect(IN_MODIFY, NULL);
	expect_none();
}

CASE(flags)
{
	in = OK(inotify_init1(0));
	put_file("f", "", 0600);
	OK(symlink("f", "l"));
	OK(inotify_add_watch(in, "f", IN_OPEN | IN_ONESHOT));
	close(OK(open("f", O_RDONLY)));
	close(OK(open("f", O_RDONLY)));
	expect(IN_OPEN, NULL);
	expect(IN_IGNORED, NULL);
	expect_none();
	ERR(inotify_add_watch(in, "f", IN_OPEN | IN_ONLYDIR), ENOTDIR);
	OK(inotify_add_watch(in, "l", IN_ATTRIB | IN_DONT_FOLLOW));
	OK(chmod("f", 0640));
	expect_none();
}

CASE(errors)
{
	int p[2];
	char small[8];

	OK(pipe(p));
	in = OK(inotify_init1(IN_NONBLOCK));
	ERR(inotify_init1(77), EINVAL);
	ERR(inotify_add_watch(in, "missing", IN_OPEN), ENOENT);
	ERR(inotify_add_watch(in, ".", 0), EINVAL);
	ERR(inotify_add_watch(p[0], ".", IN_OPEN), EINVAL);
	ERR(inotify_add_watch(99, ".", IN_OPEN), EBADF);
	ERR(read(in, buf, sizeof buf), EAGAIN);
	OK(inotify_add_watch(in, ".", IN_CREATE));
	put_file("x", "", 0600);
	ERR(read(in, small, sizeof small), EINVAL);
	int n = 0;
	OK(ioctl(in, FIONREAD, &n));
	EQ(n, 16 + 16);
}

CASE(blocking_read)
{
	in = OK(inotify_init1(0));
	OK(inotify_add_watch(in, ".", IN_CREATE));
	pid_t me = getpid();
	pid_t p = CHILD({
		EVENTUALLY(proc_state(me) == 'S');
		put_file("made", "", 0600);
	});
	CHECK(OK(read(in, buf, sizeof buf)) > 0);
	STREQ(((struct inotify_event *)buf)->name, "made");
	EXITED(p, 0);
}
