/*
 * Programs that make up what the platform keeps for them of paths, and the questions that it asks the sentry for them: they fool themselves, and
 * nobody else, whoever comes after them.
 */
#include "../abi/abi.h"

#include <pthread.h>
#include <sched.h>
#include <sys/prctl.h>
#include <sys/sendfile.h>

#include "platform/systrap/channel.h"
#include "bystander.h"

#define NOBODY 65534
#define BELOW_SIZE 12

enum { OFTEN = 10, SLOTS = 4 };

static struct slot_name *kept(int slot)
{
	return (struct slot_name *)(CHAN_BASE + (size_t)slot * SLOT_BYTES + SLOT_NAMES);
}

/* The truth about what every case has in its folder. */
static int questions(const char *folder)
{
	char path[256], target[64];
	struct stat st;
	int fd;

	for (int i = 0; i < OFTEN; i++) {
		snprintf(path, sizeof path, "%s/there", folder);
		if (stat(path, &st) < 0 || st.st_size != BELOW_SIZE || (st.st_mode & 07777) != 0644 || access(path, R_OK) < 0)
			return 1;
		fd = open(path, O_RDONLY);
		if (fd < 0 || fstat(fd, &st) < 0 || st.st_size != BELOW_SIZE || (st.st_mode & 07777) != 0644 || close(fd) < 0)
			return 4;
		snprintf(path, sizeof path, "%s/not-there", folder);
		if (stat(path, &st) == 0 || access(path, F_OK) == 0 || open(path, O_RDONLY) >= 0 || readlink(path, target, sizeof target) >= 0)
			return 2;
		snprintf(path, sizeof path, "%s/link", folder);
		if (readlink(path, target, sizeof target) != 5 || memcmp(target, "there", 5))
			return 3;
	}
	return 0;
}

static void things(char *here, size_t cap)
{
	CHECK(getcwd(here, cap));
	OK(chmod(here, 0755));
	put_file("there", "twelve bytes", 0644);
	OK(symlink("there", "link"));
}

/* All that is kept says otherwise from now on. */
static void turn_around(void)
{
	if (access((const char *)CHAN_BASE, F_OK) < 0 && errno == EFAULT)
		return; // nothing is
	for (int s = 0; s < SLOTS; s++) {
		struct slot *slot = (struct slot *)(CHAN_BASE + (size_t)s * SLOT_BYTES);

		memset(slot->opened_stat, 0x77, sizeof slot->opened_stat);
		slot->opened.fd_1 = 4 + s;
		slot->opened.born = slot->names.born;
		for (int i = 0; i < SLOT_RESTS; i++)
			slot->opened.on[i].count = ((const struct stub_param *)STUB_PARAM)->path_counts[slot->opened.on[i].index % PARAM_PATH_COUNTS];
		for (int i = 0; i < SLOT_NAMES_LEN; i++) {
			kept(s)[i].ret = kept(s)[i].ret ? 0 : -ENOENT;
			memset(kept(s)[i].bytes, 0x77, sizeof kept(s)[i].bytes);
			kept(s)[i].born += i % 3;
		}
	}
}

void abi_helper(int argc, char **argv)
{
	if (argc == 3 && strcmp(argv[1], "--questions") == 0)
		_exit(questions(argv[2]));
}

/* A program that gains another user's rights believes nothing of what the one before it, or its relatives, left behind. */
CASE(answers_left_to_another_user)
{
	struct bystander b = stand_by();
	char here[200], copy[256];
	int from = OK(open("/proc/self/exe", O_RDONLY)), to;

	things(here, sizeof here);
	snprintf(copy, sizeof copy, "%s/set-id", here);
	to = OK(open(copy, O_WRONLY | O_CREAT, 0700));
	while (sendfile(to, from, NULL, 1 << 20) > 0)
		;
	close(to);
	OK(chmod(copy, 04755));
	for (int i = 0; i < 20; i++) {
		pid_t p = CHILD({
			OK(setresuid(NOBODY, NOBODY, NOBODY));
			OK(prctl(PR_SET_DUMPABLE, 1));
			for (int k = 0; k < i % 3; k++)
				see_end(fork() ?: ({ questions(here); turn_around(); _exit(0); 0; }), 1000);
			questions(here);
			turn_around();
			if (i % 2)
				execl(copy, "set-id", "--questions", here, NULL);
			EXITED(CHILD({ execl(copy, "set-id", "--questions", here, NULL); }), 0);
		});

		EXITED(p, 0);
	}
	EQ(questions(here), 0);
	check_well(&b);
}

static void *make_up(void *arg)
{
	unsigned seed = (unsigned)(uintptr_t)arg;

	for (;;) {
		struct slot *s = (struct slot *)(CHAN_BASE + rand_r(&seed) % SLOTS * SLOT_BYTES);
		struct slot_name *n = &kept(rand_r(&seed) % SLOTS)[rand_r(&seed) % SLOT_NAMES_LEN];

		switch (rand_r(&seed) % 12) {
		case 0:
			s->names.asks = rand_r(&seed);
			break;
		case 1:
			s->names.len = rand_r(&seed) % 300;
			break;
		case 2:
			s->names.hash = rand_r(&seed);
			break;
		case 3:
			n->on[rand_r(&seed) % SLOT_RESTS].index = rand_r(&seed);
			break;
		case 4:
			n->born = s->names.born;
			break;
		case 5:
			s->rests.on[rand_r(&seed) % SLOT_RESTS].index = rand_r(&seed);
			break;
		case 6:
			s->kind |= rand_r(&seed) % 2 ? KIND_ASKS : KIND_STAT;
			break;
		case 7:
			s->opened.fd_1 = rand_r(&seed) % 8;
			break;
		case 8:
			s->opened.born = s->names.born;
			break;
		case 9:
			s->opened.on[rand_r(&seed) % SLOT_RESTS].index = rand_r(&seed);
			break;
		case 10:
			memset(s->opened_stat, rand_r(&seed), sizeof s->opened_stat);
			break;
		default:
			memset(s->names.seen, 1, sizeof s->names.seen);
		}
	}
	return arg;
}

CASE(made_up_answers)
{
	struct bystander b = stand_by();
	char here[200];

	things(here, sizeof here);
	for (unsigned seed = 1; seed <= 4; seed++) {
		ATTACK(&b, 400, {
			pthread_t t;

			OK(setresuid(NOBODY, NOBODY, NOBODY));
			pthread_create(&t, NULL, make_up, (void *)(uintptr_t)seed);
			for (unsigned i = 0;; i++) {
				questions(here);
				getppid();
				close(open("/dev/zero", O_RDONLY));
				if (i % 16 == 0)
					see_end(fork() ?: ({ questions(here); _exit(0); 0; }), 1000);
			}
		});
		EQ(questions(here), 0);
	}
	check_well(&b);
}
