// What is kept of a container between commands.
#include "runtime/oci/state.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <limits.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/container_of.h"
#include "runtime/err.h"

enum { STATE_VERSION = 1, STATE_BYTES_MAX = 64 << 20 };

static const char *const status_names[] = {"creating", "created", "running", "paused", "stopped"};

const char *state_status_name(enum state_status status)
{
	return status_names[status];
}

int state_check_id(const char *id, struct err **err)
{
	if (strlen(id) > NAME_MAX)
		return err_set(err, "the container ID is longer than %d characters", NAME_MAX);
	if (!*id || strcmp(id, ".") == 0 || strcmp(id, "..") == 0)
		return err_set(err, "\"%s\" is not a valid container ID", id);
	for (const char *c = id; *c; c++)
		if (!isalnum((unsigned char)*c) && !strchr("_+-.", *c))
			return err_set(err, "a container ID may hold only letters, digits and _ + - . (the one given holds others)");
	return 0;
}

// --- processes of the host

// *out_ended: nobody has waited for it yet, that is all.
static int look_at_process(pid_t pid, struct state_process *out, bool *out_ended, struct err **err)
{
	char path[32], text[1024], *p;
	int fd;
	ssize_t n;

	snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	n = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);
	if (fd >= 0)
		close(fd);
	if (n <= 0)
		return err_set(err, "process %d is gone", (int)pid);
	text[n] = 0;
	// After the name, which may hold anything: state, then 18 numbers, then the start time (man 5 proc).
	p = strrchr(text, ')');
	for (int i = 0; p && i < 20; i++)
		p = strchr(p + 1, ' ');
	*out = (struct state_process){pid, p ? strtoull(p, NULL, 10) : 0};
	p = strrchr(text, ')');
	*out_ended = p && (p[2] == 'Z' || p[2] == 'X');
	return 0;
}

int state_process_find(pid_t pid, struct state_process *out, struct err **err)
{
	bool ended;

	return look_at_process(pid, out, &ended, err);
}

bool state_process_lives(const struct state_process *p)
{
	struct state_process now;
	struct err *err = NULL;
	bool ended, there = p->pid > 0 && look_at_process(p->pid, &now, &ended, &err) == 0;

	err_free(err);
	return there && !ended && now.start_ticks == p->start_ticks;
}

// --- the file

static json_t *process_to_json(const struct state_process *p)
{
	return json_pack("{si sI}", "pid", (int)p->pid, "startTicks", (json_int_t)p->start_ticks);
}

static char *owner_name(uid_t uid)
{
	char number[16];
	struct stat st;

	// The name service would drag libraries into a static binary: /etc/passwd says it.
	FILE *f = stat("/etc/passwd", &st) == 0 ? fopen("/etc/passwd", "re") : NULL;
	struct passwd *pw;
	char *name = NULL;

	while (f && !name && (pw = fgetpwent(f)))
		if (pw->pw_uid == uid)
			name = strdup(pw->pw_name);
	if (f)
		fclose(f);
	snprintf(number, sizeof(number), "%u", uid);
	return name ?: strdup(number);
}

static char *time_text(const struct state *s, char *buf, size_t cap)
{
	struct tm tm;
	size_t n;

	gmtime_r(&s->created, &tm);
	n = strftime(buf, cap, "%Y-%m-%dT%H:%M:%S", &tm);
	snprintf(buf + n, cap - n, ".%09ldZ", (long)s->created_ns);
	return buf;
}

json_t *state_to_oci(const struct state *s)
{
	char created[64];
	bool lives = s->status != STATE_STOPPED;

	return json_pack("{ss ss ss si ss ss ss sO* ss}",
			 "ociVersion", "1.0.2",
			 "id", s->id,
			 "status", state_status_name(s->status),
			 "pid", lives ? (int)s->sentry.pid : 0,
			 "bundle", s->bundle ?: "",
			 "rootfs", s->rootfs ?: "",
			 "created", time_text(s, created, sizeof(created)),
			 "annotations", s->annotations,
			 "owner", s->owner ?: "");
}

static int write_file(int dir_fd, const char *name, const char *text, size_t len)
{
	int fd = openat(dir_fd, name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	ssize_t n;

	if (fd < 0)
		return -1;
	n = write(fd, text, len);
	if (n >= 0 && (size_t)n < len)
		errno = ENOSPC;
	// No fsync: the state folder doesn't survive a reboot, and neither do the containers.
	if (close(fd) < 0 || n < 0 || (size_t)n < len) {
		int saved = errno;

		unlinkat(dir_fd, name, 0);
		errno = saved;
		return -1;
	}
	return 0;
}

int state_save(struct state *s, struct err **err)
{
	json_t *json = json_pack("{si ss ss ss ss ss si sI sI so so sO* sO* sO*}",
				 "version", STATE_VERSION,
				 "id", s->id,
				 "bundle", s->bundle ?: "",
				 "rootfs", s->rootfs ?: "",
				 "owner", s->owner ?: "",
				 "status", state_status_name(s->status),
				 "initPid", s->init_pid,
				 "created", (json_int_t)s->created,
				 "createdNs", (json_int_t)s->created_ns,
				 "sentry", process_to_json(&s->sentry),
				 "gofer", process_to_json(&s->gofer),
				 "annotations", s->annotations,
				 "poststop", s->poststop,
				 "cgroups", s->cgroups);
	char *text = json ? json_dumps(json, JSON_INDENT(2)) : NULL;
	int ret = 0;

	json_decref(json);
	if (!text)
		return err_set(err, "out of memory");
	if (write_file(s->dir_fd, "state.json.new", text, strlen(text)) < 0 ||
	    renameat(s->dir_fd, "state.json.new", s->dir_fd, "state.json") < 0)
		ret = err_set(err, "cannot write %s/state.json: %m", s->dir);
	free(text);
	return ret;
}

static char *dup_string(json_t *json, const char *key)
{
	const char *value = json_string_value(json_object_get(json, key));

	return value ? strdup(value) : NULL;
}

static void process_from_json(json_t *json, const char *key, struct state_process *out)
{
	json_t *p = json_object_get(json, key);

	out->pid = json_integer_value(json_object_get(p, "pid"));
	out->start_ticks = json_integer_value(json_object_get(p, "startTicks"));
}

// In one piece: json_loadfd() makes a call for each byte.
static json_t *load_json(int fd, json_error_t *where)
{
	struct stat st;
	char *text = fstat(fd, &st) == 0 && st.st_size <= STATE_BYTES_MAX ? malloc(st.st_size + 1) : NULL;
	ssize_t n = text ? read(fd, text, st.st_size) : -1;
	json_t *json = NULL;

	strcpy(where->text, "it cannot be read");
	if (n >= 0)
		json = json_loadb(text, n, 0, where);
	free(text);
	return json;
}

static int state_load(struct state *s, struct err **err)
{
	int fd = openat(s->dir_fd, "state.json", O_RDONLY | O_CLOEXEC);
	json_error_t where;
	json_t *json, *kept;
	const char *status;

	if (fd < 0 && errno == ENOENT)
		return err_set(err, "container %s was not made completely; `hull delete --force %s` removes it", s->id, s->id);
	if (fd < 0)
		return err_set(err, "cannot open %s/state.json: %m", s->dir);
	json = load_json(fd, &where);
	close(fd);
	if (!json || json_integer_value(json_object_get(json, "version")) != STATE_VERSION) {
		err_set(err, "%s/state.json is damaged: %s", s->dir, json ? "not this version's" : where.text);
		json_decref(json);
		return -1;
	}
	s->bundle = dup_string(json, "bundle");
	s->rootfs = dup_string(json, "rootfs");
	s->owner = dup_string(json, "owner");
	s->created = json_integer_value(json_object_get(json, "created"));
	s->created_ns = json_integer_value(json_object_get(json, "createdNs"));
	s->init_pid = json_integer_value(json_object_get(json, "initPid"));
	process_from_json(json, "sentry", &s->sentry);
	process_from_json(json, "gofer", &s->gofer);
	if (json_is_object(kept = json_object_get(json, "annotations")))
		s->annotations = json_incref(kept);
	if (json_is_array(kept = json_object_get(json, "poststop")))
		s->poststop = json_incref(kept);
	if (json_is_array(kept = json_object_get(json, "cgroups")))
		s->cgroups = json_incref(kept);
	status = json_string_value(json_object_get(json, "status"));
	s->status = STATE_STOPPED;
	for (size_t i = 0; status && i < ARRAY_LEN(status_names); i++)
		if (strcmp(status, status_names[i]) == 0)
			s->status = i;
	if (!state_process_lives(&s->sentry))
		s->status = STATE_STOPPED;
	json_decref(json);
	return 0;
}

// --- the folder

static int make_root(const char *root, struct err **err)
{
	char path[PATH_MAX];

	if (strlen(root) >= sizeof(path))
		return err_set(err, "--root: the path is too long");
	strcpy(path, root);
	for (char *p = path + 1;; p++) {
		bool last = !*p;

		if (!last && *p != '/')
			continue;
		*p = 0;
		if (mkdir(path, 0711) < 0 && errno != EEXIST)
			return err_set(err, "cannot make the state folder %s: %m", path);
		if (last)
			return 0;
		*p = '/';
	}
}

static int name_dir(const char *root, const char *id, struct state *s, struct err **err)
{
	*s = (struct state){.dir_fd = -1, .lock_fd = -1};
	if (state_check_id(id, err) < 0)
		return -1;
	s->id = strdup(id);
	if (!s->id || asprintf(&s->dir, "%s/%s", root, id) < 0) {
		s->dir = NULL;
		return err_set(err, "out of memory");
	}
	return 0;
}

static int open_and_lock(struct state *s, struct err **err)
{
	struct stat held, named;

	s->dir_fd = open(s->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (s->dir_fd < 0)
		return err_set(err, errno == ENOENT ? "container %s does not exist" : "cannot open the state of %s: %m", s->id);
	s->lock_fd = openat(s->dir_fd, "lock", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (s->lock_fd < 0 && errno == ENOENT) // removed since
		return err_set(err, "container %s does not exist", s->id);
	if (s->lock_fd < 0)
		return err_set(err, "cannot make the lock %s/lock: %m", s->dir);
	while (flock(s->lock_fd, LOCK_EX) < 0)
		if (errno != EINTR)
			return err_set(err, "cannot lock %s/lock: %m", s->dir);
	// Whoever held it may have deleted the container, and another one of that name may be there by now.
	if (fstat(s->dir_fd, &held) < 0 || stat(s->dir, &named) < 0 || held.st_ino != named.st_ino)
		return err_set(err, "container %s does not exist", s->id);
	return 0;
}

int state_create(const char *root, const char *id, struct state *out, struct err **err)
{
	struct timespec now;
	int ret;

	if (name_dir(root, id, out, err) < 0 || make_root(root, err) < 0)
		return -1;
	ret = mkdir(out->dir, 0700); // the control socket is in it
	if (ret < 0 && errno == EEXIST)
		return err_set(err, "container %s exists already", id);
	if (ret < 0)
		return err_set(err, "cannot make the state folder %s: %m", out->dir);
	if (open_and_lock(out, err) < 0) {
		rmdir(out->dir);
		return -1;
	}
	clock_gettime(CLOCK_REALTIME, &now);
	out->created = now.tv_sec;
	out->created_ns = now.tv_nsec;
	out->owner = owner_name(getuid());
	return 0;
}

int state_open(const char *root, const char *id, struct state *out, struct err **err)
{
	return name_dir(root, id, out, err) ?: open_and_lock(out, err) ?: state_load(out, err);
}

void state_close(struct state *s)
{
	if (s->lock_fd >= 0)
		close(s->lock_fd);
	if (s->dir_fd >= 0)
		close(s->dir_fd);
	s->lock_fd = s->dir_fd = -1;
	free(s->id);
	free(s->bundle);
	free(s->rootfs);
	free(s->owner);
	free(s->dir);
	json_decref(s->annotations);
	json_decref(s->poststop);
	json_decref(s->cgroups);
	s->id = s->bundle = s->rootfs = s->owner = s->dir = NULL;
	s->annotations = s->poststop = s->cgroups = NULL;
}

int state_remove(struct state *s, struct err **err)
{
	static const char *const files[] = {"state.json", "state.json.new", "control.sock", "lock"};

	for (size_t i = 0; i < ARRAY_LEN(files); i++)
		if (unlinkat(s->dir_fd, files[i], 0) < 0 && errno != ENOENT)
			return err_set(err, "cannot remove %s/%s: %m", s->dir, files[i]);
	if (rmdir(s->dir) < 0)
		return err_set(err, "cannot remove %s: %m", s->dir);
	return 0;
}

int state_remove_debris(const char *root, const char *id, struct err **err)
{
	struct state s = {0};
	int ret = name_dir(root, id, &s, err) ?: open_and_lock(&s, err) ?: state_remove(&s, err);

	state_close(&s);
	return ret;
}

bool state_exists(const char *root, const char *id)
{
	char path[PATH_MAX];

	return snprintf(path, sizeof(path), "%s/%s", root, id) < (int)sizeof(path) && access(path, F_OK) == 0;
}

int state_each(const char *root, int (*fn)(const char *id, void *arg), void *arg, struct err **err)
{
	struct dirent **entries;
	int n = scandir(root, &entries, NULL, alphasort), ret = 0;

	if (n < 0 && errno == ENOENT)
		return 0;
	if (n < 0)
		return err_set(err, "cannot read %s: %m", root);
	for (int i = 0; i < n; i++) {
		if (ret == 0 && entries[i]->d_name[0] != '.')
			ret = fn(entries[i]->d_name, arg);
		free(entries[i]);
	}
	free(entries);
	return ret;
}
