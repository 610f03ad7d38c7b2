// LIST_BELOW: for who goes down a tree, directories with all that is below them, as far as one message holds it.
//
// What is below is opened name by name from the directory above it, no symlink followed, and never over the border of a file system. While the
// sentry waits for the answer, a processor has nothing to do: from a certain size on a second thread, made when it is needed first, takes
// directories off the same stack. Each writes one into a block of its own and puts it into the message whole; a directory comes after the one
// that it lies in, which stays open until nothing in it waits.
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "gofer/lister.h"
#include "lib/mutex.h"

enum {
	DEPTH_MAX = 16,
	OPEN_MAX = 40, // fewer than SPARE_FILES of server.c
	TODO_MAX = GOFER_BELOW_MAX + LISTER_DIRS_MAX,
	// What isn't worth waking anybody: as few entries; and a message's beginning, during which the other processor is still busy with the
	// program, which waits awake for a moment.
	ALONE_MAX = 256, ALONE_BYTES = 8 << 10,
	STACK_BYTES = 256 << 10,
};

struct worker {
	struct lister lister;
	struct msg_out out; // block
	uint8_t block[GOFER_MSG_MAX];
};

struct todo {
	const char *name; // in the request or the answer
	uint32_t len, dir, entry; // as gofer_list_below has them
	uint16_t above, depth;
	bool known; // that no file system of its own begins there
};

struct below {
	struct mutex mu;
	struct mutex_cond changed, help_wanted;
	pthread_t helper;
	bool has_helper, no_helper; // is there; can't be made. The main thread's.
	struct worker workers[2];
	// Guarded by mu:
	bool ends, help; // help: the helper may take what there is to do of this request
	struct msg_out *out;
	uint32_t flags, budget, ndirs, ntodo;
	int busy, waiting; // workers that list a directory; that wait for a change of the above
	struct todo todo[TODO_MAX];
	struct {
		int fd;
		uint32_t waiting; // entries of todo, and those that are being listed. 0: free
	} above[OPEN_MAX];
};

// The directory's block. -1, or its descriptor with listed->at_end saying whether all of it is in the block.
static int list(struct worker *w, int above_fd, const struct todo *t, struct gofer_listed *listed)
{
	struct gofer_list_below head = {.dir = t->dir, .entry = t->entry};
	char name[GOFER_NAME_MAX + 1];
	struct gofer_attr attr;
	uint64_t attributes;
	int fd;

	memcpy(name, t->name, t->len);
	name[t->len] = 0;
	fd = openat(above_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return -1; // who asks for it alone learns why
	if (!t->known && (attr_of(fd, "", &attr, &attributes) < 0 || attributes & STATX_ATTR_MOUNT_ROOT)) {
		close(fd);
		return -1;
	}
	if (!msg_put_obj(&w->out, &head) || lister_fill(&w->lister, fd, !(w->lister.flags & GOFER_LIST_THIN), listed) < 0) {
		listed->at_end = 0;
		return fd;
	}
	head.count = listed->count;
	memcpy(w->block, &head, sizeof(head));
	return fd;
}

static bool keep_open(struct below *b, int fd, uint32_t waiting, uint16_t *out_place)
{
	for (uint16_t i = 0; i < OPEN_MAX; i++)
		if (b->above[i].waiting == 0) {
			b->above[i].fd = fd;
			b->above[i].waiting = waiting;
			*out_place = i;
			return true;
		}
	return false;
}

static void leave(struct below *b, uint16_t place)
{
	if (--b->above[place].waiting == 0)
		close(b->above[place].fd);
}

static void push(struct below *b, const struct todo *t)
{
	if (b->ntodo < TODO_MAX)
		b->todo[b->ntodo++] = *t;
	else
		leave(b, t->above);
}

// What is below the directory whose block stands in the message at that place: the first one of it comes next. False: fd isn't needed.
static bool go_down(struct below *b, const struct lister *l, size_t at, int fd, uint16_t depth)
{
	uint16_t place;

	if (!l->ndirs || depth > DEPTH_MAX || !keep_open(b, fd, l->ndirs, &place))
		return false;
	for (uint32_t i = l->ndirs; i-- > 0;) {
		const struct lister_dir *d = &l->dirs[i];

		push(b, &(struct todo){.name = (const char *)b->out->buf + at + d->name_at, .len = d->len, .dir = b->ndirs, .entry = d->entry,
				       .above = place, .depth = depth, .known = true});
	}
	return true;
}

// Nothing comes any more.
static void finish(struct below *b)
{
	b->budget = 0;
	while (b->ntodo)
		leave(b, b->todo[--b->ntodo].above);
}

// Puts a block into the message, or leaves it and all further ones out. True: fd is needed for what is below.
static bool put_block(struct below *b, const struct worker *w, int fd, uint16_t depth, const struct gofer_listed *listed)
{
	const size_t at = b->out->len;
	bool down = false;

	if (!b->budget)
		return false;
	if (!listed->at_end || w->out.len > b->out->cap - at) {
		finish(b);
		return false;
	}
	msg_put(b->out, w->block, w->out.len);
	b->ndirs++;
	b->budget -= listed->count < b->budget ? listed->count + 1 : b->budget;
	if (b->budget)
		down = go_down(b, &w->lister, at, fd, depth + 1);
	else
		finish(b);
	return down;
}

static void want_help(struct below *b);

static bool has_work(const struct below *b)
{
	return b->ntodo || b->busy;
}

// Lists what there is to do, until there is nothing and nobody is at work who may find more. mu is held, but not meanwhile.
static void work(struct below *b, struct worker *w)
{
	const bool helps = w != b->workers;

	while (has_work(b) && (b->help || !helps)) {
		struct gofer_listed listed = {0};
		struct todo t;
		bool needed;
		int fd;

		if (!b->ntodo) {
			b->waiting++;
			mutex_cond_wait(&b->mu, &b->changed);
			b->waiting--;
			continue;
		}
		t = b->todo[--b->ntodo];
		b->busy++;
		w->lister.flags = b->flags;
		w->out = (struct msg_out){.buf = w->block, .cap = b->out->cap - b->out->len};
		mutex_unlock(&b->mu);
		fd = list(w, b->above[t.above].fd, &t, &listed);
		mutex_lock(&b->mu);
		needed = fd >= 0 && put_block(b, w, fd, t.depth, &listed);
		leave(b, t.above);
		b->busy--;
		if (b->waiting && (b->ntodo > 1 || !has_work(b)))
			mutex_cond_broadcast(&b->changed);
		if (!b->help && b->ntodo > 1 && b->budget > ALONE_MAX && b->out->len > ALONE_BYTES)
			want_help(b);
		if (fd >= 0 && !needed)
			close(fd);
	}
}

static void *helper_main(void *arg)
{
	struct below *b = arg;

	mutex_lock(&b->mu);
	while (!b->ends) {
		if (b->help && has_work(b))
			work(b, &b->workers[1]);
		else
			mutex_cond_wait(&b->mu, &b->help_wanted);
	}
	mutex_unlock(&b->mu);
	return NULL;
}

// Not before the first block is in the message, so that what was asked for first comes first. Without a thread it goes on alone.
static void want_help(struct below *b)
{
	pthread_attr_t attr;

	if (!b->has_helper && !b->no_helper) {
		pthread_attr_init(&attr);
		pthread_attr_setstacksize(&attr, STACK_BYTES);
		b->has_helper = pthread_create(&b->helper, &attr, helper_main, b) == 0;
		b->no_helper = !b->has_helper;
		pthread_attr_destroy(&attr);
	}
	if (!b->has_helper)
		return;
	b->help = true;
	mutex_cond_broadcast(&b->help_wanted);
}

static struct below *below_get(struct gofer_server *s)
{
	if (!s->below) {
		s->below = calloc(1, sizeof(*s->below));
		if (!s->below)
			return NULL;
		mutex_init(&s->below->mu);
		mutex_cond_init(&s->below->changed);
		mutex_cond_init(&s->below->help_wanted);
		for (int i = 0; i < 2; i++)
			s->below->workers[i].lister.out = &s->below->workers[i].out;
		s->below->no_helper = s->one_cpu;
	}
	return s->below;
}

void below_fini(struct gofer_server *s)
{
	struct below *b = s->below;

	if (b && b->has_helper) {
		mutex_lock(&b->mu);
		b->ends = true;
		mutex_cond_broadcast(&b->help_wanted);
		mutex_unlock(&b->mu);
		pthread_join(b->helper, NULL);
	}
	free(b);
}

int op_list_below(struct op_call *c)
{
	struct todo asked[GOFER_BELOW_MAX];
	struct below *b = below_get(c->server);
	char name[GOFER_NAME_MAX + 1];
	struct gofer_list_many rq;
	struct msg_in in;
	uint32_t count = 0;
	int fd;

	if (!b)
		return -ENOMEM;
	if (!msg_get_obj(c->rq, &rq))
		return -EPROTO;
	for (in = *c->rq; msg_left(&in) > 0; count++) {
		if (!msg_get_name(&in, name) || count == GOFER_BELOW_MAX)
			return -EPROTO;
		asked[count] = (struct todo){.len = (uint32_t)strlen(name), .entry = count, .depth = 1};
		asked[count].name = (const char *)in.p - asked[count].len;
	}
	c->rq->p = c->rq->end;
	if (!S_ISDIR(c->node->mode))
		return -ENOTDIR;
	if (c->node->opaque || !count || !rq.entries)
		return 0;
	fd = open_dir(c->node);
	if (fd < 0)
		return fd;
	mutex_lock(&b->mu);
	b->out = c->out;
	b->flags = rq.flags;
	b->budget = rq.entries;
	b->ndirs = 0;
	b->help = false;
	b->above[0].fd = fd;
	b->above[0].waiting = count;
	for (uint32_t i = count; i-- > 0;)
		push(b, &asked[i]);
	work(b, &b->workers[0]);
	mutex_unlock(&b->mu);
	return 0;
}
