// The sentry's side of the gofer's protocol.
#include "gofer/client.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "gofer/client_int.h"
#include "lib/kmem.h"
#include "lib/log.h"

int gofer_client_init(struct gofer_client *c, int sock)
{
	*c = (struct gofer_client){.sock = sock};
	mutex_init(&c->mu);
	mutex_init(&c->forget_mu);
	c->request = kmem_bytes(GOFER_MSG_MAX);
	c->answer = kmem_bytes(GOFER_MSG_MAX);
	if (c->request && c->answer)
		return 0;
	gofer_client_fini(c);
	return -ENOMEM;
}

void gofer_client_fini(struct gofer_client *c)
{
	close(c->sock);
	kmem_bytes_free(c->request);
	kmem_bytes_free(c->answer);
}

void trip_begin(struct trip *t, struct gofer_client *c, enum gofer_op op, uint64_t node)
{
	struct gofer_request head = {0};

	mutex_lock(&c->mu);
	*t = (struct trip){.client = c, .rq = {.buf = c->request, .cap = GOFER_MSG_MAX}, .op = op, .node = node, .fd = -1};
	msg_put_obj(&t->rq, &head);
}

static void put_name(struct trip *t, struct gofer_name name)
{
	msg_put_str(&t->rq, name.s, name.len);
}

static int die(struct gofer_client *c, const char *why)
{
	if (!c->dead)
		log_error("the gofer is lost (%s): its files answer EIO from now on", why);
	c->dead = true;
	return -EIO;
}

// Forgets go out ahead of the next request; they have no answer.
static void send_forgets(struct gofer_client *c)
{
	struct {
		struct gofer_request head;
		uint64_t nodes[GOFER_FORGETS_BATCH];
	} msg = {.head.op = GOFER_FORGET};
	size_t len;

	mutex_lock(&c->forget_mu);
	len = (size_t)c->nforgets * sizeof(uint64_t);
	memcpy(msg.nodes, c->forgets, len);
	c->nforgets = 0;
	mutex_unlock(&c->forget_mu);
	if (len == 0)
		return;
	msg.head.size = (uint32_t)(sizeof(msg.head) + len);
	if (msg_send(c->sock, &msg, msg.head.size, -1) < 0)
		die(c, "it does not take messages");
}

// The answer's head was checked by itself; its error is an errno and nothing else.
int trip_exchange(struct trip *t)
{
	struct gofer_client *c = t->client;
	struct gofer_request head = {.size = (uint32_t)t->rq.len, .op = t->op, .node = t->node};
	struct gofer_answer answer;
	long n;

	if (c->dead)
		return -EIO;
	if (t->rq.full)
		return -ENAMETOOLONG;
	memcpy(t->rq.buf, &head, sizeof(head));
	send_forgets(c);
	if (c->dead)
		return -EIO;
	n = msg_send(c->sock, t->rq.buf, t->rq.len, -1);
	if (n < 0)
		return die(c, strerrorname_np((int)-n));
	n = msg_receive(c->sock, c->answer, GOFER_MSG_MAX, &t->fd);
	if (n <= 0)
		return die(c, n ? strerrorname_np((int)-n) : "it ended");
	c->round_trips++;
	t->fd_lost = t->fd == MSG_FD_LOST;
	if (t->fd_lost)
		t->fd = -1;
	t->rp = (struct msg_in){.p = c->answer, .end = c->answer + n};
	if (!msg_get_obj(&t->rp, &answer) || answer.size != (size_t)n || answer.op != t->op || answer.error > 0 ||
	    answer.error < -4095 || !!answer.has_fd != (t->fd >= 0 || t->fd_lost))
		return die(c, "a malformed answer");
	return answer.error;
}

// Unlocks; the answer must have been read in full.
static int end(struct trip *t, int err)
{
	if (!err && (t->rp.bad || msg_left(&t->rp) > 0))
		err = die(t->client, "a malformed answer");
	if (err && t->fd >= 0) {
		close(t->fd);
		t->fd = -1;
	}
	mutex_unlock(&t->client->mu);
	return err;
}

int trip_end_plain(struct trip *t, int err)
{
	if (!err && (t->fd >= 0 || t->fd_lost))
		err = die(t->client, "a descriptor that nobody asked for");
	return end(t, err);
}

static int need_fd(struct trip *t, int err, int *out_fd)
{
	struct stat st;

	if (!err && t->fd_lost)
		err = -ENFILE;
	if (!err && (t->fd < 0 || fstat(t->fd, &st) < 0 || !S_ISREG(st.st_mode)))
		err = die(t->client, "no regular file came");
	err = end(t, err);
	*out_fd = t->fd;
	return err;
}

static int get_entry(struct trip *t, int err, struct gofer_entry *out)
{
	if (!err)
		msg_get_obj(&t->rp, out);
	return err;
}

int gofer_attach(struct gofer_client *c, uint32_t tree, struct gofer_entry *out_root, struct gofer_attached *out)
{
	struct gofer_attach how = {.version = GOFER_VERSION, .tree = tree};
	struct trip t;
	int err;

	trip_begin(&t, c, GOFER_ATTACH, 0);
	msg_put_obj(&t.rq, &how);
	err = get_entry(&t, trip_exchange(&t), out_root);
	if (!err)
		msg_get_obj(&t.rp, out);
	return trip_end_plain(&t, err);
}

int gofer_walk(struct gofer_client *c, uint64_t node, const struct gofer_name *names, uint32_t count, struct gofer_entry *out_entries,
	       uint32_t *out_found, char **out_link, int *out_fd)
{
	const struct gofer_open how = {.flags = O_RDONLY};
	struct gofer_walked walked = {0};
	const char *target = NULL;
	struct trip t;
	size_t len;
	int err;

	*out_found = 0;
	if (out_fd)
		*out_fd = -1;
	if (out_link)
		*out_link = NULL;
	trip_begin(&t, c, out_fd ? GOFER_WALK_OPEN : GOFER_WALK, node);
	if (out_fd)
		msg_put_obj(&t.rq, &how);
	for (uint32_t i = 0; i < count; i++)
		put_name(&t, names[i]);
	err = trip_exchange(&t);
	if (!err && msg_get_obj(&t.rp, &walked) && walked.found <= count && walked.stopped <= 0) {
		for (uint32_t i = 0; i < walked.found; i++)
			msg_get_obj(&t.rp, &out_entries[i]);
		target = msg_get_str(&t.rp, GOFER_PATH_MAX + 1, &len);
		if (target && len && out_link)
			*out_link = kmem_strndup(target, len); // without memory it is asked for again
	} else if (!err) {
		t.rp.bad = true;
	}
	if (out_fd && t.fd >= 0)
		err = need_fd(&t, err, out_fd);
	else if (out_fd && t.fd_lost)
		err = end(&t, err); // who opens it hears of that
	else
		err = trip_end_plain(&t, err);
	if (err && out_link) {
		kmem_bytes_free(*out_link);
		*out_link = NULL;
	}
	if (err)
		return err;
	*out_found = walked.found;
	return walked.stopped;
}

static int attr_answer(struct trip *t, struct gofer_attr *out)
{
	int err = trip_exchange(t);

	if (!err)
		msg_get_obj(&t->rp, out);
	return trip_end_plain(t, err);
}

int gofer_getattr(struct gofer_client *c, uint64_t node, struct gofer_attr *out)
{
	struct trip t;

	trip_begin(&t, c, GOFER_GETATTR, node);
	return attr_answer(&t, out);
}

int gofer_open(struct gofer_client *c, uint64_t node, uint32_t flags, int *out_fd)
{
	struct gofer_open how = {.flags = flags};
	struct trip t;

	trip_begin(&t, c, GOFER_OPEN, node);
	msg_put_obj(&t.rq, &how);
	return need_fd(&t, trip_exchange(&t), out_fd);
}

// An answer that is one string of at most max bytes. cut: a short dst takes its beginning, else it is an -ERANGE (dst of 0: the length).
static int64_t str_answer(struct trip *t, void *dst, size_t cap, size_t max, bool cut)
{
	int err = trip_exchange(t);
	const char *s = NULL;
	size_t len = 0;

	if (!err)
		s = msg_get_str(&t->rp, max, &len);
	if (s && cut && len > cap)
		len = cap;
	if (s && len > cap && cap > 0)
		err = -ERANGE;
	if (s && !err && cap > 0)
		memcpy(dst, s, len);
	err = trip_end_plain(t, err);
	return err ? err : (int64_t)len;
}

int64_t gofer_readlink(struct gofer_client *c, uint64_t node, char *dst, size_t cap)
{
	struct trip t;

	trip_begin(&t, c, GOFER_READLINK, node);
	return str_answer(&t, dst, cap, GOFER_PATH_MAX + 1, true);
}

int gofer_statfs(struct gofer_client *c, uint64_t node, struct gofer_statfs *out)
{
	struct trip t;
	int err;

	trip_begin(&t, c, GOFER_STATFS, node);
	err = trip_exchange(&t);
	if (!err)
		msg_get_obj(&t.rp, out);
	return trip_end_plain(&t, err);
}

int64_t gofer_getxattr(struct gofer_client *c, uint64_t node, const char *name, void *dst, size_t cap)
{
	struct trip t;

	trip_begin(&t, c, GOFER_GETXATTR, node);
	msg_put_str(&t.rq, name, strlen(name));
	return str_answer(&t, dst, cap, GOFER_XATTR_MAX, false);
}

int64_t gofer_listxattr(struct gofer_client *c, uint64_t node, char *dst, size_t cap)
{
	struct trip t;

	trip_begin(&t, c, GOFER_LISTXATTR, node);
	return str_answer(&t, dst, cap, GOFER_XATTR_MAX, false);
}

// A full batch that finds the client busy waits for the next message; one more then makes the caller send it.
void gofer_forget(struct gofer_client *c, uint64_t node)
{
	for (;;) {
		bool added = false;

		mutex_lock(&c->forget_mu);
		if (c->nforgets < GOFER_FORGETS_BATCH) {
			c->forgets[c->nforgets++] = node;
			added = true;
		}
		mutex_unlock(&c->forget_mu);
		if (added)
			return;
		mutex_lock(&c->mu);
		send_forgets(c);
		mutex_unlock(&c->mu);
	}
}

// With an entry that is no use without the descriptor.
static int need_entry_fd(struct trip *t, int err, const struct gofer_entry *entry, int *out_fd)
{
	const bool useless = !err && t->fd_lost;

	err = need_fd(t, err, out_fd);
	if (useless)
		gofer_forget(t->client, entry->node);
	return err;
}

int gofer_create(struct gofer_client *c, uint64_t dir, struct gofer_name name, const struct gofer_create *how,
		 struct gofer_entry *out_entry, int *out_fd)
{
	struct trip t;
	int err;

	*out_fd = -1;
	trip_begin(&t, c, GOFER_CREATE, dir);
	msg_put_obj(&t.rq, how);
	put_name(&t, name);
	err = get_entry(&t, trip_exchange(&t), out_entry);
	return S_ISREG(how->mode) ? need_entry_fd(&t, err, out_entry, out_fd) : trip_end_plain(&t, err);
}

int gofer_tmpfile(struct gofer_client *c, uint64_t dir, const struct gofer_create *how, struct gofer_entry *out_entry, int *out_fd)
{
	struct trip t;

	trip_begin(&t, c, GOFER_TMPFILE, dir);
	msg_put_obj(&t.rq, how);
	return need_entry_fd(&t, get_entry(&t, trip_exchange(&t), out_entry), out_entry, out_fd);
}

int gofer_symlink(struct gofer_client *c, uint64_t dir, struct gofer_name name, struct gofer_name target, const struct gofer_create *how,
		  struct gofer_entry *out_entry)
{
	struct trip t;

	trip_begin(&t, c, GOFER_SYMLINK, dir);
	msg_put_obj(&t.rq, how);
	put_name(&t, name);
	put_name(&t, target);
	return trip_end_plain(&t, get_entry(&t, trip_exchange(&t), out_entry));
}

int gofer_link(struct gofer_client *c, uint64_t dir, struct gofer_name name, uint64_t target, struct gofer_attr *out_attr)
{
	struct gofer_link how = {.target = target};
	struct trip t;

	trip_begin(&t, c, GOFER_LINK, dir);
	msg_put_obj(&t.rq, &how);
	put_name(&t, name);
	return attr_answer(&t, out_attr);
}

int gofer_unlink(struct gofer_client *c, uint64_t dir, struct gofer_name name, uint32_t flags)
{
	struct gofer_unlink how = {.flags = flags};
	struct trip t;

	trip_begin(&t, c, GOFER_UNLINK, dir);
	msg_put_obj(&t.rq, &how);
	put_name(&t, name);
	return trip_end_plain(&t, trip_exchange(&t));
}

int gofer_rename(struct gofer_client *c, uint64_t dir, struct gofer_name name, uint64_t new_dir, struct gofer_name new_name,
		 uint32_t flags)
{
	struct gofer_rename how = {.new_dir = new_dir, .flags = flags};
	struct trip t;

	trip_begin(&t, c, GOFER_RENAME, dir);
	msg_put_obj(&t.rq, &how);
	put_name(&t, name);
	put_name(&t, new_name);
	return trip_end_plain(&t, trip_exchange(&t));
}

int gofer_setattr(struct gofer_client *c, uint64_t node, const struct gofer_setattr *set, struct gofer_attr *out_attr)
{
	struct trip t;

	trip_begin(&t, c, GOFER_SETATTR, node);
	msg_put_obj(&t.rq, set);
	return attr_answer(&t, out_attr);
}

int gofer_setxattr(struct gofer_client *c, uint64_t node, const char *name, const void *value, size_t len, uint32_t flags)
{
	struct gofer_setxattr how = {.flags = flags};
	struct trip t;

	trip_begin(&t, c, GOFER_SETXATTR, node);
	msg_put_obj(&t.rq, &how);
	msg_put_str(&t.rq, name, strlen(name));
	msg_put_str(&t.rq, value, len);
	return trip_end_plain(&t, trip_exchange(&t));
}

int gofer_removexattr(struct gofer_client *c, uint64_t node, const char *name)
{
	struct trip t;

	trip_begin(&t, c, GOFER_REMOVEXATTR, node);
	msg_put_str(&t.rq, name, strlen(name));
	return trip_end_plain(&t, trip_exchange(&t));
}

int gofer_fsync(struct gofer_client *c, uint64_t dir)
{
	struct trip t;

	trip_begin(&t, c, GOFER_FSYNC, dir);
	return trip_end_plain(&t, trip_exchange(&t));
}
