// Server and client over a socket pair on a temporary tree: what is asked for comes, and what is hostile is refused.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "gofer/client.h"
#include "lib/kmem.h"
#include "gofer/gofer.h"
#include "gofer/message.h"
#include "lib/log.h"

#define NAME(literal) ((struct gofer_name){literal, sizeof(literal) - 1})

enum { BELOW_SEEN = 8 };

static char tree_path[64];

struct fixture {
	struct gofer_client client;
	pid_t pid;
	struct gofer_entry root;
	int raw; // the client's socket, for messages that the client wouldn't send
};

static void sh(const char *fmt, ...)
{
	char cmd[512];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(cmd, sizeof(cmd), fmt, ap);
	va_end(ap);
	assert_int_equal(system(cmd), 0);
}

static void start(struct fixture *f, bool readonly)
{
	int socks[2];
	struct gofer_attached attached;

	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, socks), 0);
	f->pid = fork();
	if (f->pid == 0) {
		struct gofer_tree tree = {.dir_fd = open(tree_path, O_PATH | O_DIRECTORY), .readonly = readonly};
		struct gofer_config config = {.conn_fd = socks[1], .proc_self_fd = -1, .trees = &tree, .ntrees = 1};

		close(socks[0]);
		_exit(gofer_main(&config));
	}
	close(socks[1]);
	f->raw = socks[0];
	assert_int_equal(gofer_client_init(&f->client, socks[0]), 0);
	assert_int_equal(gofer_attach(&f->client, 0, &f->root, &attached), 0);
	assert_int_equal(attached.flags, readonly ? GOFER_TREE_READONLY : 0);
}

static void stop(struct fixture *f)
{
	int status;

	gofer_client_fini(&f->client);
	assert_int_equal(waitpid(f->pid, &status, 0), f->pid);
	assert_int_equal(status, 0);
}

static int make_tree(void **state)
{
	strcpy(tree_path, "/tmp/gofer-test-XXXXXX");
	if (!mkdtemp(tree_path))
		return -1;
	sh("cd %s && mkdir -p a/b/c d && echo hello >a/b/file && ln -s /etc/passwd out && ln -s a/b in && mkfifo fifo", tree_path);
	return 0;
}

static int remove_tree(void **state)
{
	sh("rm -rf %s", tree_path);
	return 0;
}

static uint64_t walk1(struct fixture *f, uint64_t from, struct gofer_name name)
{
	struct gofer_entry entry;
	uint32_t found;

	assert_int_equal(gofer_walk(&f->client, from, &name, 1, &entry, &found, NULL, NULL), 0);
	assert_int_equal(found, 1);
	return entry.node;
}

static void reads_files(void **state)
{
	struct gofer_name path[] = {NAME("a"), NAME("b"), NAME("file"), NAME("beyond")};
	struct gofer_entry entries[4];
	struct fixture f;
	char buf[32], *link;
	uint32_t found;
	int fd;

	start(&f, true);
	assert_int_equal(gofer_walk(&f.client, f.root.node, path, 4, entries, &found, NULL, NULL), 0);
	assert_int_equal(found, 3);
	assert_true(S_ISREG(entries[2].attr.mode));
	assert_int_equal(entries[2].attr.size, 6);
	assert_int_equal(gofer_open(&f.client, entries[2].node, O_RDONLY, &fd), 0);
	assert_int_equal(read(fd, buf, sizeof(buf)), 6);
	assert_memory_equal(buf, "hello\n", 6);
	close(fd);
	assert_int_equal(gofer_walk(&f.client, f.root.node, &NAME("in"), 1, entries, &found, &link, NULL), 0);
	assert_string_equal(link, "a/b"); // a link's target comes along
	kmem_bytes_free(link);
	assert_int_equal(gofer_walk(&f.client, f.root.node, path, 3, entries, &found, &link, NULL), 0);
	assert_null(link);
	path[1] = NAME("missing");
	assert_int_equal(gofer_walk(&f.client, f.root.node, path, 3, entries, &found, NULL, NULL), -ENOENT);
	assert_int_equal(found, 1);
	assert_int_equal(gofer_readlink(&f.client, walk1(&f, f.root.node, NAME("in")), buf, sizeof(buf)), 3);
	assert_memory_equal(buf, "a/b", 3);
	assert_int_equal(gofer_open(&f.client, walk1(&f, f.root.node, NAME("fifo")), O_RDONLY, &fd), -ENXIO);
	assert_int_equal(gofer_open(&f.client, walk1(&f, f.root.node, NAME("a")), O_RDONLY, &fd), -EISDIR);
	stop(&f);
}

static int descriptors_of(pid_t pid)
{
	char path[64];
	struct dirent *d;
	int n = 0;
	DIR *dir;

	snprintf(path, sizeof(path), "/proc/%d/fd", pid);
	dir = opendir(path);
	assert_non_null(dir);
	while ((d = readdir(dir)))
		n += d->d_name[0] != '.';
	closedir(dir);
	return n;
}

// A walk that is to read what it leads to brings the descriptor along, and the gofer keeps none but those of its nodes.
static void walks_open_files(void **state)
{
	struct gofer_name path[] = {NAME("a"), NAME("b"), NAME("file"), NAME("beyond")};
	struct gofer_entry entries[4];
	struct fixture f;
	uint32_t found;
	char buf[32];
	int fd, before;

	start(&f, true);
	before = descriptors_of(f.pid);
	assert_int_equal(gofer_walk(&f.client, f.root.node, path, 3, entries, &found, NULL, &fd), 0);
	assert_int_equal(found, 3);
	assert_int_equal(read(fd, buf, sizeof(buf)), 6);
	assert_memory_equal(buf, "hello\n", 6);
	assert_int_equal(fcntl(fd, F_GETFL) & O_ACCMODE, O_RDONLY);
	close(fd);
	assert_int_equal(gofer_walk(&f.client, f.root.node, path, 4, entries, &found, NULL, &fd), 0);
	assert_int_equal(found, 3);
	assert_int_equal(fd, -1);
	assert_int_equal(gofer_walk(&f.client, f.root.node, path, 2, entries, &found, NULL, &fd), 0);
	assert_int_equal(fd, -1); // a directory's would lead further
	assert_int_equal(gofer_walk(&f.client, f.root.node, &NAME("fifo"), 1, entries, &found, NULL, &fd), 0);
	assert_int_equal(fd, -1);
	assert_int_equal(gofer_walk(&f.client, f.root.node, &NAME("in"), 1, entries, &found, NULL, &fd), 0);
	assert_int_equal(fd, -1);
	assert_int_equal(descriptors_of(f.pid), before + 10);
	stop(&f);
}

static void never_leaves_the_tree(void **state)
{
	struct gofer_name through[] = {NAME("out"), NAME("x")};
	struct gofer_entry entries[2];
	struct fixture f;
	uint32_t found;
	int fd;

	start(&f, true);
	assert_int_equal(gofer_walk(&f.client, f.root.node, through, 2, entries, &found, NULL, NULL), 0);
	assert_int_equal(found, 1); // stops at the symlink
	assert_true(S_ISLNK(entries[0].attr.mode));
	assert_int_equal(gofer_open(&f.client, entries[0].node, O_RDONLY, &fd), -ENXIO);
	assert_int_equal(gofer_walk(&f.client, f.root.node, &NAME(".."), 1, entries, &found, NULL, NULL), -EPROTO);
	assert_int_equal(gofer_walk(&f.client, f.root.node, &NAME("."), 1, entries, &found, NULL, NULL), -EPROTO);
	assert_int_equal(gofer_walk(&f.client, f.root.node, &NAME("a/b"), 1, entries, &found, NULL, NULL), -EPROTO);
	assert_int_equal(gofer_walk(&f.client, f.root.node, &NAME(""), 1, entries, &found, NULL, NULL), -EPROTO);
	assert_int_equal(gofer_walk(&f.client, f.root.node, &(struct gofer_name){"a\0b", 3}, 1, entries, &found, NULL, NULL), -EPROTO);
	stop(&f);
}

// Somebody swaps a directory of the tree for a symlink while the client walks.
static void *swap_links(void *arg)
{
	char dir[96], spare[96];

	snprintf(dir, sizeof(dir), "%s/swap", tree_path);
	snprintf(spare, sizeof(spare), "%s/spare", tree_path);
	for (int i = 0; i < 2000; i++) {
		mkdir(dir, 0755);
		rename(dir, spare);
		if (symlink("/etc", dir) < 0)
			break;
		unlink(dir);
		rmdir(spare);
	}
	return NULL;
}

static void survives_symlink_races(void **state)
{
	struct gofer_name path[] = {NAME("swap"), NAME("passwd")};
	struct gofer_entry entries[2];
	struct fixture f;
	pthread_t swapper;
	uint32_t found;

	start(&f, true);
	assert_int_equal(pthread_create(&swapper, NULL, swap_links, NULL), 0);
	for (int i = 0; i < 2000; i++) {
		gofer_walk(&f.client, f.root.node, path, 2, entries, &found, NULL, NULL);
		assert_true(found < 2);
		if (found)
			gofer_forget(&f.client, entries[0].node);
	}
	pthread_join(swapper, NULL);
	stop(&f);
}

static int count_entry(void *arg, const struct gofer_listed_entry *e)
{
	int *count = arg;

	assert_true(S_ISREG(e->attr->mode));
	assert_int_equal(e->type, DT_REG);
	++*count;
	return 0;
}

static void lists_in_bulk(void **state)
{
	struct fixture f;
	uint64_t dir, position = 0, trips;
	bool at_end = false;
	int count = 0;
	const struct gofer_list_call list = {.on_entry = count_entry, .arg = &count};

	sh("cd %s && mkdir many && cd many && seq -f 'entry-%%04g' 1 1000 | xargs touch", tree_path);
	start(&f, true);
	dir = walk1(&f, f.root.node, NAME("many"));
	trips = f.client.round_trips;
	while (!at_end)
		assert_int_equal(gofer_list(&f.client, dir, &list, &position, &at_end), 0);
	assert_int_equal(count, 1000);
	assert_true(f.client.round_trips - trips <= 4);
	stop(&f);
	sh("rm -r %s/many", tree_path);
}

static int count_any(void *arg, const struct gofer_listed_entry *e)
{
	++*(int *)arg;
	return 0;
}

static int count_below(void *arg, uint32_t dir, uint32_t entry, uint32_t count)
{
	assert_int_equal(dir, 0);
	assert_int_equal(entry, 0);
	assert_int_equal(count, 200);
	return 0;
}

struct xattr_count {
	int with, without;
};

static int count_xattrs(void *arg, const struct gofer_listed_entry *e)
{
	struct xattr_count *count = arg;

	if (e->attr->flags & GOFER_ATTR_NO_XATTRS)
		count->without++;
	else
		count->with++;
	return 0;
}

static void lists_tell_who_has_no_xattrs(void **state)
{
	struct xattr_count count = {0};
	const struct gofer_list_call list = {.flags = GOFER_LIST_XATTRS, .on_entry = count_xattrs, .arg = &count};
	uint64_t position = 0;
	char path[PATH_MAX];
	bool at_end;
	struct fixture f;
	int expected = 1;

	sh("cd %s && mkdir some && cd some && touch a b c && ln -s b d", tree_path);
	snprintf(path, sizeof(path), "%s/some/b", tree_path);
	if (setxattr(path, "user.x", "y", 1, 0) < 0)
		expected = 0; // not on this file system
	start(&f, true);
	assert_int_equal(gofer_list(&f.client, walk1(&f, f.root.node, NAME("some")), &list, &position, &at_end), 0);
	assert_int_equal(count.with, expected);
	assert_int_equal(count.without, 4 - expected);
	stop(&f);
	sh("rm -r %s/some", tree_path);
}

// What came in one answer, as paths: "top/a/b top/f" and so on.
struct tree_seen {
	char paths[512], dirs[BELOW_SEEN][64], entries[BELOW_SEEN][16][32];
	int nentries[BELOW_SEEN], ndirs, with_attrs;
	char link[32];
};

static int see_entry(void *arg, const struct gofer_listed_entry *e)
{
	struct tree_seen *seen = arg;
	int dir = seen->ndirs, at = (int)strlen(seen->paths);
	char above[64];

	strcpy(above, seen->dirs[dir]);
	snprintf(seen->entries[dir][seen->nentries[dir]++], 32, "%.*s", (int)e->len, e->name);
	snprintf(seen->paths + at, sizeof(seen->paths) - at, "%s%.*s ", above, (int)e->len, e->name);
	if (e->type == DT_DIR)
		assert_non_null(e->attr);
	else if (e->attr)
		seen->with_attrs++;
	if (e->link)
		snprintf(seen->link, sizeof(seen->link), "%.*s", (int)e->link_len, e->link);
	return 0;
}

static int see_below(void *arg, uint32_t dir, uint32_t entry, uint32_t count)
{
	struct tree_seen *seen = arg;
	char above[64], name[32];

	assert_true(dir ? (int)entry < seen->nentries[dir] : entry == 1);
	strcpy(above, seen->dirs[dir]);
	strcpy(name, dir ? seen->entries[dir][entry] : "top");
	snprintf(seen->dirs[++seen->ndirs], 64, "%.24s%.31s/", above, name);
	return 0;
}

static void lists_what_is_below(void **state)
{
	struct tree_seen seen = {0};
	struct gofer_list_call list = {.flags = GOFER_LIST_THIN, .on_entry = see_entry, .on_below = see_below, .arg = &seen};
	const struct gofer_name names[] = {NAME("none"), NAME("top"), NAME("out")}; // what isn't a directory is left out
	struct fixture f;

	sh("cd %s && mkdir -p top/a/b/c top/e && cd top && touch f a/g a/b/c/h && ln -s e a/b/l", tree_path);
	start(&f, true);
	assert_int_equal(gofer_list_below(&f.client, f.root.node, &list, names, 3, 1000), 0);
	assert_int_equal(seen.ndirs, 5);
	for (const char *const *p = (const char *const[]){"top/a ", "top/e ", "top/f ", "top/a/b ", "top/a/g ", "top/a/b/c ", "top/a/b/l ",
							  "top/a/b/c/h ", NULL}; *p; p++)
		assert_non_null(strstr(seen.paths, *p));
	assert_int_equal(seen.with_attrs, 0);
	seen = (struct tree_seen){0};
	list.flags = 0;
	assert_int_equal(gofer_list_below(&f.client, f.root.node, &list, names, 3, 1000), 0);
	assert_int_equal(seen.with_attrs, 4);
	assert_string_equal(seen.link, "e");
	seen = (struct tree_seen){0};
	assert_int_equal(gofer_list_below(&f.client, f.root.node, &list, names, 3, 1), 0);
	assert_int_equal(seen.ndirs, 1); // whole, but no more
	assert_int_equal(seen.nentries[1], 3);
	assert_int_equal(gofer_list_below(&f.client, walk1(&f, f.root.node, NAME("out")), &list, names, 3, 1), -ENOTDIR);
	stop(&f);
	sh("rm -r %s/top", tree_path);
}

// More than a message holds: a directory comes whole or not at all.
static void below_is_cut_between_directories(void **state)
{
	int count = 0;
	const struct gofer_list_call list = {.flags = GOFER_LIST_THIN, .on_entry = count_any, .on_below = count_below, .arg = &count};
	const struct gofer_name names[] = {NAME("1"), NAME("2"), NAME("3")};
	struct fixture f;

	sh("cd %s && mkdir -p top/1 top/2 top/3 && for d in 1 2 3; do seq -f top/$d/%%0200g 1 200 | xargs touch; done", tree_path);
	start(&f, true);
	assert_int_equal(gofer_list_below(&f.client, walk1(&f, f.root.node, NAME("top")), &list, names, 3, UINT32_MAX), 0);
	assert_int_equal(count, 200);
	stop(&f);
	sh("rm -r %s/top", tree_path);
}

struct wide_seen {
	int dirs, entries;
};

static int count_wide(void *arg, const struct gofer_listed_entry *e)
{
	((struct wide_seen *)arg)->entries++;
	return 0;
}

static int count_wide_dir(void *arg, uint32_t dir, uint32_t entry, uint32_t count)
{
	struct wide_seen *seen = arg;

	if (seen->dirs++ == 0)
		assert_true(dir == 0 && entry == 0); // what was asked for first comes first
	return 0;
}

// So much that two threads list it: each directory comes once, and no descriptor stays open.
static void lists_what_is_far_below(void **state)
{
	struct wide_seen seen;
	const struct gofer_list_call list = {.flags = GOFER_LIST_THIN, .on_entry = count_wide, .on_below = count_wide_dir, .arg = &seen};
	const char *texts[] = {"1", "2", "3", "4", "5", "6", "7", "8"};
	struct gofer_name names[8];
	struct fixture f;
	uint64_t top;
	int before;

	sh("cd %s && mkdir top && cd top && for a in 1 2 3 4 5 6 7 8; do for b in 1 2 3 4 5; do for c in 1 2 3; do mkdir -p $a/$b/sub-$c; "
	   "touch $a/$b/sub-$c/file-with-a-long-name-of-its-own-$b-$c-1 $a/$b/sub-$c/2; done; done; done", tree_path);
	for (int i = 0; i < 8; i++)
		names[i] = (struct gofer_name){texts[i], 1};
	start(&f, true);
	top = walk1(&f, f.root.node, NAME("top"));
	before = descriptors_of(f.pid);
	for (int i = 0; i < 200; i++) {
		seen = (struct wide_seen){0};
		assert_int_equal(gofer_list_below(&f.client, top, &list, names, 8, UINT32_MAX), 0);
		assert_int_equal(seen.dirs, 8 + 40 + 120);
		assert_int_equal(seen.entries, 40 + 120 + 240);
	}
	assert_int_equal(descriptors_of(f.pid), before);
	for (uint32_t room = 1; room < 400; room += 7) { // cut off at any place
		seen = (struct wide_seen){0};
		assert_int_equal(gofer_list_below(&f.client, top, &list, names, 8, room), 0);
		assert_true(seen.dirs > 0 && seen.dirs <= 168);
	}
	assert_int_equal(descriptors_of(f.pid), before);
	stop(&f);
	sh("rm -r %s/top", tree_path);
}

static void changes_writable_trees(void **state)
{
	struct gofer_create file = {.mode = S_IFREG | 04751, .uid = 1000, .gid = 1001}, dir = {.mode = S_IFDIR | 0700};
	struct gofer_setattr set = {.valid = GOFER_SET_SIZE | GOFER_SET_MTIME | GOFER_SET_MODE, .size = 2, .mode = 0640, .mtime.sec = 5};
	struct gofer_entry entry, made;
	struct gofer_attr attr;
	struct fixture f;
	char value[8];
	uint32_t found;
	int fd;

	start(&f, false);
	assert_int_equal(gofer_create(&f.client, f.root.node, NAME("new"), &file, &entry, &fd), 0);
	assert_int_equal(write(fd, "data", 4), 4);
	close(fd);
	assert_int_equal(entry.attr.mode, S_IFREG | 04751);
	assert_int_equal(entry.attr.uid, 1000);
	assert_int_equal(gofer_create(&f.client, f.root.node, NAME("new"), &file, &made, &fd), -EEXIST);
	assert_int_equal(gofer_setattr(&f.client, entry.node, &set, &attr), 0);
	assert_int_equal(attr.size, 2);
	assert_int_equal(attr.mode, S_IFREG | 0640);
	assert_int_equal(attr.mtime.sec, 5);
	assert_int_equal(gofer_create(&f.client, f.root.node, NAME("dir"), &dir, &made, &fd), 0);
	assert_int_equal(gofer_rename(&f.client, f.root.node, NAME("new"), made.node, NAME("moved"), 0), 0);
	assert_int_equal(gofer_link(&f.client, f.root.node, NAME("again"), entry.node, &attr), 0);
	assert_int_equal(attr.nlink, 2);
	assert_int_equal(gofer_setxattr(&f.client, entry.node, "user.k", "v", 1, 0), 0);
	assert_int_equal(gofer_getxattr(&f.client, entry.node, "user.k", value, sizeof(value)), 1);
	assert_int_equal(gofer_removexattr(&f.client, entry.node, "user.k"), 0);
	assert_int_equal(gofer_getxattr(&f.client, entry.node, "user.k", value, sizeof(value)), -ENODATA);
	assert_int_equal(gofer_unlink(&f.client, made.node, NAME("moved"), 0), 0);
	assert_int_equal(gofer_symlink(&f.client, made.node, NAME("l"), NAME("../../x"), &dir, &entry), 0);
	assert_true(S_ISLNK(entry.attr.mode));
	assert_int_equal(gofer_unlink(&f.client, f.root.node, NAME("dir"), AT_REMOVEDIR), -ENOTEMPTY);
	assert_int_equal(gofer_unlink(&f.client, made.node, NAME("l"), 0), 0);
	assert_int_equal(gofer_unlink(&f.client, f.root.node, NAME("dir"), AT_REMOVEDIR), 0);
	assert_int_equal(gofer_tmpfile(&f.client, f.root.node, &file, &entry, &fd), 0);
	close(fd);
	assert_int_equal(gofer_link(&f.client, f.root.node, NAME("named"), entry.node, &attr), 0);
	assert_int_equal(gofer_walk(&f.client, f.root.node, &NAME("named"), 1, &entry, &found, NULL, NULL), 0);
	assert_int_equal(gofer_fsync(&f.client, f.root.node), 0);
	dir.mode = S_IFCHR | 0666;
	assert_int_equal(gofer_create(&f.client, f.root.node, NAME("dev"), &dir, &entry, &fd), -EPERM);
	stop(&f);
}

static void keeps_readonly_trees(void **state)
{
	struct gofer_create file = {.mode = S_IFREG | 0644};
	struct gofer_entry entry;
	struct fixture f;
	uint64_t node;
	int fd;

	start(&f, true);
	assert_int_equal(gofer_create(&f.client, f.root.node, NAME("new2"), &file, &entry, &fd), -EROFS);
	assert_int_equal(gofer_unlink(&f.client, f.root.node, NAME("d"), AT_REMOVEDIR), -EROFS);
	node = walk1(&f, walk1(&f, walk1(&f, f.root.node, NAME("a")), NAME("b")), NAME("file"));
	assert_int_equal(gofer_open(&f.client, node, O_RDWR, &fd), -EROFS);
	assert_int_equal(gofer_open(&f.client, node, O_RDONLY | O_TRUNC, &fd), -EPROTO);
	stop(&f);
}

static int32_t raw(struct fixture *f, const void *msg, size_t len)
{
	_Alignas(8) uint8_t answer[GOFER_MSG_MAX];
	struct gofer_answer head;
	int fd;
	long n;

	assert_int_equal(msg_send(f->raw, msg, len, -1), 0);
	n = msg_receive(f->raw, answer, sizeof(answer), &fd);
	assert_true(n >= (long)sizeof(head));
	assert_int_equal(fd, -1);
	memcpy(&head, answer, sizeof(head));
	return head.error;
}

static void refuses_hostile_messages(void **state)
{
	struct gofer_request head = {.size = sizeof(head), .op = GOFER_GETATTR, .node = 12345};
	static uint8_t big[GOFER_MSG_MAX + 100];
	struct {
		struct gofer_request head;
		uint32_t len;
		char s[4];
	} walk = {.head = {.size = sizeof(walk), .op = GOFER_WALK}, .len = 0xffffffff};
	struct fixture f;

	start(&f, false);
	assert_int_equal(raw(&f, "x", 1), -EPROTO);
	assert_int_equal(raw(&f, big, sizeof(big)), -EPROTO);
	assert_int_equal(raw(&f, &head, sizeof(head)), -ESTALE);
	head.node = f.root.node;
	head.op = 999;
	assert_int_equal(raw(&f, &head, sizeof(head)), -ENOSYS);
	for (int op = GOFER_ATTACH; op < GOFER_OPS; op++) {
		head.op = op; // without its struct
		if (op == GOFER_FORGET || op == GOFER_WALK || op == GOFER_GETATTR || op == GOFER_STATFS || op == GOFER_LISTXATTR ||
		    op == GOFER_READLINK || op == GOFER_FSYNC)
			continue;
		assert_int_equal(raw(&f, &head, sizeof(head)), -EPROTO);
	}
	head.size = 4;
	assert_int_equal(raw(&f, &head, sizeof(head)), -EPROTO);
	walk.head.node = f.root.node;
	assert_int_equal(raw(&f, &walk, sizeof(walk)), -EPROTO);
	stop(&f);
}

static void forgets(void **state)
{
	struct gofer_attr attr;
	struct fixture f;
	uint64_t node;

	start(&f, true);
	node = walk1(&f, f.root.node, NAME("a"));
	gofer_forget(&f.client, node);
	assert_int_equal(gofer_getattr(&f.client, node, &attr), -ESTALE);
	stop(&f);
}

static void a_dead_gofer_answers_eio(void **state)
{
	struct gofer_attr attr;
	struct fixture f;
	int status;

	log_threshold = LOG_ERROR - 1;
	start(&f, true);
	kill(f.pid, SIGKILL);
	waitpid(f.pid, &status, 0);
	assert_int_equal(gofer_getattr(&f.client, f.root.node, &attr), -EIO);
	assert_int_equal(gofer_getattr(&f.client, f.root.node, &attr), -EIO);
	gofer_client_fini(&f.client);
}

// Who has as many descriptors as he may can't take another one; that is no fault of the gofer's.
static void survives_a_lack_of_descriptors(void **state)
{
	const struct gofer_create how = {.mode = S_IFREG | 0644, .uid = getuid(), .gid = getgid()};
	struct gofer_name path[] = {NAME("a"), NAME("b"), NAME("file")};
	struct rlimit before, none;
	struct gofer_entry entries[3], made;
	struct gofer_attr attr;
	struct fixture f;
	uint32_t found;
	uint64_t node;
	int fd;

	(void)state;
	start(&f, false);
	assert_int_equal(gofer_walk(&f.client, f.root.node, path, 3, entries, &found, NULL, NULL), 0);
	node = entries[2].node;
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
	fd = dup(0);
	close(fd);
	none = (struct rlimit){(rlim_t)fd, before.rlim_max};
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
	assert_int_equal(gofer_open(&f.client, node, O_RDONLY, &fd), -ENFILE);
	assert_int_equal(gofer_create(&f.client, f.root.node, NAME("born"), &how, &made, &fd), -ENFILE);
	assert_int_equal(gofer_walk(&f.client, f.root.node, path, 3, entries, &found, NULL, &fd), 0);
	assert_int_equal(found, 3);
	assert_int_equal(fd, -1);
	assert_int_equal(gofer_getattr(&f.client, node, &attr), 0);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
	assert_int_equal(gofer_open(&f.client, node, O_RDONLY, &fd), 0);
	close(fd);
	assert_int_equal(gofer_unlink(&f.client, f.root.node, NAME("born"), 0), 0);
	stop(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(reads_files),
		cmocka_unit_test(walks_open_files),
		cmocka_unit_test(never_leaves_the_tree),
		cmocka_unit_test(survives_symlink_races),
		cmocka_unit_test(lists_in_bulk),
		cmocka_unit_test(lists_tell_who_has_no_xattrs),
		cmocka_unit_test(lists_what_is_below),
		cmocka_unit_test(below_is_cut_between_directories),
		cmocka_unit_test(lists_what_is_far_below),
		cmocka_unit_test(changes_writable_trees),
		cmocka_unit_test(keeps_readonly_trees),
		cmocka_unit_test(refuses_hostile_messages),
		cmocka_unit_test(forgets),
		cmocka_unit_test(a_dead_gofer_answers_eio),
		cmocka_unit_test(survives_a_lack_of_descriptors),
	};

	return cmocka_run_group_tests(tests, make_tree, remove_tree);
}
