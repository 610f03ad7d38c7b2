// Containers: their mounts, the first process of a request, and who waits for it.
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <linux/securebits.h>

#include "abi/errno.h"
#include "lib/container_of.h"
#include "lib/kmem.h"
#include "lib/log.h"
#include "lib/profile.h"
#include "platform/platform.h"
#include "sentry/fs/devpts/devpts.h"
#include "sentry/fs/hostfile/hostfile.h"
#include "sentry/kernel/container_int.h"
#include "sentry/kernel/cpu_limit.h"
#include "sentry/kernel/cred.h"
#include "sentry/kernel/kernel.h"
#include "sentry/kernel/task_int.h"
#include "sentry/kernel/task_run.h"
#include "sentry/kernel/task_exec.h"
#include "sentry/loader/loader.h"
#include "sentry/mm/mm.h"
#include "sentry/tty/tty.h"
#include "sentry/vfs/container_mounts.h"
#include "sentry/vfs/vfs_int.h"

struct container_waiter {
	LIST_ENTRY(container_waiter) link;
	int pid;
	void (*fn)(void *arg, int wait_status);
	void *arg;
};

// A process that a request started: who asks for its end may come after it.
struct container_started {
	TAILQ_ENTRY(container_started) link;
	int pid, wait_status;
	bool ended;
	bool waited; // whoever started it is going to ask for its status
	bool asked, owed; // somebody did, after its end; nobody has yet, and should
};

enum { ENDED_KEPT_MAX = 256 }; // of those that nobody may ever ask for

#define OTHERS_GRACE_NS (1000 * NSEC_PER_MSEC) // a terminal may not take what a process wrote last

KMEM_TYPE(container_type, container);
KMEM_TYPE(waiter_type, container_waiter);
KMEM_TYPE(started_type, container_started);

__attribute__((format(printf, 3, 4))) static int fail(char **err_text, int err, const char *fmt, ...)
{
	char text[PATH_MAX + 256];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	if (err_text && !*err_text)
		*err_text = kmem_strdup(text);
	return err;
}

static void others_take_long(struct ktimer *timer);

int container_create(const struct container_spec *spec, struct container **out, char **err_text)
{
	struct container *c = kmem_alloc(&container_type);
	struct mount_ns *ns;
	int err;

	*err_text = NULL;
	if (!c)
		return -ENOMEM;
	LIST_INIT(&c->waiters);
	TAILQ_INIT(&c->started_list);
	ktimer_init(&c->end_timer, CLOCK_MONOTONIC, others_take_long);
	c->id = kmem_strdup(spec->id);
	c->on_exit = spec->on_exit;
	c->arg = spec->arg;
	err = c->id ? vfs_build_container(spec, &ns, err_text) : -ENOMEM;
	if (!err) {
		c->fs = fs_context_create(ns);
		mount_ns_put(ns);
		err = c->fs ? 0 : -ENOMEM;
	}
	if (err) {
		kmem_bytes_free(c->id);
		kmem_free(&container_type, c);
		return err;
	}
	if (spec->hostname) {
		mutex_lock(&kernel()->tasks_mu);
		snprintf(kernel()->uts.nodename, sizeof(kernel()->uts.nodename), "%s", spec->hostname);
		mutex_unlock(&kernel()->tasks_mu);
	}
	*out = c;
	return 0;
}

static struct cred *cred_of(const struct process_spec *p)
{
	struct cred *c = cred_create_root();

	if (!c)
		return NULL;
	c->uid = c->euid = c->suid = c->fsuid = p->uid;
	c->gid = c->egid = c->sgid = c->fsgid = p->gid;
	c->cap_bounding = p->caps_bounding;
	c->cap_effective = p->caps_effective;
	c->cap_inheritable = p->caps_inheritable;
	c->cap_permitted = p->caps_permitted;
	c->cap_ambient = p->caps_ambient & p->caps_permitted & p->caps_inheritable; // man 7 capabilities
	c->no_new_privs = p->no_new_privs;
	if (cred_set_groups(c, p->groups, p->ngroups) < 0) {
		cred_put(c);
		return NULL;
	}
	return c;
}

static void set_limits(struct thread_group *tg, const struct process_spec *p)
{
	for (int i = 0; i < RLIM_NLIMITS; i++)
		tg->rlimits[i] = (struct rlimit64){RLIM64_INFINITY, RLIM64_INFINITY};
	tg->rlimits[RLIMIT_STACK].rlim_cur = 8 << 20;
	tg->rlimits[RLIMIT_CORE].rlim_cur = 0;
	tg->rlimits[RLIMIT_NOFILE] = (struct rlimit64){1024, 1048576};
	tg->rlimits[RLIMIT_MEMLOCK] = (struct rlimit64){8 << 20, 8 << 20};
	tg->rlimits[RLIMIT_MSGQUEUE] = (struct rlimit64){819200, 819200};
	tg->rlimits[RLIMIT_NICE] = tg->rlimits[RLIMIT_RTPRIO] = (struct rlimit64){0, 0};
	tg->rlimits[RLIMIT_SIGPENDING] = tg->rlimits[RLIMIT_NPROC] = (struct rlimit64){63704, 63704};
	for (int i = 0; i < RLIM_NLIMITS; i++)
		if (p->rlimit_set & 1u << i)
			tg->rlimits[i] = p->rlimits[i];
}

// A task that has everything but a program.
static int make_task(struct container *c, const struct process_spec *p, struct task **out)
{
	struct kernel *k = kernel();
	struct platform_ctx *ctx;
	struct thread_group *tg;
	struct task *t;
	struct mm *mm;
	int err = platform->as_create(NULL, &ctx);

	if (err)
		return err;
	t = task_create(ctx);
	tg = group_create();
	mm = mm_create();
	if (!t || !tg || !mm)
		return -ENOMEM;
	tg->container = c;
	tg->oom_score_adj = p->oom_score_adj;
	set_limits(tg, p);
	t->tg = group_get(tg);
	t->cred = cred_of(p);
	t->sighand = sighand_create();
	t->files = fdtable_create();
	t->fs = fs_context_dup(c->fs);
	task_set_mm(t, mm);
	mm_ctx_attach(mm, ctx);
	if (!t->cred || !t->sighand || !t->files || !t->fs)
		return -ENOMEM;
	if (p->umask != (mode_t)-1)
		t->fs->umask = p->umask & 0777;
	mutex_lock(&k->tasks_mu);
	t->tid = tg->tgid = pid_alloc_locked();
	tg->leader = t;
	TAILQ_INSERT_TAIL(&tg->tasks, t, tg_link);
	tg->ntasks = 1;
	k->ntasks_alive++;
	task_hash_locked(t);
	group_link_locked(tg, NULL);
	cpu_limit_watch_locked(tg);
	err = session_create_locked(tg);
	mutex_unlock(&k->tasks_mu);
	*out = t;
	return err;
}

// The container's devpts, where the terminal gets its name; one of its own where there is none.
static int find_devpts(struct task *t, struct path *out)
{
	struct path root = path_get(&t->fs->root);
	struct super_block *sb;
	int err = vfs_lookup(NULL, &root, "/dev/pts", LOOKUP_FOLLOW | LOOKUP_DIRECTORY, out);

	path_put(&root);
	if (!err && out->mnt->sb->type == &devpts_type)
		return 0;
	if (!err)
		path_put(out);
	err = devpts_type.mount(&devpts_type, &(struct fs_mount_args){0}, &sb);
	if (err)
		return err;
	out->mnt = mount_create(sb, sb->root, 0);
	out->dentry = dentry_get(sb->root);
	sb_put(sb);
	return out->mnt ? 0 : -ENOMEM;
}

static int make_terminal(struct task *t, const struct process_spec *p, struct file **out)
{
	struct path devpts;
	struct tty *tty;
	int err = find_devpts(t, &devpts);

	if (err)
		return err;
	err = tty_host_create(devpts.mnt->sb, t->cred, p->screen_fd, p->keyboard_fd, p->screen_lent_cooked, &tty);
	if (!err) {
		err = devpts_open(t, devpts.mnt, tty, O_RDWR | O_NOCTTY, out);
		if (!err)
			tty_make_controlling(tty, t->tg);
		t->tg->started_on = tty;
	}
	path_put(&devpts);
	return err;
}

static int give_descriptor(struct task *t, const struct process_spec *p, int fd, struct file *terminal)
{
	struct file *f;
	int err = 0;

	if (terminal && (fd >= p->nstdio || p->stdio[fd] < 0))
		f = file_get(terminal);
	else
		err = hostfile_create(p->stdio[fd], &f);
	if (!err)
		err = fd_install_at(t, f, false, fd);
	return err < 0 ? err : 0;
}

static int give_stdio(struct task *t, const struct process_spec *p, char **err_text)
{
	int n = p->terminal ? MAX(p->nstdio, 3) : p->nstdio, err = 0;
	struct file *terminal = NULL;

	if (p->terminal)
		err = make_terminal(t, p, &terminal);
	if (err)
		return fail(err_text, err, "the program's terminal can't be made: %s", strerror(-err));
	for (int i = 0; i < n && !err; i++) {
		err = give_descriptor(t, p, i, terminal);
		if (err)
			fail(err_text, err, "descriptor %d can't be passed to the program: %s", i, strerror(-err));
	}
	file_put(terminal);
	return err;
}

static int enter_cwd(struct task *t, const struct process_spec *p, char **err_text)
{
	struct path cwd;
	int err = vfs_lookup(t, NULL, p->cwd ? p->cwd : "/", LOOKUP_FOLLOW | LOOKUP_DIRECTORY, &cwd);

	if (err)
		return fail(err_text, err, "working folder %s: %s", p->cwd, strerror(-err));
	fs_context_move(t->fs, &t->fs->cwd, &cwd);
	path_put(&cwd);
	return 0;
}

// The program by its path, or by PATH as execvp(3) goes.
static int find_program(struct task *t, const struct process_spec *p, char *path, size_t cap, struct file **out, char **err_text)
{
	const char *name = p->argv[0], *dirs = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
	int err = -ENOENT, found = -ENOENT;

	for (char *const *e = p->envp; *e; e++)
		if (strncmp(*e, "PATH=", 5) == 0)
			dirs = *e + 5;
	if (strchr(name, '/')) {
		snprintf(path, cap, "%s", name);
		found = vfs_open(t, NULL, path, O_RDONLY | VFS_O_EXEC, 0, 0, out);
	} else {
		for (const char *d = dirs; found; d = strchrnul(d, ':') + 1) {
			int len = (int)(strchrnul(d, ':') - d);

			snprintf(path, cap, "%.*s/%s", len ? len : 1, len ? d : ".", name);
			err = vfs_open(t, NULL, path, O_RDONLY | VFS_O_EXEC, 0, 0, out);
			if (err == 0 || err == -EACCES)
				found = err;
			if (!err || !d[len])
				break;
		}
	}
	if (!found)
		return 0;
	if (found == -ENOENT)
		return fail(err_text, found, "exec: \"%s\": %s", name,
			    strchr(name, '/') ? "no such file or directory" : "executable file not found in $PATH");
	return fail(err_text, found, "exec: \"%s\": %s", name, strerror(-found));
}

static void abandon(struct task *t)
{
	task_exit_group(t, 127 << 8);
}

int container_start_process(struct container *c, const struct process_spec *p, int *out_pid, char **err_text)
{
	struct container_started *record = kmem_alloc(&started_type);
	char path[PATH_MAX];
	struct file *exe;
	struct task *t;
	long ret;
	int err = record ? make_task(c, p, &t) : -ENOMEM;

	*err_text = NULL;
	if (err)
		kmem_free(&started_type, record);
	if (err)
		return fail(err_text, err, "no process could be made: %s", strerror(-err));
	err = give_stdio(t, p, err_text) ?: enter_cwd(t, p, err_text) ?: find_program(t, p, path, sizeof(path), &exe, err_text);
	if (err) {
		kmem_free(&started_type, record);
		abandon(t);
		return err;
	}
	profile_mark(PROFILE_SENTRY_FOUND);
	ret = loader_exec(t, exe, path, p->argv, p->envp);
	file_put(exe);
	if (ret != -ENOREPLY) {
		kmem_free(&started_type, record);
		err = ret == -EGONE ? -ENOMEM : (int)ret;
		if (ret != -EGONE)
			abandon(t);
		return fail(err_text, err, "exec %s: %s", path, strerror(-err));
	}
	mutex_lock(&kernel()->tasks_mu);
	if (!c->started) {
		c->started = true;
		c->init = group_get(t->tg);
		c->init_pid = t->tid;
		t->tg->unkillable = !p->killable;
		if (!kernel()->init)
			kernel()->init = t->tg;
	} else {
		c->nothers++;
	}
	*out_pid = record->pid = t->tid;
	record->waited = p->waited;
	TAILQ_INSERT_TAIL(&c->started_list, record, link);
	if (c->paused)
		atomic_store(&t->signal_wake, true); // stops before its first instruction
	mutex_unlock(&kernel()->tasks_mu);
	task_start(t);
	return 0;
}

static struct container_started *find_started_locked(struct container *c, int pid)
{
	struct container_started *s;

	// A number may be given out again: the latest is meant.
	TAILQ_FOREACH_REVERSE(s, &c->started_list, container_started_list, link)
		if (s->pid == pid)
			return s;
	return NULL;
}

static void tell_end(struct container *c, struct thread_group *init);

static struct thread_group *take_ended_init_locked(struct container *c)
{
	struct thread_group *init = c->nothers == 0 ? c->ended_init : NULL;

	if (init)
		c->ended_init = NULL;
	return init;
}

// One of those that were started beside the init has ended, and who waits for it knows. Answers what tell_end() is to be called for.
static struct thread_group *other_told_locked(struct container *c)
{
	if (c->nothers)
		c->nothers--;
	return take_ended_init_locked(c);
}

int container_wait(struct container *c, int pid, void (*fn)(void *arg, int wait_status), void *arg)
{
	struct container_waiter *w = kmem_alloc(&waiter_type);
	struct thread_group *init = NULL;
	struct container_started *s;
	bool ended;
	int status;

	if (!w)
		return -ENOMEM;
	*w = (struct container_waiter){.pid = pid, .fn = fn, .arg = arg};
	mutex_lock(&kernel()->tasks_mu);
	s = find_started_locked(c, pid);
	ended = s && s->ended;
	status = ended ? s->wait_status : 0;
	if (s && !ended)
		LIST_INSERT_HEAD(&c->waiters, w, link);
	if (ended && s->owed) {
		s->owed = false;
		init = other_told_locked(c);
	} else if (ended) {
		s->asked = true;
	}
	mutex_unlock(&kernel()->tasks_mu);
	if (s && !ended)
		return 0;
	kmem_free(&waiter_type, w);
	if (!s)
		return -ESRCH;
	fn(arg, status);
	tell_end(c, init);
	return 0;
}

// False: tg is no process that a request started.
static bool record_end_locked(struct container *c, struct thread_group *tg)
{
	struct container_started *s = find_started_locked(c, tg->tgid), *next;

	if (!s || s->ended)
		return false;
	s->ended = true;
	s->wait_status = tg->wait_status;
	if (++c->nended <= ENDED_KEPT_MAX)
		return true;
	TAILQ_FOREACH_SAFE(s, &c->started_list, link, next)
		if (s->ended && s->pid != c->init_pid) {
			TAILQ_REMOVE(&c->started_list, s, link);
			kmem_free(&started_type, s);
			c->nended--;
			break;
		}
	return true;
}

// With --debug, at a container's end: the kernel's own objects and the container's are always there; a type whose number grows with what
// the container did leaks.
static void log_live(const char *name, uint64_t count, void *arg)
{
	(void)arg;
	log_debug("alive at the end: %lu %s", (unsigned long)count, name);
}

// Whoever waits for tg hears of its end; true if there was somebody. tg is put.
static bool tell_waiters(struct thread_group *tg)
{
	struct container *c = tg->container;
	bool told = false;
	LIST_HEAD(, container_waiter) mine = LIST_HEAD_INITIALIZER(mine);
	struct container_waiter *w, *next;

	mutex_lock(&kernel()->tasks_mu);
	LIST_FOREACH_SAFE(w, &c->waiters, link, next)
		if (w->pid == tg->tgid) {
			LIST_REMOVE(w, link);
			LIST_INSERT_HEAD(&mine, w, link);
			told = true;
		}
	mutex_unlock(&kernel()->tasks_mu);
	LIST_FOREACH_SAFE(w, &mine, link, next) {
		w->fn(w->arg, tg->wait_status);
		kmem_free(&waiter_type, w);
	}
	group_put(tg);
	return told;
}

// The end of a container, which may be that of the sandbox. init NULL: not yet.
static void tell_end(struct container *c, struct thread_group *init)
{
	if (!init)
		return;
	if (log_threshold >= LOG_DEBUG)
		kmem_each_live(log_live, NULL);
	tell_waiters(group_get(init));
	if (c->on_exit)
		c->on_exit(c, c->arg);
	group_put(init); // c->init's
	group_put(init);
}

static void others_take_long(struct ktimer *timer)
{
	struct container *c = container_of(timer, struct container, end_timer);
	struct thread_group *init;

	mutex_lock(&kernel()->tasks_mu);
	c->nothers = 0; // they are left to themselves
	init = take_ended_init_locked(c);
	mutex_unlock(&kernel()->tasks_mu);
	tell_end(c, init);
}

// The init's end is told last, as Linux does it with a PID namespace's: who waits for another process that a request started, and was killed
// with the init, is told before the sandbox is taken down.
static void tell_gone(void *arg)
{
	struct thread_group *tg = arg, *init = NULL;
	struct container *c = tg->container;
	const int pid = tg->tgid;
	struct container_started *s;
	bool started, told;

	mutex_lock(&kernel()->tasks_mu);
	started = record_end_locked(c, tg);
	if (tg == c->init) {
		c->ended = true;
		c->init = NULL;
		c->ended_init = tg;
		if (c->nothers)
			ktimer_arm(&c->end_timer, ktime_now(CLOCK_MONOTONIC) + OTHERS_GRACE_NS);
		init = take_ended_init_locked(c);
		mutex_unlock(&kernel()->tasks_mu);
		tell_end(c, init);
		return;
	}
	mutex_unlock(&kernel()->tasks_mu);
	told = tell_waiters(tg);
	if (!started)
		return;
	mutex_lock(&kernel()->tasks_mu);
	s = find_started_locked(c, pid);
	if (s && s->waited && !told && !s->asked)
		s->owed = true; // it ended sooner than its command could ask
	else
		init = other_told_locked(c);
	mutex_unlock(&kernel()->tasks_mu);
	tell_end(c, init);
}

// Whoever hears of the end may take the sandbox down: not before what the process wrote to its terminal has arrived there.
void container_process_gone(struct thread_group *tg)
{
	struct tty *tty = tg->started_on;

	group_get(tg);
	tg->started_on = NULL;
	if (!tty) {
		tell_gone(tg);
		return;
	}
	tty_host_when_drained(tty, tell_gone, tg);
	tty_put(tty);
}

void container_session_ended_locked(struct thread_group *leader)
{
	tty_session_ended_locked(leader->session);
	leader->session->leader = NULL;
}

int container_signal(struct container *c, int pid, int sig, bool all)
{
	struct thread_group *tg;
	siginfo_t info = {.si_signo = sig, .si_code = SI_USER};
	int err = -ESRCH;

	mutex_lock(&kernel()->tasks_mu);
	TAILQ_FOREACH(tg, &kernel()->groups, all_link)
		if (tg->container == c && !tg->zombie && (all || tg->tgid == (pid ? pid : c->init_pid))) {
			signal_send_locked(tg, NULL, sig, &info, true);
			err = 0;
		}
	mutex_unlock(&kernel()->tasks_mu);
	return err;
}

// Without a terminal of its own here the program is in the foreground of the operator's, with its process group.
int container_signal_foreground(struct container *c, int pid, int sig)
{
	struct thread_group *tg, *member;
	struct tty *tty = NULL, *resized = NULL;
	siginfo_t info;
	int err = -ESRCH;

	siginfo_kernel(&info, sig);
	mutex_lock(&kernel()->tasks_mu);
	tg = group_find_locked(pid ? pid : c->init_pid);
	if (tg && tg->container == c && !tg->zombie) {
		err = 0;
		tty = tty_of_group_locked(tg);
		if (tty && sig == SIGWINCH)
			resized = tty_get_unless_gone(tty) ? tty : NULL;
		else if (tty)
			tty_signal_foreground_locked(tty, sig);
		else
			TAILQ_FOREACH(member, &tg->pgrp->members, pgrp_link)
				signal_send_locked(member, NULL, sig, &info, true);
	}
	mutex_unlock(&kernel()->tasks_mu);
	if (resized) {
		tty_host_resized(resized);
		tty_put(resized);
	}
	return err;
}

int container_pause(struct container *c, bool pause)
{
	struct thread_group *tg;
	struct task *t;
	int err = 0;

	mutex_lock(&kernel()->tasks_mu);
	if (!c->started || c->ended)
		err = -ESRCH;
	else if (c->paused == pause)
		err = -EALREADY;
	else
		c->paused = pause;
	TAILQ_FOREACH(tg, &kernel()->groups, all_link) {
		if (err || tg->container != c)
			continue;
		TAILQ_FOREACH(t, &tg->tasks, tg_link) {
			atomic_store(&t->signal_wake, true);
			task_kick(t);
		}
	}
	mutex_unlock(&kernel()->tasks_mu);
	return err;
}

static void describe_process_locked(struct thread_group *tg, struct container_process *out)
{
	struct task *t = tg->leader;

	*out = (struct container_process){.pid = tg->tgid, .ppid = tg->parent ? tg->parent->tgid : 0};
	if (!t)
		return;
	out->uid = t->cred->euid;
	out->start_s = (kernel()->boot_realtime_ns + (int64_t)t->start_ns - kernel()->boot_ns) / 1000000000;
	TAILQ_FOREACH(t, &tg->tasks, tg_link)
		out->cpu_ns += t->utime_ns + t->stime_ns;
	memcpy(out->comm, tg->leader->comm, sizeof(out->comm) - 1);
}

int container_processes(struct container *c, struct container_process *out, int cap)
{
	struct thread_group *tg;
	int n = 0;

	mutex_lock(&kernel()->tasks_mu);
	TAILQ_FOREACH(tg, &kernel()->groups, all_link)
		if (tg->container == c && !tg->zombie) {
			if (n < cap)
				describe_process_locked(tg, &out[n]);
			n++;
		}
	mutex_unlock(&kernel()->tasks_mu);
	return n;
}

void container_destroy(struct container *c)
{
	container_signal(c, 0, SIGKILL, true);
}
