// The sentry's side of a channel before it has a process and after: what making and unmaking one takes is 40 us of host calls.
//
// So one is made ahead, and those of dead processes are given back, when there is nothing else to do. No socket is used twice, since a process is
// known by what comes from it first; and no memory but within a family (family.c): a process that an application forked through the stub's
// text may have caught its descriptor.
#include "platform/systrap/systrap_int.h"

#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "abi/errno.h"
#include "lib/container_of.h"

enum { WASTE_MAX = 16 };

static struct {
	struct mutex mu;
	// Guarded by mu:
	struct channel spare; // its sockets, its memory, both or neither
	struct channel waste[WASTE_MAX];
	unsigned nwaste;
	_Atomic bool work; // changed under mu: something is to be done
} ahead = {.mu = MUTEX_INIT, .spare = {-1, -1, -1, NULL}};

static void destroy(const struct channel *c)
{
	if (c->at)
		munmap(c->at, CHAN_BYTES);
	if (c->sock >= 0)
		close(c->sock);
	if (c->stub_sock >= 0)
		close(c->stub_sock);
	if (c->fd >= 0)
		close(c->fd);
}

// The pages of the first slot that every process uses: once they are there, the host maps them all at the first one that is read.
static void touch(uint8_t *at)
{
	static const uint32_t used[] = {0, SLOT_REGS, SLOT_DATA - PAGE_SIZE, SLOT_DATA};

	for (unsigned i = 0; i < ARRAY_LEN(used); i++)
		*(volatile uint8_t *)(at + used[i]) = 0;
}

static bool make_sockets(struct channel *c)
{
	const int on = 1;
	int pair[2];

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
		return false;
	c->sock = pair[0];
	c->stub_sock = pair[1];
	return setsockopt(c->sock, SOL_SOCKET, SO_PASSCRED, &on, sizeof(on)) == 0;
}

static bool make_memory(struct channel *c)
{
	void *at;

	c->fd = memfd_create("channel", MFD_CLOEXEC);
	if (c->fd < 0 || ftruncate(c->fd, CHAN_BYTES) < 0)
		return false;
	at = mmap(NULL, CHAN_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, c->fd, 0);
	if (at == MAP_FAILED)
		return false;
	c->at = at;
	touch(c->at);
	return true;
}

// What c lacks. 0, or -errno: then it has nothing any more.
static int complete(struct channel *c)
{
	int err;

	if ((c->sock >= 0 || make_sockets(c)) && (c->at || make_memory(c)))
		return 0;
	err = -errno;
	destroy(c);
	return err == -EMFILE || err == -ENFILE ? -EAGAIN : err;
}

static void move_sockets(struct channel *from, struct channel *to)
{
	to->sock = from->sock;
	to->stub_sock = from->stub_sock;
	from->sock = from->stub_sock = -1;
}

static void move_memory(struct channel *from, struct channel *to)
{
	to->fd = from->fd;
	to->at = from->at;
	from->fd = -1;
	from->at = NULL;
}

int channel_take(struct channel *out)
{
	mutex_lock(&ahead.mu);
	move_sockets(&ahead.spare, out);
	if (!out->at)
		move_memory(&ahead.spare, out);
	ahead.work = true;
	mutex_unlock(&ahead.mu);
	return complete(out);
}

void channel_drop(const struct channel *c)
{
	bool room;

	mutex_lock(&ahead.mu);
	room = ahead.nwaste < WASTE_MAX;
	if (room)
		ahead.waste[ahead.nwaste++] = *c;
	ahead.work = true;
	mutex_unlock(&ahead.mu);
	if (!room)
		destroy(c);
}

static void make_ahead(bool sockets, bool memory)
{
	struct channel c = {-1, -1, -1, NULL};

	// Who needs what can't be made will be told why.
	if ((!sockets || make_sockets(&c)) && (!memory || make_memory(&c))) {
		mutex_lock(&ahead.mu);
		if (sockets && ahead.spare.sock < 0)
			move_sockets(&c, &ahead.spare);
		if (memory && !ahead.spare.at)
			move_memory(&c, &ahead.spare);
		mutex_unlock(&ahead.mu);
	}
	destroy(&c);
}

void channel_work_ahead(bool quiet)
{
	struct channel c;
	bool sockets, memory, unmake;

	if (!ahead.work)
		return;
	mutex_lock(&ahead.mu);
	sockets = ahead.spare.sock < 0;
	memory = !ahead.spare.at;
	unmake = !sockets && !memory && ahead.nwaste > 0 && quiet;
	if (unmake)
		c = ahead.waste[--ahead.nwaste];
	ahead.work = ahead.nwaste > 0;
	mutex_unlock(&ahead.mu);
	if (unmake)
		destroy(&c);
	else if (sockets || memory)
		make_ahead(sockets, memory);
}
