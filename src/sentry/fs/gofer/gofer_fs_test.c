// The file system of host files against a real gofer: what is known costs no message, and our changes are seen at once.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "gofer/gofer.h"
#include "gofer/message.h"
#include "lib/log.h"
#include "platform/platform.h"
#include "sentry/fs/gofer/gofer_int.h"
#include "sentry/kernel/cred.h"
#include "sentry/vfs/container_mounts.h"
#include "sentry/vfs/vfs_int.h"

static char tree_path[64];
static const char *more_of_tree; // NULL: none
static bool lying_gofer;

struct fixture {
	pid_t gofer;
	struct super_block *sb;
	struct mount_ns *ns;
	struct path root;
};

static void sh(const char *what)
{
	char cmd[512];

	snprintf(cmd, sizeof(cmd), "cd %s && %s", tree_path, what);
	assert_int_equal(system(cmd), 0);
}

// Between us and a gofer: says of each directory that came along that it is another one, which there isn't.
static int lie(int conn_fd, int gofer_fd)
{
	static _Alignas(8) uint8_t message[GOFER_MSG_MAX];
	struct gofer_list_below below;
	struct gofer_request rq;
	struct gofer_answer rp;
	int fd;

	for (;;) {
		long n = msg_receive(conn_fd, message, sizeof(message), &fd);

		if (n <= 0)
			return 0;
		memcpy(&rq, message, sizeof(rq));
		if (msg_send(gofer_fd, message, (size_t)n, -1) < 0)
			return 1;
		if (rq.op == GOFER_FORGET)
			continue;
		n = msg_receive(gofer_fd, message, sizeof(message), &fd);
		if (n <= 0)
			return 1;
		memcpy(&rp, message, sizeof(rp));
		if (rp.op == GOFER_LIST_BELOW && (size_t)n >= sizeof(rp) + sizeof(below)) {
			memcpy(&below, message + sizeof(rp), sizeof(below));
			below.entry += 7777;
			memcpy(message + sizeof(rp), &below, sizeof(below));
		}
		if (msg_send(conn_fd, message, (size_t)n, fd) < 0)
			return 1;
		if (fd >= 0)
			close(fd);
	}
}

static int serve(const struct gofer_config *config)
{
	struct gofer_config behind = *config;
	int socks[2];

	if (!lying_gofer)
		return gofer_main(config);
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, socks) < 0)
		return 1;
	behind.conn_fd = socks[1];
	if (fork() == 0) {
		close(socks[0]);
		close(config->conn_fd);
		_exit(gofer_main(&behind));
	}
	close(socks[1]);
	return lie(config->conn_fd, socks[0]);
}

static void start(struct fixture *f, bool readonly, bool shared)
{
	struct gofer_mount how = {.shared = shared};
	struct fs_mount_args args = {.internal = &how};
	int socks[2];

	strcpy(tree_path, "/tmp/gofer-fs-test-XXXXXX");
	assert_non_null(mkdtemp(tree_path));
	sh("mkdir -p dir/sub many && echo hello >dir/file && ln dir/file dir/twin && ln -s dir/file link && "
	   "mkdir -p a/b/c && echo hello >a/b/c/file && ln -s a/b/c way && "
	   "seq -f many/%04g 1 1000 | xargs touch");
	if (more_of_tree)
		sh(more_of_tree);
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, socks), 0);
	f->gofer = fork();
	if (f->gofer == 0) {
		struct gofer_tree tree = {.dir_fd = open(tree_path, O_PATH | O_DIRECTORY), .readonly = readonly};
		struct gofer_config config = {.conn_fd = socks[1], .proc_self_fd = -1, .trees = &tree, .ntrees = 1};

		close(socks[0]);
		_exit(serve(&config));
	}
	close(socks[1]);
	how.fd = socks[0];
	assert_int_equal(gofer_type.mount(&gofer_type, &args, &f->sb), 0);
	f->ns = mount_ns_create(f->sb, 0);
	assert_non_null(f->ns);
	f->root = (struct path){mount_get(f->ns->root), dentry_get(f->sb->root)};
}

static void stop(struct fixture *f)
{
	char cmd[96];
	int status;

	path_put(&f->root);
	mount_ns_put(f->ns);
	assert_int_equal(waitpid(f->gofer, &status, 0), f->gofer);
	assert_int_equal(status, 0);
	snprintf(cmd, sizeof(cmd), "rm -rf %s", tree_path);
	assert_int_equal(system(cmd), 0);
}

static uint64_t trips(struct fixture *f)
{
	struct gofer_sb *gsb = f->sb->priv;

	return gsb->conn->client.round_trips;
}

static int lookup(struct fixture *f, const char *path, struct path *out)
{
	return vfs_lookup(NULL, &f->root, path, 0, out);
}

static struct path must_find(struct fixture *f, const char *path)
{
	struct path p;

	assert_int_equal(lookup(f, path, &p), 0);
	return p;
}

struct count {
	struct dir_emit emit;
	int n;
};

static bool count_one(struct dir_emit *d, const char *name, size_t len, uint64_t ino, unsigned char type, int64_t next_pos)
{
	container_of(d, struct count, emit)->n++;
	return true;
}

static int list(struct fixture *f, const char *path)
{
	struct count c = {.emit.emit = count_one};
	struct path p = must_find(f, path);
	struct file *file;
	int64_t pos = 0;

	assert_int_equal(vfs_open_path(NULL, &p, O_RDONLY | O_DIRECTORY, &file), 0);
	assert_int_equal(file->ops->readdir(file, &c.emit, &pos), 0);
	file_put(file);
	path_put(&p);
	return c.n;
}

static void known_names_cost_nothing(void **state)
{
	struct fixture f;
	struct path p, q;
	uint64_t before;

	start(&f, true, false);
	p = must_find(&f, "dir/file");
	assert_int_equal(lookup(&f, "dir/none", &q), -ENOENT);
	before = trips(&f);
	q = must_find(&f, "dir/file");
	assert_ptr_equal(p.dentry, q.dentry);
	path_put(&q);
	assert_int_equal(lookup(&f, "dir/none", &q), -ENOENT);
	assert_int_equal(trips(&f), before);
	q = must_find(&f, "dir/twin");
	assert_ptr_equal(dentry_inode(p.dentry), dentry_inode(q.dentry)); // hard links share the inode
	path_put(&q);
	path_put(&p);
	stop(&f);
}

// Nobody changes a read-only tree: a path is one message, one more behind a link, which nobody has to read. In others each name is one.
static void paths_are_walked_ahead(void **state)
{
	struct fixture f;
	struct path p, q;
	uint64_t before;

	start(&f, true, false);
	before = trips(&f);
	p = must_find(&f, "a/b/c/file");
	assert_int_equal(trips(&f), before + 1);
	assert_true(S_ISREG(dentry_inode(p.dentry)->attr.mode));
	q = must_find(&f, "way/file");
	assert_ptr_equal(p.dentry, q.dentry);
	assert_int_equal(trips(&f), before + 2);
	path_put(&q);
	assert_int_equal(lookup(&f, "dir/none/x", &q), -ENOENT);
	assert_int_equal(lookup(&f, "dir/none", &q), -ENOENT);
	assert_int_equal(trips(&f), before + 3);
	q = must_find(&f, "dir/../many/./0001");
	path_put(&q);
	path_put(&p);
	stop(&f);
	start(&f, false, false);
	before = trips(&f);
	p = must_find(&f, "a/b/c");
	assert_int_equal(trips(&f), before + 3);
	path_put(&p);
	stop(&f);
}

static void a_listing_answers_lookups(void **state)
{
	struct inode_attr attr;
	struct fixture f;
	struct path p;
	uint64_t before;
	char name[16];

	start(&f, true, false);
	before = trips(&f);
	assert_int_equal(list(&f, "many"), 1002);
	assert_true(trips(&f) - before <= 5);
	before = trips(&f);
	for (int i = 1; i <= 1000; i++) {
		snprintf(name, sizeof(name), "many/%04d", i);
		p = must_find(&f, name);
		assert_int_equal(vfs_getattr(&p, &attr), 0);
		assert_true(S_ISREG(attr.mode));
		path_put(&p);
	}
	assert_int_equal(lookup(&f, "many/none", &p), -ENOENT);
	assert_int_equal(list(&f, "many"), 1002);
	assert_int_equal(trips(&f), before);
	stop(&f);
}

// Opening a file to read it takes one message, whether nothing is known of it, or its name by a listing.
static void opening_is_one_message(void **state)
{
	struct fixture f;
	struct file *file;
	uint64_t before;
	char buf[8];

	start(&f, true, false);
	before = trips(&f);
	assert_int_equal(vfs_open(NULL, &f.root, "a/b/c/file", O_RDONLY, 0, 0, &file), 0);
	assert_int_equal(trips(&f), before + 1);
	assert_int_equal(file_read_kernel(file, buf, sizeof(buf), 0), 6);
	assert_memory_equal(buf, "hello\n", 6);
	file_put(file);
	assert_int_equal(list(&f, "many"), 1002);
	before = trips(&f);
	assert_int_equal(vfs_open(NULL, &f.root, "many/0007", O_RDONLY, 0, 0, &file), 0);
	assert_int_equal(trips(&f), before + 1);
	assert_int_equal(file_read_kernel(file, buf, sizeof(buf), 0), 0);
	file_put(file);
	assert_int_equal(vfs_open(NULL, &f.root, "many/none", O_RDONLY, 0, 0, &file), -ENOENT);
	assert_int_equal(trips(&f), before + 1);
	stop(&f);
}

static struct inode *make(struct inode *dir, const char *name, uint32_t mode)
{
	struct inode *made;

	mutex_lock(&dir->mu);
	assert_int_equal(dir->ops->create(dir, name, strlen(name), mode, 0, NULL, &made), 0);
	mutex_unlock(&dir->mu);
	return made;
}

struct names {
	struct dir_emit emit;
	int n, ndirs;
	char dirs[32][16];
};

static bool note_dir(struct dir_emit *d, const char *name, size_t len, uint64_t ino, unsigned char type, int64_t next_pos)
{
	struct names *seen = container_of(d, struct names, emit);

	if (name[0] == '.')
		return true;
	seen->n++;
	if (type == DT_DIR)
		snprintf(seen->dirs[seen->ndirs++], 16, "%.*s", (int)len, name);
	return true;
}

// How many names a tree has, its directories taken forwards or backwards.
static int list_down(struct fixture *f, const char *path, bool backwards)
{
	struct names seen = {.emit.emit = note_dir};
	struct path p = must_find(f, path);
	struct file *file;
	char below[128];
	int n;

	assert_int_equal(vfs_open_path(NULL, &p, O_RDONLY | O_DIRECTORY, &file), 0);
	path_put(&p);
	for (int64_t pos = 0, before = -1; pos != before;) {
		before = pos;
		assert_int_equal(file->ops->readdir(file, &seen.emit, &pos), 0);
	}
	file_put(file);
	n = seen.n;
	for (int i = 0; i < seen.ndirs; i++) {
		snprintf(below, sizeof(below), "%s/%s", path, seen.dirs[backwards ? seen.ndirs - 1 - i : i]);
		n += list_down(f, below, backwards);
	}
	return n;
}

static void below_comes_along(void **state)
{
	enum { DIRS = 20, NAMES = DIRS + 2 * DIRS * DIRS + DIRS }; // wide/N, wide/N/M and a link beside each of these, wide/N/7/file
	struct inode_attr attr;
	struct fixture f;
	struct path p;
	uint64_t before;
	char buf[16];

	more_of_tree = "for i in $(seq 20); do mkdir -p wide/$i; for j in $(seq 20); do echo wide/$i/$j; ln -s to$i/$j wide/$i/l$j; done; done | "
		       "xargs mkdir; for i in $(seq 20); do echo hello >wide/$i/7/file; done";
	for (int backwards = 0; backwards < 2; backwards++) {
		start(&f, true, false);
		before = trips(&f);
		assert_int_equal(list_down(&f, "wide", backwards), NAMES);
		assert_true(trips(&f) - before <= 20);
		before = trips(&f);
		assert_int_equal(list_down(&f, "wide", backwards), NAMES);
		assert_int_equal(lookup(&f, "wide/9/9/none", &p), -ENOENT);
		assert_int_equal(trips(&f), before);
		for (int i = 1; i <= DIRS; i++) { // attributes, which weren't asked for so far: once a directory
			snprintf(buf, sizeof(buf), "wide/%d/7/file", i);
			p = must_find(&f, buf);
			assert_int_equal(vfs_getattr(&p, &attr), 0);
			assert_int_equal(attr.size, 6);
			path_put(&p);
		}
		assert_true(trips(&f) - before <= 3 * DIRS);
		p = must_find(&f, "wide/3/l8");
		assert_int_equal(inode_readlink(dentry_inode(p.dentry), buf, sizeof(buf)), 5);
		assert_memory_equal(buf, "to3/8", 5);
		path_put(&p);
		stop(&f);
	}
	more_of_tree = NULL;
}

// In a tree that we change ourselves nothing comes along, and what is new is listed.
static void below_is_asked_for_where_it_changes(void **state)
{
	struct fixture f;
	struct path p;
	struct inode *made;

	start(&f, false, false);
	assert_int_equal(list_down(&f, "a", false), 3);
	p = must_find(&f, "a/b/c");
	made = make(dentry_inode(p.dentry), "new", S_IFREG | 0644);
	inode_put(made);
	path_put(&p);
	assert_int_equal(list_down(&f, "a", false), 4);
	stop(&f);
	start(&f, true, true);
	assert_int_equal(list_down(&f, "a", false), 3);
	sh("touch a/b/c/new");
	assert_int_equal(list_down(&f, "a", false), 4);
	stop(&f);
}

static void nonsense_below_is_not_believed(void **state)
{
	struct fixture f;

	lying_gofer = true;
	start(&f, true, false);
	lying_gofer = false;
	assert_int_equal(list(&f, "a"), 3);
	assert_int_equal(list(&f, "a/b"), 3);
	assert_int_equal(list_down(&f, "a", false), 3);
	stop(&f);
}

static void files_are_read_and_kept_open(void **state)
{
	struct fixture f;
	struct file *file;
	struct path p;
	uint64_t before;
	char buf[16];

	start(&f, true, false);
	list(&f, "dir"); // its inode then has no node yet
	p = must_find(&f, "dir/file");
	assert_int_equal(vfs_open_path(NULL, &p, O_RDONLY, &file), 0);
	before = trips(&f);
	assert_int_equal(file_read_kernel(file, buf, sizeof(buf), 0), 6);
	assert_memory_equal(buf, "hello\n", 6);
	assert_int_equal(file_read_kernel(file, buf, sizeof(buf), 4), 2);
	file_put(file);
	assert_int_equal(vfs_open_path(NULL, &p, O_RDONLY, &file), 0);
	file_put(file);
	assert_int_equal(trips(&f), before);
	path_put(&p);
	p = must_find(&f, "link");
	assert_int_equal(inode_readlink(dentry_inode(p.dentry), buf, sizeof(buf)), 8);
	path_put(&p);
	stop(&f);
}

static void changes_reach_the_host(void **state)
{
	const struct setattr set = {.valid = ATTR_MODE | ATTR_SIZE, .mode = 0600, .size = 3};
	struct inode *dir, *made;
	struct inode_attr attr;
	struct fixture f;
	struct file *file;
	struct path p, d;
	struct uio_seg seg;
	struct uio u;
	int64_t pos = 0;

	start(&f, false, false);
	d = must_find(&f, "dir");
	dir = dentry_inode(d.dentry);
	assert_int_equal(list(&f, "dir"), 5);
	made = make(dir, "new", S_IFREG | 0644);
	assert_int_equal(list(&f, "dir"), 6);
	inode_put(made);
	p = must_find(&f, "dir/new");
	made = dentry_inode(p.dentry);
	assert_int_equal(vfs_open_path(NULL, &p, O_RDWR, &file), 0);
	uio_init_kernel(&u, &seg, "written", 7);
	assert_int_equal(file_write(file, &u, &pos), 7);
	assert_int_equal(vfs_getattr(&p, &attr), 0);
	assert_int_equal(attr.size, 7);
	sh("test $(cat dir/new) = written");
	mutex_lock(&made->mu);
	assert_int_equal(made->ops->setattr(made, &set), 0);
	mutex_unlock(&made->mu);
	sh("test $(cat dir/new) = wri && test $(stat -c %a dir/new) = 600");
	mutex_lock(&dir->mu);
	assert_int_equal(dir->ops->rename(dir, "new", 3, dir, "newer", 5, made, NULL, 0), 0);
	assert_int_equal(dir->ops->link(dir, "newest", 6, made), 0);
	assert_int_equal(dir->ops->unlink(dir, "newer", 5, made), 0);
	mutex_unlock(&dir->mu);
	assert_int_equal(list(&f, "dir"), 6);
	sh("test -f dir/newest && ! test -e dir/newer && ! test -e dir/new");
	assert_int_equal(vfs_getattr(&p, &attr), 0);
	assert_int_equal(attr.nlink, 1);
	file_put(file);
	path_put(&p);
	path_put(&d);
	stop(&f);
}

static void shared_trees_are_asked_again(void **state)
{
	struct inode_attr attr;
	struct fixture f;
	struct path p, q;

	start(&f, true, true);
	p = must_find(&f, "dir/file");
	assert_int_equal(lookup(&f, "dir/none", &q), -ENOENT);
	sh("echo more >>dir/file && touch dir/none");
	assert_int_equal(vfs_getattr(&p, &attr), 0);
	assert_int_equal(attr.size, 11);
	q = must_find(&f, "dir/none");
	path_put(&q);
	sh("mv dir/none dir/file");
	q = must_find(&f, "dir/file");
	assert_ptr_not_equal(dentry_inode(p.dentry), dentry_inode(q.dentry));
	assert_int_equal(vfs_getattr(&q, &attr), 0);
	assert_int_equal(attr.size, 0);
	path_put(&q);
	path_put(&p);
	sh("rm dir/file");
	assert_int_equal(lookup(&f, "dir/file", &q), -ENOENT);
	stop(&f);
}

static void a_lost_gofer_is_eio(void **state)
{
	struct fixture f;
	struct path p;
	int status;

	start(&f, true, false);
	kill(f.gofer, SIGKILL);
	waitpid(f.gofer, &status, 0);
	log_threshold = LOG_ERROR - 1;
	assert_int_equal(lookup(&f, "dir/file", &p), -EIO);
	path_put(&f.root);
	mount_ns_put(f.ns);
}

static int make_kernel(void **state)
{
	platform = &ptrace_ops;
	return kernel_create(&(struct kernel_config){.nworkers_max = 1});
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(known_names_cost_nothing),
		cmocka_unit_test(paths_are_walked_ahead),
		cmocka_unit_test(a_listing_answers_lookups),
		cmocka_unit_test(below_comes_along),
		cmocka_unit_test(below_is_asked_for_where_it_changes),
		cmocka_unit_test(nonsense_below_is_not_believed),
		cmocka_unit_test(opening_is_one_message),
		cmocka_unit_test(files_are_read_and_kept_open),
		cmocka_unit_test(changes_reach_the_host),
		cmocka_unit_test(shared_trees_are_asked_again),
		cmocka_unit_test(a_lost_gofer_is_eio),
	};

	return cmocka_run_group_tests(tests, make_kernel, NULL);
}
