// What the file is that was just opened, and with what flags: programs ask that of most files, just then, so the answer to the open brings it along.
// Who opens a directory as glibc's fdopendir() does asks for its flags, too, and sets that of the descriptor to what it is.
//
// It holds while the counts on which it rests are what they were, as with answers about paths (stub/names.c), and while the descriptor is that
// file's. For that the sentry brings nothing along but where nobody shares the table of descriptors, and each call of the thread's own makes it forgotten, but those that
// come in between and change no descriptor. What the sentry answers forgets it; what the stub answers by itself never changes one. So it is with the flags, which
// rest on the first of the counts alone: it goes on, too, when another process gets hold of the open file otherwise than by a call of this one.
//
// Who has read a directory to its end asks for more, to hear that there is none. The sentry knows that as soon as it has come there; it goes on as long as
// nobody has changed the directory since it was opened, which its attributes would tell.
//
// It costs the sentry a tenth of a short open, so the stub wants it while the files that were opened last were asked about, else now and then.
#include "platform/systrap/stub/stub.h"

#include <fcntl.h>
#include <sys/syscall.h>

#include "platform/systrap/question.h"

enum { PATIENCE = 3, SELDOM = 16 };

// Calls, of those with the lowest numbers, that neither change a descriptor that there is nor make others share them.
#define HARMLESS                                                                                                                                   \
	(1u << SYS_read | 1u << SYS_stat | 1u << SYS_fstat | 1u << SYS_lstat | 1u << SYS_lseek | 1u << SYS_mmap | 1u << SYS_mprotect | 1u << SYS_munmap | \
	 1u << SYS_brk | 1u << SYS_ioctl | 1u << SYS_pread64 | 1u << SYS_access)

static bool harmless(uint32_t nr)
{
	switch (nr) {
	case SYS_fcntl:
	case SYS_getdents64:
	case SYS_newfstatat:
	case SYS_statx:
	case SYS_lgetxattr:
		return true;
	}
	return nr < 32 && HARMLESS >> nr & 1;
}

// And of these, what changes no flags of the open file or the descriptor.
static bool keeps_flags(const struct slot_call *c)
{
	const uint32_t cmd = c->args[1];

	if (c->nr == SYS_fcntl)
		return cmd == F_DUPFD || cmd == F_DUPFD_CLOEXEC || cmd == F_GETFD || cmd == F_GETFL;
	return c->nr != SYS_ioctl;
}

uint32_t opened_asks(struct slot *s)
{
	return s->opened.unasked < PATIENCE || ++s->opened.unasked % SELDOM == 0 ? KIND_STAT : 0;
}

void opened_keep(struct slot *s)
{
	const uint8_t *stat = (const uint8_t *)s->opened_stat;

	for (unsigned i = 0; i < sizeof(s->opened_stat); i += 64)
		__builtin_prefetch(stat + i);
	for (unsigned i = 0; i < SLOT_RESTS; i++)
		s->opened.on[i] = s->rests.on[i];
	s->opened.born = s->names.born;
	s->opened.fd_1 = s->ret + 1;
	s->opened.flags_hold = 1;
	s->opened.at_end = 0;
	s->opened.unasked++;
}

void opened_after(struct slot *s)
{
	const uint32_t nr = s->call.nr;

	if (!s->opened.fd_1)
		return;
	if (!harmless(nr))
		s->opened.fd_1 = 0;
	else if (!keeps_flags(&s->call))
		s->opened.flags_hold = 0;
	else if (nr == SYS_lseek || nr == SYS_getdents64)
		s->opened.at_end = 0;
}

static bool about(const struct slot *s)
{
	return s->opened.fd_1 && s->opened.fd_1 == (uint32_t)s->call.args[0] + 1 && s->opened.born == s->names.born;
}

void opened_at_end(struct slot *s)
{
	s->opened.at_end = about(s);
}

// The last argument of newfstatat says that it is about the descriptor itself.
static bool about_descriptor(const struct slot *s)
{
	const uint32_t flags = s->call.args[3];
	char first;

	return (flags | AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT) == (AT_EMPTY_PATH | AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT) &&
	       stub_copy(&first, (const void *)s->call.args[1], 1) == 0 && !first;
}

bool own_fstat(struct slot *s)
{
	const bool at = s->call.nr == SYS_newfstatat;
	const uint64_t dst = s->call.args[at ? 2 : 1];

	if (!about(s) || (at && !about_descriptor(s)))
		return false;
	s->opened.unasked = 0;
	if (!rests_hold(s->opened.on, PARAM->path_counts))
		return false;
	if (dst > STUB_TEXT - sizeof(s->opened_stat) || stub_copy((void *)dst, s->opened_stat, sizeof(s->opened_stat)) < 0)
		return false;
	s->regs.rax = 0;
	return true;
}

// Whether a file's flags are asked for, or a descriptor's, or these are set to what they are.
bool own_fcntl(struct slot *s)
{
	const uint32_t flags = s->opened_flags, cloexec = flags & O_CLOEXEC ? FD_CLOEXEC : 0, cmd = s->call.args[1];
	const struct slot_rest *on = &s->opened.on[0];

	if (!s->opened.flags_hold || !about(s))
		return false;
	if (PARAM->path_counts[on->index % PARAM_PATH_COUNTS] != on->count)
		return false;
	if (cmd == F_GETFL)
		s->regs.rax = flags & ~O_CLOEXEC;
	else if (cmd == F_GETFD)
		s->regs.rax = cloexec;
	else if (cmd == F_SETFD && (s->call.args[2] & FD_CLOEXEC) == cloexec)
		s->regs.rax = 0;
	else
		return false;
	s->opened.unasked = 0;
	return true;
}

bool own_getdents(struct slot *s)
{
	if (!s->opened.at_end || !about(s) || !rests_hold(s->opened.on, PARAM->path_counts))
		return false;
	s->regs.rax = 0;
	return true;
}
