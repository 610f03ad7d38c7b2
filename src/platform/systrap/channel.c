// The sentry's side of a channel before it has a process and after: what making and unmaking one takes is 40 us of host calls.
//
// So one is made ahead, and those of dead processes are given back, when there is nothing else to do. None is used twice: a process that an
// application forked through the stub's text may have it mapped for good.
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
	struct channel spare, waste[WASTE_MAX];
	bool has_spare;
	unsigned nwaste;
	_Atomic bool work; // changed under mu: something is to be done
} ahead = {.mu = MUTEX_INIT};

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
	static const uint32_t used[] = {0, SLOT_DATA - PAGE_SIZE, SLOT_DATA};

	for (unsigned i = 0; i < ARRAY_LEN(used); i++)
		*(volatile uint8_t *)(at + used[i]) = 0;
}

static int create(struct channel *out)
{
	struct channel c = {-1, -1, -1, NULL};
	const int on = 1;
	int pair[2], err;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
		goto fail;
	c.sock = pair[0];
	c.stub_sock = pair[1];
	c.fd = memfd_create("channel", MFD_CLOEXEC);
	if (c.fd < 0 || ftruncate(c.fd, CHAN_BYTES) < 0 || setsockopt(c.sock, SOL_SOCKET, SO_PASSCRED, &on, sizeof(on)) < 0)
		goto fail;
	c.at = mmap(NULL, CHAN_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, c.fd, 0);
	if (c.at == MAP_FAILED) {
		c.at = NULL;
		goto fail;
	}
	touch(c.at);
	*out = c;
	return 0;
fail:
	err = -errno;
	destroy(&c);
	return err == -EMFILE || err == -ENFILE ? -EAGAIN : err;
}

int channel_take(struct channel *out)
{
	bool spare;

	mutex_lock(&ahead.mu);
	spare = ahead.has_spare;
	if (spare)
		*out = ahead.spare;
	ahead.has_spare = false;
	ahead.work = true;
	mutex_unlock(&ahead.mu);
	return spare ? 0 : create(out);
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

void channel_work_ahead(bool quiet)
{
	struct channel c;
	bool make, unmake;

	if (!ahead.work)
		return;
	mutex_lock(&ahead.mu);
	make = !ahead.has_spare;
	unmake = !make && ahead.nwaste > 0 && quiet;
	if (unmake)
		c = ahead.waste[--ahead.nwaste];
	ahead.work = ahead.nwaste > 0;
	mutex_unlock(&ahead.mu);
	if (unmake)
		destroy(&c);
	if (!make || create(&c) < 0) // who needs one will be told why there is none
		return;
	mutex_lock(&ahead.mu);
	ahead.spare = c;
	ahead.has_spare = true;
	mutex_unlock(&ahead.mu);
}
