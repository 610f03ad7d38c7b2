/* Sleeping, interval timers, POSIX timers, timerfd, and alarm. Lower bounds are exact, upper bounds are not tested. */
#include "abi.h"
#include <poll.h>
#include <pthread.h>
#include <sys/epoll.h>
#include <sys/time.h>
#include <sys/timerfd.h>

#define MS 1000000LL

static volatile sig_atomic_t count;
static volatile siginfo_t info;

static void on_info(int sig, siginfo_t *si, void *uc)
{
	info = *si;
	count++;
}

static void handle(int sig)
{
	struct sigaction sa = { .sa_sigaction = on_info, .sa_flags = SA_SIGINFO };

	sigaction(sig, &sa, NULL);
}

/* One that comes once, whenever: it waits until it is taken. */
static void hold(int sig)
{
	sigset_t set = set_of(sig, 0);

	handle(sig);
	OK(sigprocmask(SIG_BLOCK, &set, NULL));
}

static void take(void)
{
	sigset_t none;

	sigemptyset(&none);
	ERR(sigsuspend(&none), EINTR);
}

CASE(nanosleep_lasts)
{
	struct timespec ts = { 0, 20 * MS }, bad = { 0, 1000000000 };
	int64_t t = now_ns();

	OK(nanosleep(&ts, NULL));
	CHECK(now_ns() - t >= 20 * MS);
	ERR(nanosleep(&bad, NULL), EINVAL);
	bad = (struct timespec){ -1, 0 };
	ERR(nanosleep(&bad, NULL), EINVAL);
	ERR(syscall(SYS_nanosleep, (void *)8, NULL), EFAULT);
}

CASE(clock_nanosleep_absolute)
{
	struct timespec ts;
	int64_t t = now_ns() + 30 * MS;

	ts = (struct timespec){ t / 1000000000, t % 1000000000 };
	EQ(clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &ts, NULL), 0);
	CHECK(now_ns() >= t);
	/* In the past: at once. */
	EQ(clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &ts, NULL), 0);
	clock_gettime(CLOCK_REALTIME, &ts);
	EQ(clock_nanosleep(CLOCK_REALTIME, TIMER_ABSTIME, &ts, NULL), 0);
	ts = (struct timespec){ 0, 1 };
	EQ(clock_nanosleep(CLOCK_BOOTTIME, 0, &ts, NULL), 0);
	EQ(clock_nanosleep(99, 0, &ts, NULL), EINVAL);
	EQ(clock_nanosleep(CLOCK_THREAD_CPUTIME_ID, 0, &ts, NULL), EINVAL);
}

CASE(alarm_fires_and_reports_rest)
{
	hold(SIGALRM);
	EQ(alarm(100), 0);
	unsigned left = alarm(1);
	CHECK(left >= 90 && left <= 100);
	take();
	EQ(count, 1);
	EQ(alarm(0), 0);
}

CASE(itimer_real_repeats)
{
	struct itimerval it = { { 0, 5000 }, { 0, 5000 } }, old;

	handle(SIGALRM);
	OK(setitimer(ITIMER_REAL, &it, NULL));
	while (count < 5)
		pause();
	OK(getitimer(ITIMER_REAL, &old));
	EQ(old.it_interval.tv_usec, 5000);
	memset(&it, 0, sizeof it);
	OK(setitimer(ITIMER_REAL, &it, &old));
	EQ(old.it_interval.tv_usec, 5000);
	OK(getitimer(ITIMER_REAL, &old));
	EQ(old.it_value.tv_usec, 0);
	ERR(setitimer(7, &it, NULL), EINVAL);
	it.it_value.tv_usec = 1000000;
	ERR(setitimer(ITIMER_REAL, &it, NULL), EINVAL);
}

CASE(itimer_virtual_and_prof)
{
	struct itimerval it = { { 0, 0 }, { 0, 20000 } };

	handle(SIGVTALRM);
	OK(setitimer(ITIMER_VIRTUAL, &it, NULL));
	while (!count)
		for (volatile int i = 0; i < 100000; i++)
			;
	handle(SIGPROF);
	count = 0;
	OK(setitimer(ITIMER_PROF, &it, NULL));
	while (!count)
		for (volatile int i = 0; i < 100000; i++)
			;
}

CASE(itimer_not_inherited)
{
	struct itimerval it = { { 0, 0 }, { 100, 0 } };

	OK(setitimer(ITIMER_REAL, &it, NULL));
	pid_t p = CHILD({
		struct itimerval now;
		OK(getitimer(ITIMER_REAL, &now));
		EQ(now.it_value.tv_sec, 0);
	});
	EXITED(p, 0);
}

CASE(posix_timer_signal)
{
	timer_t id;
	struct sigevent ev = { .sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGRTMIN, .sigev_value.sival_int = 77 };
	struct itimerspec it = { { 0, 0 }, { 0, 10 * MS } };

	hold(SIGRTMIN);
	OK(timer_create(CLOCK_MONOTONIC, &ev, &id));
	int64_t t = now_ns();
	OK(timer_settime(id, 0, &it, NULL));
	take();
	EQ(count, 1);
	CHECK(now_ns() - t >= 10 * MS);
	EQ(info.si_code, SI_TIMER);
	EQ(info.si_value.sival_int, 77);
	EQ(info.si_overrun, 0);
	OK(timer_gettime(id, &it));
	EQ(it.it_value.tv_sec + it.it_value.tv_nsec, 0);
	OK(timer_delete(id));
	ERR(timer_delete(id), EINVAL);
	ERR(timer_gettime(id, &it), EINVAL);
}

CASE(posix_timer_overrun)
{
	timer_t id;
	struct sigevent ev = { .sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGUSR1 };
	struct itimerspec it = { { 0, 1 * MS }, { 0, 1 * MS } };
	sigset_t set;
	siginfo_t si;

	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	sigprocmask(SIG_BLOCK, &set, NULL);
	OK(timer_create(CLOCK_MONOTONIC, &ev, &id));
	OK(timer_settime(id, 0, &it, NULL));
	msleep(50);
	EQ(sigwaitinfo(&set, &si), SIGUSR1);
	CHECK(si.si_overrun >= 30);
	CHECK(timer_getoverrun(id) >= 30);
}

CASE(posix_timer_absolute_and_rest)
{
	timer_t id;
	struct sigevent ev = { .sigev_notify = SIGEV_NONE };
	struct itimerspec it = { { 0, 0 }, { 0, 0 } }, old;

	OK(timer_create(CLOCK_REALTIME, &ev, &id));
	clock_gettime(CLOCK_REALTIME, &it.it_value);
	it.it_value.tv_sec += 100;
	OK(timer_settime(id, TIMER_ABSTIME, &it, NULL));
	OK(timer_gettime(id, &old));
	CHECK(old.it_value.tv_sec >= 90 && old.it_value.tv_sec <= 100);
	it = (struct itimerspec){ { 0, 0 }, { 0, 0 } };
	OK(timer_settime(id, 0, &it, &old));
	CHECK(old.it_value.tv_sec >= 90);
	it.it_value.tv_nsec = -1;
	ERR(timer_settime(id, 0, &it, NULL), EINVAL);
}

CASE(posix_timer_errors)
{
	timer_t id;
	struct sigevent ev = { .sigev_notify = SIGEV_SIGNAL, .sigev_signo = 99 };

	ERR(timer_create(CLOCK_MONOTONIC, &ev, &id), EINVAL);
	ev.sigev_signo = SIGUSR1;
	ERR(timer_create(99, &ev, &id), EINVAL);
}

static volatile pid_t target, got;

static void note_tid(int sig)
{
	got = syscall(SYS_gettid);
}

static void *timer_thread(void *arg)
{
	target = syscall(SYS_gettid);
	while (!got)
		usleep(1000);
	return NULL;
}

CASE(posix_timer_to_thread)
{
	struct sigaction sa = { .sa_handler = note_tid };
	struct sigevent ev = { .sigev_notify = SIGEV_THREAD_ID, .sigev_signo = SIGUSR1 };
	struct itimerspec it = { { 0, 0 }, { 0, 1 * MS } };
	pthread_t t;
	timer_t id;

	sigaction(SIGUSR1, &sa, NULL);
	pthread_create(&t, NULL, timer_thread, NULL);
	EVENTUALLY(target);
	ev._sigev_un._tid = target;
	OK(timer_create(CLOCK_MONOTONIC, &ev, &id));
	OK(timer_settime(id, 0, &it, NULL));
	pthread_join(t, NULL);
	EQ(got, target);
}

CASE(posix_timers_gone_after_fork)
{
	timer_t id;
	struct sigevent ev = { .sigev_notify = SIGEV_NONE };
	struct itimerspec it;

	OK(timer_create(CLOCK_MONOTONIC, &ev, &id));
	pid_t p = CHILD({ ERR(timer_gettime(id, &it), EINVAL); });
	EXITED(p, 0);
}

CASE(timerfd_once)
{
	int fd = OK(timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC));
	struct itimerspec it = { { 0, 0 }, { 0, 20 * MS } };
	struct pollfd p = { fd, POLLIN, 0 };
	uint64_t n;
	int64_t t = now_ns();

	OK(timerfd_settime(fd, 0, &it, NULL));
	int ready = poll(&p, 1, 0);
	CHECK(ready == 0 || now_ns() - t >= 20 * MS);
	EQ(read(fd, &n, 8), 8);
	EQ(n, 1);
	CHECK(now_ns() - t >= 20 * MS);
	EQ(poll(&p, 1, 30), 0);
	OK(timerfd_gettime(fd, &it));
	EQ(it.it_value.tv_nsec, 0);
}

CASE(timerfd_repeats_and_counts)
{
	int fd = OK(timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK));
	struct itimerspec it = { { 0, 2 * MS }, { 0, 2 * MS } }, old;
	uint64_t n;

	ERR(read(fd, &n, 8), EAGAIN);
	OK(timerfd_settime(fd, 0, &it, NULL));
	msleep(30);
	EQ(read(fd, &n, 8), 8);
	CHECK(n >= 14);
	ERR(read(fd, &n, 7), EINVAL);
	OK(timerfd_gettime(fd, &old));
	EQ(old.it_interval.tv_nsec, 2 * MS);
	/* Setting discards what had been counted. */
	msleep(5);
	it = (struct itimerspec){ { 0, 0 }, { 0, 0 } };
	OK(timerfd_settime(fd, 0, &it, &old));
	ERR(read(fd, &n, 8), EAGAIN);
}

CASE(timerfd_absolute)
{
	int fd = OK(timerfd_create(CLOCK_REALTIME, 0));
	struct itimerspec it = { { 0, 0 }, { 1, 0 } };
	uint64_t n;

	OK(timerfd_settime(fd, TFD_TIMER_ABSTIME, &it, NULL));	/* 1970: at once */
	EQ(read(fd, &n, 8), 8);
	EQ(n, 1);
}

CASE(timerfd_in_epoll)
{
	int fd = OK(timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK)), ep = OK(epoll_create1(0));
	struct itimerspec it = { { 0, 0 }, { 0, 5 * MS } };
	struct epoll_event ev = { .events = EPOLLIN };

	OK(epoll_ctl(ep, EPOLL_CTL_ADD, fd, &ev));
	OK(timerfd_settime(fd, 0, &it, NULL));
	EQ(epoll_wait(ep, &ev, 1, -1), 1);
}

CASE(timerfd_errors)
{
	struct itimerspec it = { { 0, 0 }, { 0, 1000000000 } };
	int fd = OK(timerfd_create(CLOCK_BOOTTIME, 0)), p[2];

	OK(pipe(p));
	ERR(timerfd_create(99, 0), EINVAL);
	ERR(timerfd_create(CLOCK_MONOTONIC, 1), EINVAL);
	ERR(timerfd_settime(fd, 0, &it, NULL), EINVAL);
	it.it_value.tv_nsec = 0;
	ERR(timerfd_settime(p[0], 0, &it, NULL), EINVAL);
	ERR(timerfd_settime(99, 0, &it, NULL), EBADF);
	ERR(timerfd_settime(fd, 77, &it, NULL), EINVAL);
	ERR(write(fd, "12345678", 8), EINVAL);
}

CASE(poll_timeout_lasts)
{
	int64_t t = now_ns();

	EQ(poll(NULL, 0, 25), 0);
	CHECK(now_ns() - t >= 25 * MS);
}

CASE(many_sleepers)
{
	pid_t p[30];

	for (int i = 0; i < 30; i++)
		p[i] = CHILD({ msleep(30 - i); _exit(i); });
	for (int i = 0; i < 30; i++)
		EXITED(p[i], i);
}

static int64_t cpu_ns(void)
{
	struct timespec ts;

	OK(clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &ts));
	return ts.tv_sec * 1000000000LL + ts.tv_nsec;
}

CASE(posix_timer_cpu_clock)
{
	timer_t id;
	struct sigevent ev = { .sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGUSR1 };
	struct itimerspec it = { { 0, 0 }, { 0, 30 * MS } };

	handle(SIGUSR1);
	OK(timer_create(CLOCK_PROCESS_CPUTIME_ID, &ev, &id));
	int64_t from = cpu_ns();
	OK(timer_settime(id, 0, &it, NULL));
	/* Sleep doesn't count. */
	msleep(60);
	CHECK(!count || cpu_ns() - from >= 30 * MS);
	while (!count)
		;
	CHECK(cpu_ns() - from >= 30 * MS);
	OK(timer_create(CLOCK_THREAD_CPUTIME_ID, &ev, &id));
	count = 0;
	OK(timer_settime(id, 0, &it, NULL));
	while (!count)
		;
}

CASE(shortest_periods_do_not_block_the_rest)
{
	timer_t id, ignored;
	struct sigevent ev = { .sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGUSR1 };
	struct itimerspec it = { { 0, 1 }, { 0, 1 } };
	struct itimerval iv = { { 0, 1 }, { 0, 1 } };
	int fd = OK(timerfd_create(CLOCK_MONOTONIC, 0));
	uint64_t n;
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	sigprocmask(SIG_BLOCK, &set, NULL);
	signal(SIGALRM, SIG_IGN);
	signal(SIGUSR2, SIG_IGN);
	OK(timer_create(CLOCK_MONOTONIC, &ev, &id));
	ev.sigev_signo = SIGUSR2;
	OK(timer_create(CLOCK_REALTIME, &ev, &ignored));
	OK(timer_settime(id, 0, &it, NULL));
	OK(timer_settime(ignored, 0, &it, NULL));
	OK(timerfd_settime(fd, 0, &it, NULL));
	OK(setitimer(ITIMER_REAL, &iv, NULL));
	pid_t p = CHILD({ msleep(20); });
	EXITED(p, 0);
	EQ(read(fd, &n, 8), 8);
	CHECK(n > 1000000);
	siginfo_t si;
	EQ(sigwaitinfo(&set, &si), SIGUSR1);
	CHECK(si.si_overrun > 1000000);
}

CASE(delete_with_signal_pending)
{
	timer_t id;
	struct sigevent ev = { .sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGRTMIN };
	struct itimerspec it = { { 0, 0 }, { 0, 1 } };
	sigset_t set, pending;

	sigemptyset(&set);
	sigaddset(&set, SIGRTMIN);
	sigprocmask(SIG_BLOCK, &set, NULL);
	OK(timer_create(CLOCK_MONOTONIC, &ev, &id));
	OK(timer_settime(id, 0, &it, NULL));
	EVENTUALLY(!sigpending(&pending) && sigismember(&pending, SIGRTMIN));
	OK(timer_delete(id));
	struct timespec none = { 0, 0 };
	int got_one = sigtimedwait(&set, NULL, &none);
	CHECK(got_one == -1 || got_one == SIGRTMIN);	/* man: unspecified */
	ERR(timer_settime(id, 0, &it, NULL), EINVAL);
}

CASE(posix_timers_gone_after_exec)
{
	struct sigevent ev = { .sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGKILL };
	timer_t id;
	int st = -1;

	/* On a busy machine it may fire before the exec: then once more, with one that takes longer. */
	for (int ms = 50; st != 0 && ms < 10000; ms *= 4) {
		struct itimerspec it = { .it_value = { ms / 1000, ms % 1000 * MS } };
		char longer[16];
		pid_t p = CHILD({
			OK(timer_create(CLOCK_MONOTONIC, &ev, &id));
			OK(timer_settime(id, 0, &it, NULL));
			snprintf(longer, sizeof longer, "%.1f", ms * 2 / 1000.);
			execl("/bin/sleep", "sleep", longer, NULL);
			_exit(9);
		});
		OK(waitpid(p, &st, 0));
		CHECK(st == 0 || st == SIGKILL);
	}
	EQ(st, 0);
}

/* A periodic timer that waits for its signal to be taken goes on when that is another timer's, and taken back. */
CASE(interval_behind_a_deleted_timer)
{
	struct itimerspec once = { .it_value.tv_nsec = 1000000 };
	struct itimerval often = { { 0, 5000 }, { 0, 5000 } };
	struct timespec limit = { 10, 0 };
	sigset_t set = set_of(SIGALRM, 0), pending;
	timer_t id;

	OK(sigprocmask(SIG_BLOCK, &set, NULL));
	OK(timer_create(CLOCK_MONOTONIC, NULL, &id));
	OK(timer_settime(id, 0, &once, NULL));
	EVENTUALLY(sigpending(&pending) == 0 && sigismember(&pending, SIGALRM));
	OK(setitimer(ITIMER_REAL, &often, NULL));
	msleep(50);
	OK(timer_delete(id));
	for (int i = 0; i < 3; i++)
		EQ(sigtimedwait(&set, NULL, &limit), SIGALRM);
}
