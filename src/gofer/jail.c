// What the gofer gives up before its first request: capabilities beyond those that file access needs, and every system call
// that serving doesn't make (jail_rules.c).
#include <errno.h>
#include <sys/capability.h>
#include <sys/prctl.h>

#include "gofer/server.h"
#include "host/filter.h"
#include "lib/container_of.h"

// A read-only gofer sees every file and changes none.
static const cap_value_t caps_readonly[] = {CAP_DAC_READ_SEARCH};
static const cap_value_t caps_writable[] = {CAP_DAC_READ_SEARCH, CAP_DAC_OVERRIDE, CAP_CHOWN, CAP_FOWNER, CAP_FSETID, CAP_SETFCAP};

static bool any_writable(const struct gofer_config *config)
{
	for (int i = 0; i < config->ntrees; i++)
		if (!config->trees[i].readonly)
			return true;
	return false;
}

// The kernel says by EINVAL which capability is the first that it doesn't know.
static int empty_bounding_set(void)
{
	for (int cap = 0; prctl(PR_CAPBSET_DROP, cap, 0, 0, 0) == 0; cap++)
		;
	return errno == EINVAL || errno == EPERM ? 0 : -errno; // EPERM: it has no CAP_SETPCAP, and so nothing to lose there
}

// Keeps those of the wanted capabilities that the process has.
static int drop_caps(const cap_value_t *wanted, int nwanted)
{
	cap_t had = cap_get_proc(), keep = cap_init();
	int err = had && keep ? 0 : -ENOMEM;

	for (int i = 0; !err && i < nwanted; i++) {
		cap_flag_value_t has = CAP_CLEAR;

		if (cap_get_flag(had, wanted[i], CAP_PERMITTED, &has) < 0)
			err = -errno;
		else if (has == CAP_SET && (cap_set_flag(keep, CAP_PERMITTED, 1, &wanted[i], CAP_SET) < 0 ||
					    cap_set_flag(keep, CAP_EFFECTIVE, 1, &wanted[i], CAP_SET) < 0))
			err = -errno;
	}
	err = err ?: empty_bounding_set();
	if (!err && cap_set_proc(keep) < 0)
		err = -errno;
	if (!err && prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) < 0)
		err = -errno;
	cap_free(had);
	cap_free(keep);
	return err;
}

int gofer_lockdown(const struct gofer_config *config)
{
	bool writable = any_writable(config);
	int err;

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 || prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0)
		return -errno;
	err = writable ? drop_caps(caps_writable, ARRAY_LEN(caps_writable)) : drop_caps(caps_readonly, ARRAY_LEN(caps_readonly));
	return err ?: filter_load(writable ? &filter_gofer_writing : &filter_gofer_reading, false);
}
