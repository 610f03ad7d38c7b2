// The global flags.
#include "runtime/settings.h"

#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "lib/log.h"
#include "runtime/err.h"

#define AT(member) offsetof(struct settings, member)

const struct flag settings_flags[] = {
	{"root", 0, FLAG_STRING, AT(root), "DIR", "folder of the containers' state (default /run/hull)"},
	{"platform", 0, FLAG_STRING, AT(platform), "NAME", "how programs run: systrap (default) or ptrace"},
	{"network", 0, FLAG_STRING, AT(network), "KIND", "network of the sandbox: none (loopback only; default)"},
	{"overlay2", 0, FLAG_STRING, AT(overlay2), "MEDIUM", "where changes of files go: root:memory (default), all:memory, none"},
	{"file-access", 0, FLAG_STRING, AT(file_access), "KIND", "exclusive (default), or shared: others change the root too"},
	{"debug", 0, FLAG_BOOL, AT(debug), NULL, "log more, in the debug log and in --log's file"},
	{"debug-log", 0, FLAG_STRING, AT(debug_log), "PATH", "the sandbox's log; with a trailing slash: a folder for logs"},
	{"log", 0, FLAG_STRING, AT(log), "PATH", "where this command's warnings and errors go (default: standard error)"},
	{"log-format", 0, FLAG_STRING, AT(log_format), "FORMAT", "text (default) or json"},
	{"strace", 0, FLAG_BOOL, AT(strace), NULL, "log every system call in the debug log"},
	{"strace-syscalls", 0, FLAG_STRING, AT(strace_syscalls), "LIST", "only these, separated by commas"},
	{"workers", 0, FLAG_INT, AT(workers), "N", "threads of the sentry (default: by the number of CPUs)"},
	{"profile-start", 0, FLAG_BOOL, AT(profile_start), NULL, "print the phases of a start, with their times, to standard error"},
	{"ignore-cgroups", 0, FLAG_BOOL, AT(ignore_cgroups), NULL, "make no control group, apply no linux.resources"},
	{"systemd-cgroup", 0, FLAG_BOOL, AT(systemd_cgroup), NULL, "cgroupsPath is SLICE:PREFIX:NAME; hull makes the group itself all the same"},
	{"rootless", 0, FLAG_BOOL, AT(rootless), NULL, "run without being root (not supported yet)"},
	{"version", 'v', FLAG_BOOL, AT(version), NULL, "print the version"},
	{"help", 'h', FLAG_BOOL, AT(help), NULL, "print this help"},
	{},
};

const struct settings settings_default = {
	.root = "/run/hull",
	.platform = "systrap",
	.network = "none",
	.overlay2 = "root:memory",
	.file_access = "exclusive",
	.log_format = "text",
};

static int check_overlay(struct settings *s, struct err **err)
{
	if (strcmp(s->overlay2, "none") == 0)
		s->overlay = OVERLAY_NONE;
	else if (strcmp(s->overlay2, "root:memory") == 0 || strcmp(s->overlay2, "root:self") == 0)
		s->overlay = OVERLAY_ROOT;
	else if (strcmp(s->overlay2, "all:memory") == 0 || strcmp(s->overlay2, "all:self") == 0)
		s->overlay = OVERLAY_ALL;
	else
		return err_set(err, "--overlay2: expected none, root:memory or all:memory, not \"%s\"", s->overlay2);
	if (strstr(s->overlay2, ":self"))
		return err_set(err, "--overlay2: \"%s\" is not supported yet; use root:memory, all:memory or none", s->overlay2);
	return 0;
}

int settings_check(struct settings *s, struct err **err)
{
	if (strcmp(s->platform, "kvm") == 0)
		return err_set(err, "--platform: kvm is not supported yet; use systrap or ptrace");
	if (strcmp(s->platform, "systrap") != 0 && strcmp(s->platform, "ptrace") != 0)
		return err_set(err, "--platform: expected systrap or ptrace, not \"%s\"", s->platform);
	if (strcmp(s->network, "host") == 0 || strcmp(s->network, "sandbox") == 0)
		return err_set(err, "--network: %s is not supported yet; use none", s->network);
	if (strcmp(s->network, "none") != 0)
		return err_set(err, "--network: expected none, host or sandbox, not \"%s\"", s->network);
	if (strcmp(s->file_access, "shared") == 0)
		s->shared_files = true;
	else if (strcmp(s->file_access, "exclusive") != 0)
		return err_set(err, "--file-access: expected exclusive or shared, not \"%s\"", s->file_access);
	if (strcmp(s->log_format, "json") == 0)
		s->log_json = true;
	else if (strcmp(s->log_format, "text") != 0)
		return err_set(err, "--log-format: expected text or json, not \"%s\"", s->log_format);
	if (s->workers > 64)
		return err_set(err, "--workers: expected a number up to 64");
	if (s->rootless)
		return err_set(err, "--rootless is not supported yet");
	if (s->root[0] != '/')
		return err_set(err, "--root: \"%s\" is not an absolute path", s->root);
	return check_overlay(s, err);
}

int settings_open_log(const struct settings *s, struct err **err)
{
	int fd = 2;

	if (s->log) {
		fd = open(s->log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
		if (fd < 0)
			return err_set(err, "--log: cannot open %s: %m", s->log);
	}
	log_init(fd, s->debug && s->log ? LOG_DEBUG : LOG_WARNING, s->log_json, "hull");
	return 0;
}

int settings_open_debug_log(const struct settings *s, const char *command, int *out_fd, struct err **err)
{
	char path[4096], stamp[32];
	struct timespec now;
	struct tm tm;
	const char *name = s->debug_log;

	*out_fd = -1;
	if (!name && !s->strace)
		return 0;
	if (!name)
		return err_set(err, "--strace needs --debug-log PATH to write to");
	if (*name && name[strlen(name) - 1] == '/') {
		if (mkdir(name, 0755) < 0 && errno != EEXIST)
			return err_set(err, "--debug-log: cannot make %s: %m", name);
		clock_gettime(CLOCK_REALTIME, &now);
		gmtime_r(&now.tv_sec, &tm);
		strftime(stamp, sizeof(stamp), "%Y%m%d-%H%M%S", &tm);
		if (snprintf(path, sizeof(path), "%shull.log.%s.%06ld.%s.txt", name, stamp, now.tv_nsec / 1000, command) >=
		    (int)sizeof(path))
			return err_set(err, "--debug-log: the path is too long");
		name = path;
	}
	*out_fd = open(name, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
	if (*out_fd < 0)
		return err_set(err, "--debug-log: cannot open %s: %m", name);
	return 0;
}
