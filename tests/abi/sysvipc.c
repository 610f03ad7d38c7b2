/* System V semaphores, message queues and shared memory. */
#include "abi.h"
#include <sys/ipc.h>
#include <sys/msg.h>
#include <sys/sem.h>
#include <sys/shm.h>

static int one(int sem, int num, int op, int flags)
{
	struct sembuf sb = { num, op, flags };

	return semop(sem, &sb, 1);
}

/* Everything of this kind outlives its process: each case removes what it made. */
static int sem_new(int n)
{
	return OK(semget(IPC_PRIVATE, n, 0600));
}

CASE(sem_counts)
{
	int s = sem_new(3);
	unsigned short v[3] = { 9, 9, 9 };

	OK(semctl(s, 0, GETALL, v));
	CHECK(v[0] == 0 && v[1] == 0 && v[2] == 0);
	OK(one(s, 1, 5, 0));
	EQ(semctl(s, 1, GETVAL), 5);
	EQ(semctl(s, 1, GETPID), getpid());
	OK(one(s, 1, -3, 0));
	EQ(semctl(s, 1, GETVAL), 2);
	ERR(one(s, 1, -3, IPC_NOWAIT), EAGAIN);
	ERR(one(s, 1, 0, IPC_NOWAIT), EAGAIN);
	OK(one(s, 0, 0, 0));
	OK(semctl(s, 2, SETVAL, 7));
	v[0] = 1, v[1] = 2, v[2] = 3;
	OK(semctl(s, 0, SETALL, v));
	EQ(semctl(s, 2, GETVAL), 3);
	OK(semctl(s, 0, IPC_RMID));
	ERR(semctl(s, 0, GETVAL), EINVAL);
}

CASE(sem_all_or_nothing)
{
	int s = sem_new(2);
	struct sembuf both[2] = { { 0, 1, 0 }, { 1, -1, IPC_NOWAIT } };

	ERR(semop(s, both, 2), EAGAIN);
	EQ(semctl(s, 0, GETVAL), 0);
	both[1].sem_op = 1;
	OK(semop(s, both, 2));
	EQ(semctl(s, 0, GETVAL) + semctl(s, 1, GETVAL), 2);
	OK(semctl(s, 0, IPC_RMID));
}

CASE(sem_errors)
{
	int s = sem_new(1);
	struct sembuf many[600] = { { 0, 0, 0 } };

	ERR(one(s, 1, 1, 0), EFBIG);
	ERR(one(s, 0, 32767, 0) ?: one(s, 0, 1, 0), ERANGE);
	ERR(semctl(s, 0, SETVAL, 32768), ERANGE);
	ERR(semctl(s, 1, GETVAL), EINVAL);
	ERR(semop(s, many, 600), E2BIG);
	ERR(semop(s, many, 0), EINVAL);
	ERR(semop(s, (void *)8, 1), EFAULT);
	ERR(semop(-1, many, 1), EINVAL);
	ERR(semop(0x7fffffff, many, 1), EINVAL);
	ERR(semget(IPC_PRIVATE, 0, 0600), EINVAL);
	ERR(semget(IPC_PRIVATE, 1 << 20, 0600), EINVAL);
	ERR(semctl(s, 0, 9999), EINVAL);
	OK(semctl(s, 0, IPC_RMID));
}

CASE(sem_keys)
{
	key_t key = 0x48000000 | getpid();
	int s = OK(semget(key, 2, IPC_CREAT | IPC_EXCL | 0640));
	struct semid_ds ds;

	EQ(semget(key, 2, 0), s);
	EQ(semget(key, 0, 0), s);
	ERR(semget(key, 3, 0), EINVAL);
	ERR(semget(key, 2, IPC_CREAT | IPC_EXCL), EEXIST);
	OK(semctl(s, 0, IPC_STAT, &ds));
	EQ(ds.sem_nsems, 2);
	EQ(ds.sem_perm.mode, 0640);
	EQ(ds.sem_perm.__key, key);
	EQ(ds.sem_otime, 0);
	CHECK(ds.sem_ctime > 0);
	ds.sem_perm.mode = 0600;
	OK(semctl(s, 0, IPC_SET, &ds));
	OK(semctl(s, 0, IPC_STAT, &ds));
	EQ(ds.sem_perm.mode, 0600);
	OK(semctl(s, 0, IPC_RMID));
	ERR(semget(key, 2, 0), ENOENT);
}

CASE(sem_waits)
{
	int s = sem_new(1);
	pid_t p = CHILD({ OK(one(s, 0, -2, 0)); });

	EVENTUALLY(semctl(s, 0, GETNCNT) == 1);
	OK(one(s, 0, 1, 0));
	EQ(semctl(s, 0, GETNCNT), 1);
	OK(one(s, 0, 1, 0));
	EXITED(p, 0);
	EQ(semctl(s, 0, GETVAL), 0);
	OK(semctl(s, 0, IPC_RMID));
}

CASE(sem_waits_for_zero)
{
	int s = sem_new(1);

	OK(one(s, 0, 1, 0));
	pid_t p = CHILD({ OK(one(s, 0, 0, 0)); });
	EVENTUALLY(semctl(s, 0, GETZCNT) == 1);
	/* It may be zero for a moment only: the waiter gets it all the same. */
	OK(one(s, 0, -1, 0));
	OK(one(s, 0, 1, 0));
	EXITED(p, 0);
	OK(semctl(s, 0, IPC_RMID));
}

CASE(sem_timeout)
{
	int s = sem_new(1);
	struct sembuf sb = { 0, -1, 0 };
	struct timespec ts = { 0, 20000000 }, bad = { 0, 1000000000 };
	int64_t t = now_ns();

	ERR(semtimedop(s, &sb, 1, &ts), EAGAIN);
	CHECK(now_ns() - t >= 20000000);
	EQ(semctl(s, 0, GETNCNT), 0);
	ERR(semtimedop(s, &sb, 1, &bad), EINVAL);
	OK(semctl(s, 0, IPC_RMID));
}

static volatile sig_atomic_t hits;

static void hit(int sig)
{
	hits++;
}

CASE(sem_interrupted)
{
	int s = sem_new(1);
	struct sigaction sa = { .sa_handler = hit, .sa_flags = SA_RESTART };
	pid_t me = getpid();

	sigaction(SIGUSR1, &sa, NULL);
	pid_t p = CHILD({
		EVENTUALLY(semctl(s, 0, GETNCNT) == 1);
		kill(me, SIGUSR1);
	});
	ERR(one(s, 0, -1, 0), EINTR);
	EQ(hits, 1);
	EXITED(p, 0);
	EQ(semctl(s, 0, GETNCNT), 0);
	OK(semctl(s, 0, IPC_RMID));
}

CASE(sem_removed_while_waiting)
{
	int s = sem_new(1);
	pid_t p = CHILD({ ERR(one(s, 0, -1, 0), EIDRM); });

	EVENTUALLY(semctl(s, 0, GETNCNT) == 1);
	OK(semctl(s, 0, IPC_RMID));
	EXITED(p, 0);
}

CASE(sem_killed_while_waiting)
{
	int s = sem_new(1);
	pid_t p = CHILD({ one(s, 0, -1, 0); });

	EVENTUALLY(semctl(s, 0, GETNCNT) == 1);
	kill(p, SIGKILL);
	KILLED(p, SIGKILL);
	EQ(semctl(s, 0, GETNCNT), 0);
	OK(semctl(s, 0, IPC_RMID));
}

CASE(sem_undo)
{
	int s = sem_new(2);

	OK(one(s, 0, 3, 0));
	pid_t p = CHILD({
		OK(one(s, 0, -2, SEM_UNDO));
		OK(one(s, 1, 1, SEM_UNDO));
		EQ(semctl(s, 0, GETVAL), 1);
	});
	EXITED(p, 0);
	EQ(semctl(s, 0, GETVAL), 3);
	EQ(semctl(s, 1, GETVAL), 0);
	/* Not what was before SETVAL. */
	p = CHILD({
		OK(one(s, 0, -2, SEM_UNDO));
		OK(semctl(s, 0, SETVAL, 1));
	});
	EXITED(p, 0);
	EQ(semctl(s, 0, GETVAL), 1);
	/* The end of its owner lets the next one go on. */
	OK(semctl(s, 0, SETVAL, 1));
	p = CHILD({ OK(one(s, 0, -1, SEM_UNDO)); pause(); });
	EVENTUALLY(semctl(s, 0, GETVAL) == 0);
	pid_t q = CHILD({ OK(one(s, 0, -1, 0)); });
	EVENTUALLY(semctl(s, 0, GETNCNT) == 1);
	kill(p, SIGKILL);
	KILLED(p, SIGKILL);
	EXITED(q, 0);
	OK(semctl(s, 0, IPC_RMID));
}

CASE(sem_permissions)
{
	int s = sem_new(1);

	if (geteuid() != 0)
		SKIP("needs root");
	pid_t p = CHILD({
		OK(setresuid(1000, 1000, 1000));
		ERR(one(s, 0, 1, 0), EACCES);
		ERR(semctl(s, 0, GETVAL), EACCES);
		ERR(semctl(s, 0, IPC_RMID), EPERM);
	});
	EXITED(p, 0);
	OK(semctl(s, 0, IPC_RMID));
}

/* --- message queues */

struct text {
	long type;
	char s[64];
};

static int put(int q, long type, const char *s, int flags)
{
	struct text m = { .type = type };

	strcpy(m.s, s);
	return msgsnd(q, &m, strlen(s), flags);
}

static int queue_new(void)
{
	return OK(msgget(IPC_PRIVATE, 0600));
}

CASE(msg_in_order_and_by_type)
{
	int q = queue_new();
	struct text m;
	struct msqid_ds ds;

	OK(put(q, 3, "three", 0));
	OK(put(q, 1, "one", 0));
	OK(put(q, 2, "two", 0));
	OK(put(q, 3, "more", 0));
	OK(msgctl(q, IPC_STAT, &ds));
	EQ(ds.msg_qnum, 4);
	EQ(ds.__msg_cbytes, 15);
	EQ(ds.msg_lspid, getpid());
	EQ(msgrcv(q, &m, sizeof m.s, 0, 0), 5);
	EQ(m.type, 3);
	CHECK(!memcmp(m.s, "three", 5));
	EQ(msgrcv(q, &m, sizeof m.s, 3, 0), 4);
	EQ(msgrcv(q, &m, sizeof m.s, -2, 0), 3);
	EQ(m.type, 1);
	EQ(msgrcv(q, &m, sizeof m.s, 1, MSG_EXCEPT), 3);
	EQ(m.type, 2);
	ERR(msgrcv(q, &m, sizeof m.s, 0, IPC_NOWAIT), ENOMSG);
	OK(msgctl(q, IPC_RMID, NULL));
}

CASE(msg_sizes)
{
	int q = queue_new();
	struct text m;
	static struct { long type; char s[20000]; } big = { .type = 1 };

	OK(put(q, 1, "long one", 0));
	ERR(msgrcv(q, &m, 4, 0, 0), E2BIG);
	EQ(msgrcv(q, &m, 4, 0, MSG_NOERROR), 4);
	ERR(msgrcv(q, &m, 4, 0, IPC_NOWAIT), ENOMSG);
	ERR(msgsnd(q, &big, 8193, 0), EINVAL);
	OK(msgsnd(q, &big, 8192, 0));
	OK(msgsnd(q, &big, 8192, 0));
	ERR(msgsnd(q, &big, 1, IPC_NOWAIT), EAGAIN);
	OK(msgsnd(q, &big, 0, IPC_NOWAIT));
	big.type = 0;
	ERR(msgsnd(q, &big, 1, 0), EINVAL);
	ERR(msgsnd(q, (void *)8, 1, 0), EFAULT);
	ERR(msgsnd(-1, &m, 1, 0), EINVAL);
	ERR(msgrcv(q, &m, -1, 0, 0), EINVAL);
	OK(msgctl(q, IPC_RMID, NULL));
	ERR(msgrcv(q, &m, 4, 0, 0), EINVAL);
}

CASE(msg_waits)
{
	int q = queue_new();
	struct text m;
	pid_t p = CHILD({
		EQ(msgrcv(q, &m, sizeof m.s, 7, 0), 2);
		CHECK(!memcmp(m.s, "hi", 2));
	});

	EVENTUALLY(proc_state(p) == 'S');
	OK(put(q, 6, "not you", 0));
	OK(put(q, 7, "hi", 0));
	EXITED(p, 0);
	OK(msgctl(q, IPC_RMID, NULL));
}

CASE(msg_sender_waits)
{
	int q = queue_new();
	static struct { long type; char s[8192]; } big = { .type = 1 };

	OK(msgsnd(q, &big, 8192, 0));
	OK(msgsnd(q, &big, 8192, 0));
	pid_t p = CHILD({ OK(put(q, 9, "late", 0)); });
	EVENTUALLY(proc_state(p) == 'S');
	EQ(msgrcv(q, &big, 8192, 0, 0), 8192);
	EXITED(p, 0);
	EQ(msgrcv(q, &big, 8192, 9, IPC_NOWAIT), 4);
	OK(msgctl(q, IPC_RMID, NULL));
}

CASE(msg_removed_while_waiting)
{
	int q = queue_new();
	struct text m;
	pid_t p = CHILD({ ERR(msgrcv(q, &m, sizeof m.s, 0, 0), EIDRM); });

	EVENTUALLY(proc_state(p) == 'S');
	OK(msgctl(q, IPC_RMID, NULL));
	EXITED(p, 0);
}

CASE(msg_interrupted)
{
	int q = queue_new();
	struct text m;
	struct sigaction sa = { .sa_handler = hit, .sa_flags = SA_RESTART };
	pid_t me = getpid();

	sigaction(SIGUSR1, &sa, NULL);
	pid_t p = CHILD({
		EVENTUALLY(proc_state(me) == 'S');
		kill(me, SIGUSR1);
	});
	ERR(msgrcv(q, &m, sizeof m.s, 0, 0), EINTR);
	EXITED(p, 0);
	OK(msgctl(q, IPC_RMID, NULL));
}

/* --- shared memory */

CASE(shm_shared_by_key)
{
	key_t key = 0x49000000 | getpid();
	int id = OK(shmget(key, 10000, IPC_CREAT | IPC_EXCL | 0600));
	char *a = shmat(id, NULL, 0), *b = shmat(id, NULL, SHM_RDONLY);
	struct shmid_ds ds;

	CHECK(a != (void *)-1 && b != (void *)-1 && a != b);
	strcpy(a, "seen");
	STREQ(b, "seen");
	pid_t p = CHILD({
		char *c = shmat(OK(shmget(key, 1, 0)), NULL, 0);
		STREQ(c, "seen");
		strcpy(c + 5000, "back");
	});
	EXITED(p, 0);
	STREQ(b + 5000, "back");
	EVENTUALLY(shmctl(id, IPC_STAT, &ds) == 0 && ds.shm_nattch == 2);	/* who looks at a process in /proc holds its memory a bit longer */
	EQ(ds.shm_segsz, 10000);
	OK(shmctl(id, IPC_RMID, NULL));
	ERR(shmget(key, 1, 0), ENOENT);
	STREQ(a, "seen");
	OK(shmdt(a));
	OK(shmdt(b));
	ERR(shmdt(b), EINVAL);
	ERR(shmctl(id, IPC_STAT, &ds), EINVAL);
}
