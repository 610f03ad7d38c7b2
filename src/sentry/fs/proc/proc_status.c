// /proc/PID/stat and status: a process in numbers.
#include <string.h>

#include "abi/errno.h"
#include "lib/container_of.h"
#include "sentry/fs/proc/proc_int.h"
#include "sentry/kernel/cred.h"
#include "sentry/kernel/kernel.h"
#include "sentry/kernel/task_int.h"
#include "sentry/mm/mm.h"
#include "sentry/tty/tty.h"

enum { CLK_TCK = 100, FIRST_REALTIME = 34 };

static char state_letter(struct task *t)
{
	if (t->tg->zombie || t->state == TASK_DEAD)
		return 'Z';
	if (t->in_group_stop)
		return 'T';
	return t->state == TASK_BLOCKED ? 'S' : 'R';
}

struct view { // what both files show, taken at one moment
	char comm[TASK_COMM_LEN], state;
	int ppid, pgid, sid, threads;
	int tty_number, tty_pgid;
	ksigset_t pending, shared_pending, blocked, ignored, caught;
	struct cred *cred; // counted; NULL once it is gone
	uint64_t utime, stime, cutime, cstime, minflt, majflt, start;
	uint64_t vsize, data, locked, stack_start, code_start, code_end, rss, shared; // rss, shared: bytes
	uint64_t data_start, data_end, brk_start, arg_start, arg_end, env_start, env_end;
	int nice, policy, rt_priority;
	uint64_t cpus_allowed;
};

// In task/TID only the thread's own counts.
static bool of_thread(struct proc_node *n)
{
	for (const struct proc_entry *e = proc_tid_entries; e->name; e++)
		if (e == n->entry)
			return true;
	return false;
}

static void take_view(struct proc_node *n, struct view *v)
{
	struct task *t = n->task;
	struct thread_group *tg = n->tg;
	struct mm *mm = proc_get_mm(n);

	memset(v, 0, sizeof(*v));
	mutex_lock(&kernel()->tasks_mu);
	memcpy(v->comm, t->comm, sizeof(v->comm));
	v->state = state_letter(t);
	v->ppid = tg->parent ? tg->parent->tgid : 0;
	v->pgid = tg->pgrp ? tg->pgrp->pgid : 0;
	v->sid = tg->session ? tg->session->sid : 0;
	v->threads = tg->ntasks;
	v->tty_number = tty_number_locked(tg, &v->tty_pgid);
	v->pending = t->pending.set;
	v->shared_pending = tg->pending.set;
	v->blocked = signal_blocked_locked(t);
	for (int sig = 1; t->sighand && sig <= NSIG_MAX; sig++) {
		uint64_t h = signal_action_locked(t->sighand, sig)->handler;

		if (h == 1)
			v->ignored |= SIGBIT(sig);
		else if (h)
			v->caught |= SIGBIT(sig);
	}
	v->cred = t->cred ? cred_get(t->cred) : NULL;
	v->utime = of_thread(n) ? task_cpu_ns(t) : group_cpu_ns_locked(tg);
	v->cutime = tg->dead_children.utime_ns;
	v->cstime = tg->dead_children.stime_ns;
	v->minflt = t->minflt;
	v->majflt = t->majflt;
	v->start = t->start_ns;
	v->nice = t->nice;
	v->policy = t->sched_policy;
	v->rt_priority = t->sched_priority;
	v->cpus_allowed = t->cpus_allowed ? t->cpus_allowed : kernel()->ncpus < 64 ? (1ull << kernel()->ncpus) - 1 : UINT64_MAX;
	mutex_unlock(&kernel()->tasks_mu);
	if (!mm)
		return;
	mutex_lock(&mm->mu);
	v->vsize = mm->total_bytes;
	v->locked = mm->locked_bytes;
	v->data = mm->data_bytes;
	v->code_start = mm->code_start;
	v->code_end = mm->code_end;
	v->stack_start = mm->stack_start;
	v->data_start = mm->data_start;
	v->data_end = mm->data_end;
	v->brk_start = mm->brk_start;
	v->arg_start = mm->arg_start;
	v->arg_end = mm->arg_end;
	v->env_start = mm->env_start;
	v->env_end = mm->env_end;
	mutex_unlock(&mm->mu);
	mm_resident(mm, &v->rss, &v->shared);
	v->rss *= PAGE_SIZE;
	v->shared *= PAGE_SIZE;
	mm_put(mm);
}

static unsigned long ticks(uint64_t ns)
{
	return (unsigned long)(ns / (NSEC_PER_SEC / CLK_TCK));
}

int proc_show_stat(struct proc_node *n, struct proc_text *x)
{
	struct view v;
	uint64_t since_boot;

	take_view(n, &v);
	since_boot = (uint64_t)((int64_t)v.start - kernel()->boot_ns);
	// Real-time priorities count down from -2 (proc(5)).
	proc_printf(x, "%d (%.15s) %c %d %d %d %d %d %u %lu 0 %lu 0 %lu %lu %lu %lu %d %d %d 0 %lu %lu %lu %lu ", n->task->tid, v.comm,
		    v.state, v.ppid, v.pgid, v.sid, v.tty_number, v.tty_pgid, 0x400000u, (unsigned long)v.minflt,
		    (unsigned long)v.majflt, ticks(v.utime), ticks(v.stime), ticks(v.cutime), ticks(v.cstime),
		    v.rt_priority ? -1 - v.rt_priority : 20 + v.nice, v.nice, v.threads, ticks(since_boot), (unsigned long)v.vsize,
		    (unsigned long)(MIN(v.vsize, v.rss) / PAGE_SIZE), (unsigned long)n->tg->rlimits[RLIMIT_RSS].rlim_cur);
	proc_printf(x, "%lu %lu %lu 0 0 %lu %lu %lu %lu %d 0 0 %d 0 %d %d 0 0 0 ", (unsigned long)v.code_start, (unsigned long)v.code_end,
		    (unsigned long)v.stack_start, (unsigned long)(v.pending & 0x7fffffff), (unsigned long)(v.blocked & 0x7fffffff),
		    (unsigned long)(v.ignored & 0x7fffffff), (unsigned long)(v.caught & 0x7fffffff), v.state == 'S', n->tg->exit_signal,
		    v.rt_priority, v.policy);
	proc_printf(x, "%lu %lu %lu %lu %lu %lu %lu %d\n", (unsigned long)v.data_start, (unsigned long)v.data_end,
		    (unsigned long)v.brk_start, (unsigned long)v.arg_start, (unsigned long)v.arg_end, (unsigned long)v.env_start,
		    (unsigned long)v.env_end, n->tg->zombie ? n->tg->wait_status : 0);
	cred_put(v.cred);
	return 0;
}

static const char *state_name(char letter)
{
	switch (letter) {
	case 'Z': return "zombie";
	case 'T': return "stopped";
	case 'S': return "sleeping";
	}
	return "running";
}

static void show_cred(struct proc_text *x, const struct cred *c)
{
	proc_printf(x, "Uid:\t%u\t%u\t%u\t%u\nGid:\t%u\t%u\t%u\t%u\n", c->uid, c->euid, c->suid, c->fsuid, c->gid, c->egid, c->sgid,
		    c->fsgid);
}

static void show_cpus(struct proc_text *x, uint64_t mask)
{
	const char *sep = "";

	proc_printf(x, "Cpus_allowed:\t%lx\nCpus_allowed_list:\t", (unsigned long)mask);
	for (int cpu = 0; cpu < 64; cpu++) {
		int first = cpu;

		if (!(mask >> cpu & 1))
			continue;
		while (cpu < 63 && mask >> (cpu + 1) & 1)
			cpu++;
		proc_printf(x, cpu > first ? "%s%d-%d" : "%s%d", sep, first, cpu);
		sep = ",";
	}
	proc_printf(x, "\n");
}

int proc_show_status(struct proc_node *n, struct proc_text *x)
{
	struct view v;
	mode_t umask_shown = 022;
	struct fs_context *fs = proc_get_fs(n);

	if (fs)
		umask_shown = fs->umask;
	fs_context_put(fs);
	take_view(n, &v);
	proc_printf(x, "Name:\t%.15s\nUmask:\t%04o\nState:\t%c (%s)\nTgid:\t%d\nNgid:\t0\nPid:\t%d\nPPid:\t%d\nTracerPid:\t0\n", v.comm,
		    umask_shown, v.state, state_name(v.state), n->tg->tgid, n->task->tid, v.ppid);
	if (v.cred)
		show_cred(x, v.cred);
	proc_printf(x, "FDSize:\t64\nGroups:\t");
	for (uint32_t i = 0; v.cred && i < v.cred->ngroups; i++)
		proc_printf(x, "%u ", v.cred->groups[i]);
	proc_printf(x, "\nNStgid:\t%d\nNSpid:\t%d\nNSpgid:\t%d\nNSsid:\t%d\n", n->tg->tgid, n->task->tid, v.pgid, v.sid);
	if (v.vsize) {
		unsigned long kb = (unsigned long)(v.vsize / 1024), data = (unsigned long)(v.data / 1024);
		unsigned long rss = MIN(kb, (unsigned long)(v.rss / 1024)), shared = MIN(rss, (unsigned long)(v.shared / 1024));

		// The peaks aren't kept: what is now stands for them.
		proc_printf(x,
			    "VmPeak:\t%8lu kB\nVmSize:\t%8lu kB\nVmLck:\t%8lu kB\nVmPin:\t%8d kB\nVmHWM:\t%8lu kB\nVmRSS:\t%8lu kB\n"
			    "RssAnon:\t%8lu kB\nRssFile:\t%8lu kB\nRssShmem:\t%8d kB\nVmData:\t%8lu kB\nVmStk:\t%8d kB\n"
			    "VmExe:\t%8lu kB\nVmLib:\t%8d kB\nVmPTE:\t%8d kB\nVmSwap:\t%8d kB\nHugetlbPages:\t%8d kB\n"
			    "CoreDumping:\t0\nTHP_enabled:\t1\n",
			    kb, kb, (unsigned long)(v.locked / 1024), 0, rss, rss, rss - shared, shared, 0, data, 132,
			    (unsigned long)((v.code_end - v.code_start) / 1024), 0, 0, 0, 0);
	}
	proc_printf(x, "Threads:\t%d\nSigQ:\t0/%lu\nSigPnd:\t%016lx\nShdPnd:\t%016lx\nSigBlk:\t%016lx\nSigIgn:\t%016lx\nSigCgt:\t%016lx\n",
		    v.threads, (unsigned long)n->tg->rlimits[RLIMIT_SIGPENDING].rlim_cur, (unsigned long)v.pending,
		    (unsigned long)v.shared_pending, (unsigned long)v.blocked, (unsigned long)v.ignored, (unsigned long)v.caught);
	if (v.cred)
		proc_printf(x, "CapInh:\t%016lx\nCapPrm:\t%016lx\nCapEff:\t%016lx\nCapBnd:\t%016lx\nCapAmb:\t%016lx\nNoNewPrivs:\t%d\n",
			    (unsigned long)v.cred->cap_inheritable, (unsigned long)v.cred->cap_permitted,
			    (unsigned long)v.cred->cap_effective, (unsigned long)v.cred->cap_bounding,
			    (unsigned long)v.cred->cap_ambient, v.cred->no_new_privs);
	proc_printf(x, "Seccomp:\t0\nSeccomp_filters:\t0\n");
	show_cpus(x, v.cpus_allowed);
	proc_printf(x, "Mems_allowed:\t1\nMems_allowed_list:\t0\nvoluntary_ctxt_switches:\t%lu\nnonvoluntary_ctxt_switches:\t%lu\n",
		    (unsigned long)n->task->nvcsw, (unsigned long)n->task->nivcsw);
	cred_put(v.cred);
	return 0;
}
