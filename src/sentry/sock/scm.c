// Control messages of Unix sockets: SCM_RIGHTS and SCM_CREDENTIALS.
#include "sentry/sock/scm.h"

#include <string.h>
#include <linux/capability.h>

#include "abi/errno.h"
#include "lib/container_of.h"
#include "lib/kmem.h"
#include "sentry/kernel/cred.h"
#include "sentry/kernel/task.h"
#include "sentry/vfs/vfs.h"

static struct scm_files *files_alloc(int cap)
{
	return kmem_bytes(sizeof(struct scm_files) + cap * sizeof(struct file *));
}

struct scm_files *scm_files_dup(const struct scm_files *files)
{
	struct scm_files *copy = files_alloc(files->n);

	for (int i = 0; copy && i < files->n; i++)
		copy->file[copy->n++] = file_get(files->file[i]);
	return copy;
}

void scm_files_drop(struct scm_files *files)
{
	static __thread struct scm_files *waiting;
	static __thread bool dropping;

	if (!files)
		return;
	files->next = waiting;
	waiting = files;
	if (dropping)
		return;
	dropping = true;
	while ((files = waiting)) {
		waiting = files->next;
		for (int i = 0; i < files->n; i++)
			file_put(files->file[i]);
		kmem_bytes_free(files);
	}
	dropping = false;
}

static int parse_rights(struct task *t, const void *data, size_t len, struct scm *out)
{
	int n = len / sizeof(int), have = out->files ? out->files->n : 0;

	if (n == 0)
		return 0;
	if (n > SCM_FILES_MAX - have)
		return -EINVAL;
	if (!out->files)
		out->files = files_alloc(SCM_FILES_MAX);
	if (!out->files)
		return -ENOMEM;
	for (int i = 0; i < n; i++) {
		struct file *f;
		int fd;

		memcpy(&fd, (const char *)data + i * sizeof(fd), sizeof(fd));
		f = fd_file_any(t, fd);
		if (!f)
			return -EBADF;
		out->files->file[out->files->n++] = f;
	}
	return 0;
}

// Anybody may say who he is; who says to be somebody else needs the capability for it.
static int parse_creds(struct task *t, const void *data, size_t len, struct scm *out)
{
	const struct cred *c = t->cred;
	struct ucred u;

	if (len != sizeof(u))
		return -EINVAL;
	memcpy(&u, data, sizeof(u));
	if (u.pid != t->tg->tgid && !cred_has_cap(c, CAP_SYS_ADMIN))
		return -EPERM;
	if (u.uid != c->uid && u.uid != c->euid && u.uid != c->suid && !cred_has_cap(c, CAP_SETUID))
		return -EPERM;
	if (u.gid != c->gid && u.gid != c->egid && u.gid != c->sgid && !cred_has_cap(c, CAP_SETGID))
		return -EPERM;
	if (u.pid != t->tg->tgid) {
		struct thread_group *tg = group_find(u.pid);

		if (!tg)
			return -ESRCH;
		group_put(tg);
	}
	out->creds = u;
	out->has_creds = true;
	return 0;
}

static int parse_one(struct task *t, const struct cmsghdr *h, const void *data, struct scm *out)
{
	size_t len = h->cmsg_len - CMSG_LEN(0);

	if (h->cmsg_level != SOL_SOCKET)
		return 0;
	if (h->cmsg_type == SCM_RIGHTS)
		return parse_rights(t, data, len, out);
	if (h->cmsg_type == SCM_CREDENTIALS)
		return parse_creds(t, data, len, out);
	return -EINVAL;
}

int scm_parse(struct task *t, const void *control, size_t len, struct scm *out)
{
	const char *p = control, *end = p + len;
	struct cmsghdr h;
	int err = 0;

	while (!err && (size_t)(end - p) >= sizeof(h)) {
		memcpy(&h, p, sizeof(h));
		if (h.cmsg_len < CMSG_LEN(0) || h.cmsg_len > (size_t)(end - p)) {
			err = -EINVAL;
			break;
		}
		err = parse_one(t, &h, p + CMSG_LEN(0), out);
		p += MIN(CMSG_ALIGN(h.cmsg_len), (size_t)(end - p));
	}
	if (err) {
		scm_files_drop(out->files);
		out->files = NULL;
	}
	return err;
}

struct delivery {
	struct task *task;
	uaddr_t control;
	size_t cap, used;
	int *flags;
};

static int put_head(struct delivery *d, int type, size_t data_len)
{
	struct cmsghdr h = {.cmsg_len = CMSG_LEN(data_len), .cmsg_level = SOL_SOCKET, .cmsg_type = type};

	return copy_out(d->task, d->control + d->used, &h, sizeof(h));
}

static int put_creds(struct delivery *d, const struct ucred *creds)
{
	size_t len = sizeof(*creds);
	int err;

	if (d->cap - d->used < CMSG_LEN(0)) {
		*d->flags |= MSG_CTRUNC;
		return 0;
	}
	if (d->cap - d->used < CMSG_LEN(len)) {
		*d->flags |= MSG_CTRUNC;
		len = d->cap - d->used - CMSG_LEN(0);
	}
	err = put_head(d, SCM_CREDENTIALS, len) ?: copy_out(d->task, d->control + d->used + CMSG_LEN(0), creds, len);
	d->used += MIN(CMSG_SPACE(len), d->cap - d->used);
	return err;
}

static int put_rights(struct delivery *d, const struct scm_files *files, bool cloexec)
{
	size_t left = d->cap - d->used;
	int room = left > CMSG_LEN(0) ? (left - CMSG_LEN(0)) / sizeof(int) : 0, n = 0, err = 0;

	while (n < files->n && n < room) {
		int fd = fd_install(d->task, file_get(files->file[n]), cloexec, 0);

		if (fd < 0)
			break; // no free number: the rest is lost, as on Linux
		err = copy_out(d->task, d->control + d->used + CMSG_LEN(n * sizeof(int)), &fd, sizeof(fd));
		if (err) {
			fd_close(d->task, fd);
			break;
		}
		n++;
	}
	if (n < files->n)
		*d->flags |= MSG_CTRUNC;
	if (n == 0)
		return err;
	err = put_head(d, SCM_RIGHTS, n * sizeof(int));
	d->used += MIN(CMSG_SPACE(n * sizeof(int)), left);
	return err;
}

int scm_deliver(struct task *t, struct scm *scm, uaddr_t control, size_t cap, bool cloexec, size_t *out_len, int *flags)
{
	struct delivery d = {.task = t, .control = control, .cap = control ? cap : 0, .flags = flags};
	int err = 0;

	if (scm->has_creds && d.cap)
		err = put_creds(&d, &scm->creds);
	else if (scm->has_creds)
		*flags |= MSG_CTRUNC;
	if (scm->files && !err)
		err = put_rights(&d, scm->files, cloexec);
	scm_files_drop(scm->files);
	scm->files = NULL;
	*out_len = d.used;
	return err;
}
