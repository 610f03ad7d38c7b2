// Control groups, of either version, by hand: a folder below the group that hull itself runs in, or where cgroupsPath says.
//
// The group holds the sentry and the gofer and so, as their children, every stub: the limits are the sandbox's as a whole. One on
// processes has room added for Hull's own threads.
#include "runtime/cgroup/cgroup.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <jansson.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <linux/magic.h>
#include <unistd.h>

#include "lib/log.h"
#include "runtime/err.h"
#include "runtime/oci/spec.h"

#define ROOT "/sys/fs/cgroup"

enum { OWN_THREADS = 64, REMOVE_TRIES = 100, REMOVE_PAUSE_US = 10000 };

struct builder {
	bool unified;
	char path[PATH_MAX]; // within the hierarchy, with a leading slash; "" where hull's own group goes in front
	const char *id;
	json_t *dirs;
	int *fds, count;
	struct err **err;
};

static bool is_set(int64_t value)
{
	return value != RESOURCE_UNSET && value != 0; // runc, too, takes 0 as not given
}

static bool anything_set(const struct oci_resources *r)
{
	return is_set(r->memory.limit) || is_set(r->memory.reservation) || is_set(r->memory.swap) || is_set(r->cpu.shares) ||
	       is_set(r->cpu.quota) || is_set(r->cpu.period) || is_set(r->pids.limit);
}

static int set(struct builder *b, const char *dir, const char *file, const char *text)
{
	char path[PATH_MAX];
	int fd;

	if (snprintf(path, sizeof(path), "%s/%s", dir, file) >= (int)sizeof(path))
		return err_set(b->err, "linux.cgroupsPath: too long");
	fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0 || write(fd, text, strlen(text)) < 0) {
		err_set(b->err, "linux.resources: cannot write %s to %s: %m (--ignore-cgroups does without)", text, path);
		if (fd >= 0)
			close(fd);
		return -1;
	}
	close(fd);
	return 0;
}

static int set_number(struct builder *b, const char *dir, const char *file, int64_t value, const char *unlimited)
{
	char text[24];

	if (!is_set(value))
		return 0;
	snprintf(text, sizeof(text), "%" PRId64, value);
	return set(b, dir, file, value < 0 ? unlimited : text);
}

static int64_t with_own_threads(int64_t limit)
{
	return is_set(limit) && limit > 0 && limit < INT_MAX ? limit + OWN_THREADS : limit;
}

// The group that this process is in, of a hierarchy (controller "": the unified one): man 7 cgroups, /proc/[pid]/cgroup.
static int own_group(const char *controller, char *out, size_t cap)
{
	FILE *f = fopen("/proc/self/cgroup", "re");
	char line[PATH_MAX + 256];
	bool found = false;

	while (f && !found && fgets(line, sizeof(line), f)) {
		char *names = strchr(line, ':'), *path = names ? strchr(names + 1, ':') : NULL;

		if (!path)
			continue;
		*path++ = 0;
		path[strcspn(path, "\n")] = 0;
		names++;
		for (char *save = NULL, *name = *names ? strtok_r(names, ",", &save) : names; name && !found;
		     name = *names ? strtok_r(NULL, ",", &save) : NULL) {
			found = strcmp(name, controller) == 0;
			if (found)
				snprintf(out, cap, "%s", strcmp(path, "/") == 0 ? "" : path);
			if (!*names)
				break;
		}
	}
	if (f)
		fclose(f);
	return found ? 0 : -1;
}

// mkdir -p below base. Only folders that weren't there are noted for removal, outermost first.
static int make_dirs(struct builder *b, const char *base, char *path)
{
	char *end = path + strlen(base);

	do {
		end = strchr(end + 1, '/');
		if (end)
			*end = 0;
		if (mkdir(path, 0755) == 0)
			json_array_append_new(b->dirs, json_string(path));
		else if (errno != EEXIST)
			return err_set(b->err, "linux.cgroupsPath: cannot make %s: %m (--ignore-cgroups does without)", path);
		if (end)
			*end = '/';
	} while (end);
	return 0;
}

// The unified hierarchy hands controllers down only where each group above allows it.
static void delegate_controllers(const char *base, char *path)
{
	for (char *p = path + strlen(base); p; p = strchr(p + 1, '/')) {
		char file[PATH_MAX];
		int fd;

		*p = 0;
		snprintf(file, sizeof(file), "%.4000s/cgroup.subtree_control", path);
		*p = '/';
		fd = open(file, O_WRONLY | O_CLOEXEC);
		if (fd < 0)
			continue;
		for (int i = 0; i < 3; i++) {
			static const char *const names[] = {"+memory", "+cpu", "+pids"};

			if (write(fd, names[i], strlen(names[i])) < 0)
				log_debug("%s: %s: %m", file, names[i]); // setting the limit will say so
		}
		close(fd);
	}
}

// The group in one hierarchy, with a descriptor to enter it by.
static int make_group(struct builder *b, const char *controller, char *dir, size_t cap)
{
	char base[PATH_MAX], own[PATH_MAX] = "", procs[PATH_MAX + 16];
	int fd;

	snprintf(base, sizeof(base), "%s%s%s", ROOT, *controller ? "/" : "", controller);
	if (access(base, F_OK) < 0 || (!*b->path && own_group(controller, own, sizeof(own)) < 0))
		return err_set(b->err, "linux.resources: the host has no control groups for %s (--ignore-cgroups does without)",
			       *controller ? controller : "it");
	// In the unified hierarchy a group with processes can't have one below it: beside hull's own, then, as runc does.
	if (b->unified && *own)
		*strrchr(own, '/') = 0;
	if (snprintf(dir, cap, "%s%s%s%s", base, own, *b->path ? b->path : "/", *b->path ? "" : b->id) >= (int)cap)
		return err_set(b->err, "linux.cgroupsPath: too long");
	if (b->unified)
		delegate_controllers(base, dir);
	if (make_dirs(b, base, dir) < 0)
		return -1;
	if (b->unified)
		delegate_controllers(base, dir);
	snprintf(procs, sizeof(procs), "%s/cgroup.procs", dir);
	fd = open(procs, O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		return err_set(b->err, "linux.resources: cannot open %s: %m", procs);
	b->fds[b->count++] = fd;
	return 0;
}

static int limit_memory_v1(struct builder *b, const struct oci_memory_limits *m)
{
	char dir[PATH_MAX];

	if (!is_set(m->limit) && !is_set(m->reservation) && !is_set(m->swap))
		return 0;
	return make_group(b, "memory", dir, sizeof(dir)) ?: set_number(b, dir, "memory.limit_in_bytes", m->limit, "-1") ?:
	       set_number(b, dir, "memory.soft_limit_in_bytes", m->reservation, "-1") ?:
	       set_number(b, dir, "memory.memsw.limit_in_bytes", m->swap, "-1");
}

static int limit_cpu_v1(struct builder *b, const struct oci_cpu_limits *c)
{
	char dir[PATH_MAX];

	if (!is_set(c->shares) && !is_set(c->quota) && !is_set(c->period))
		return 0;
	return make_group(b, "cpu", dir, sizeof(dir)) ?: set_number(b, dir, "cpu.shares", c->shares, "2") ?:
	       set_number(b, dir, "cpu.cfs_period_us", c->period, "100000") ?: set_number(b, dir, "cpu.cfs_quota_us", c->quota, "-1");
}

static int limit_pids_v1(struct builder *b, const struct oci_pids_limits *p)
{
	char dir[PATH_MAX];

	if (!is_set(p->limit))
		return 0;
	return make_group(b, "pids", dir, sizeof(dir)) ?: set_number(b, dir, "pids.max", with_own_threads(p->limit), "max");
}

// What version 1 calls shares, 2 to 262144, is a weight from 1 to 10000 (the OCI specification's mapping).
static int64_t weight_of(int64_t shares)
{
	if (!is_set(shares))
		return shares;
	shares = shares < 2 ? 2 : shares > 262144 ? 262144 : shares;
	return 1 + (shares - 2) * 9999 / 262142;
}

static int limit_all_v2(struct builder *b, const struct oci_resources *r)
{
	int64_t swap = is_set(r->memory.swap) && is_set(r->memory.limit) && r->memory.swap > 0 ? r->memory.swap - r->memory.limit : r->memory.swap;
	char dir[PATH_MAX], quota[24] = "max", cpu[64];

	if (r->cpu.quota > 0)
		snprintf(quota, sizeof(quota), "%" PRId64, r->cpu.quota);
	snprintf(cpu, sizeof(cpu), "%s %" PRId64, quota, is_set(r->cpu.period) ? r->cpu.period : 100000);
	return make_group(b, "", dir, sizeof(dir)) ?: set_number(b, dir, "memory.max", r->memory.limit, "max") ?:
	       set_number(b, dir, "memory.low", r->memory.reservation, "max") ?: set_number(b, dir, "memory.swap.max", swap, "max") ?:
	       set_number(b, dir, "cpu.weight", weight_of(r->cpu.shares), "1") ?:
	       (is_set(r->cpu.quota) || is_set(r->cpu.period) ? set(b, dir, "cpu.max", cpu) : 0) ?:
	       set_number(b, dir, "pids.max", with_own_threads(r->pids.limit), "max");
}

// cgroupsPath: absolute within the hierarchies; SLICE:PREFIX:NAME, as systemd's driver has it; or nothing.
static int choose_path(struct builder *b, const char *cgroups_path)
{
	char slice[256], prefix[256], name[256];
	int n = 0;

	if (cgroups_path && sscanf(cgroups_path, "%255[^:/]:%255[^:/]:%255[^:/]", slice, prefix, name) == 3)
		n = snprintf(b->path, sizeof(b->path), "/%s/%s-%s.scope", slice, prefix, name);
	else if (cgroups_path && *cgroups_path)
		n = snprintf(b->path, sizeof(b->path), "%s%s", *cgroups_path == '/' ? "" : "/", cgroups_path);
	if (n >= (int)sizeof(b->path) - 256)
		return err_set(b->err, "linux.cgroupsPath: too long");
	if (strstr(b->path, "/../") || (n >= 3 && strcmp(b->path + n - 3, "/..") == 0))
		return err_set(b->err, "linux.cgroupsPath: \"%s\" leads upwards", cgroups_path);
	while (n > 0 && b->path[n - 1] == '/')
		b->path[--n] = 0;
	return 0;
}

int cgroup_create(const char *cgroups_path, const char *id, const struct oci_resources *r, json_t **dirs, int *out_fds, int *out_count,
		  struct err **err)
{
	struct builder b = {.id = id, .fds = out_fds, .err = err};
	struct statfs fs;
	int ret;

	*out_count = 0;
	if (!anything_set(r))
		return 0;
	if (!*dirs)
		*dirs = json_array();
	b.dirs = *dirs;
	b.unified = statfs(ROOT, &fs) == 0 && fs.f_type == CGROUP2_SUPER_MAGIC;
	ret = choose_path(&b, cgroups_path);
	if (ret == 0 && b.unified)
		ret = limit_all_v2(&b, r);
	else if (ret == 0)
		ret = limit_memory_v1(&b, &r->memory) ?: limit_cpu_v1(&b, &r->cpu) ?: limit_pids_v1(&b, &r->pids);
	for (int i = 0; i < b.count && ret < 0; i++)
		close(out_fds[i]);
	*out_count = ret < 0 ? 0 : b.count;
	return ret < 0 ? err_wrap(err, "config.json") : 0;
}

static bool is_leaf(json_t *dirs, const char *dir)
{
	size_t i, len = strlen(dir);
	json_t *other;

	json_array_foreach(dirs, i, other)
		if (strncmp(json_string_value(other) ?: "", dir, len) == 0 && json_string_value(other)[len] == '/')
			return false;
	return true;
}

void cgroup_remove(json_t *dirs)
{
	for (size_t i = json_array_size(dirs); i-- > 0;) {
		const char *dir = json_string_value(json_array_get(dirs, i));
		int tries = 0;

		if (!dir || strncmp(dir, ROOT "/", strlen(ROOT "/")) != 0)
			continue;
		// A killed process is counted until the host has done away with it. A group above may be another container's, too.
		while (rmdir(dir) < 0 && errno == EBUSY && is_leaf(dirs, dir) && tries++ < REMOVE_TRIES)
			usleep(REMOVE_PAUSE_US);
		if (tries > REMOVE_TRIES)
			log_warning("the control group %s could not be removed: it is in use", dir);
	}
}
