// Hooks of a bundle.
#include "runtime/oci/hooks.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/log.h"
#include "runtime/err.h"
#include "runtime/oci/spec.h"
#include "runtime/oci/state.h"

static int state_on_file(const struct state *s)
{
	json_t *json = state_to_oci(s);
	char *text = json ? json_dumps(json, JSON_COMPACT) : NULL;
	int fd = memfd_create("hull-state", MFD_CLOEXEC);
	size_t len = text ? strlen(text) : 0;

	json_decref(json);
	if (fd >= 0 && (!text || write(fd, text, len) != (ssize_t)len || lseek(fd, 0, SEEK_SET) < 0)) {
		close(fd);
		fd = -1;
	}
	free(text);
	return fd;
}

static pid_t spawn_hook(const struct oci_hook *h, int state_fd)
{
	static char *const no_env[] = {NULL};
	char *const just_path[] = {(char *)h->path, NULL};
	pid_t pid = fork();
	sigset_t none;

	if (pid != 0)
		return pid;
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	dup2(state_fd, 0);
	execve(h->path, h->args.count ? (char *const *)h->args.items : just_path,
	       h->env.count ? (char *const *)h->env.items : no_env);
	_exit(127);
}

// Its wait status, or -1 when the time was over and it was killed.
static int wait_hook(pid_t pid, int64_t timeout_s)
{
	int pidfd = syscall(SYS_pidfd_open, pid, 0), status = 0;
	struct pollfd pfd = {.fd = pidfd, .events = POLLIN};
	bool over = false;

	if (timeout_s > 0 && pidfd >= 0 && poll(&pfd, 1, timeout_s * 1000) == 0) {
		over = true;
		kill(pid, SIGKILL);
	}
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	if (pidfd >= 0)
		close(pidfd);
	return over ? -1 : status;
}

static int run_hook(const char *kind, size_t index, const struct oci_hook *h, const struct state *s, struct err **err)
{
	int fd = state_on_file(s), status;
	pid_t pid = fd < 0 ? -1 : spawn_hook(h, fd);

	if (fd >= 0)
		close(fd);
	if (pid < 0)
		return err_set(err, "hooks.%s[%zu]: cannot start %s: %m", kind, index, h->path);
	status = wait_hook(pid, h->timeout);
	if (status == -1)
		return err_set(err, "hooks.%s[%zu]: %s took longer than %ld s", kind, index, h->path, (long)h->timeout);
	if (WIFSIGNALED(status))
		return err_set(err, "hooks.%s[%zu]: %s was killed by signal %d", kind, index, h->path, WTERMSIG(status));
	if (WEXITSTATUS(status) == 127 && access(h->path, X_OK) < 0)
		return err_set(err, "hooks.%s[%zu]: cannot run %s: %m", kind, index, h->path);
	if (WEXITSTATUS(status) != 0)
		return err_set(err, "hooks.%s[%zu]: %s ended with status %d", kind, index, h->path, WEXITSTATUS(status));
	return 0;
}

int hooks_run(const char *kind, const struct oci_hooks *hooks, const struct state *s, struct err **err)
{
	for (size_t i = 0; i < hooks->count; i++)
		if (run_hook(kind, i, &hooks->items[i], s, err) < 0)
			return -1;
	return 0;
}

static json_t *list_to_json(const struct oci_strings *list)
{
	json_t *json = json_array();

	for (size_t i = 0; i < list->count; i++)
		json_array_append_new(json, json_string(list->items[i]));
	return json;
}

json_t *hooks_to_json(const struct oci_hooks *hooks)
{
	json_t *json = hooks->count ? json_array() : NULL;

	for (size_t i = 0; i < hooks->count; i++)
		json_array_append_new(json, json_pack("{ss so so sI}",
						      "path", hooks->items[i].path,
						      "args", list_to_json(&hooks->items[i].args),
						      "env", list_to_json(&hooks->items[i].env),
						      "timeout", (json_int_t)hooks->items[i].timeout));
	return json;
}

// A NULL-terminated copy of the list's pointers.
static struct oci_strings list_from_json(json_t *json)
{
	struct oci_strings list = {.items = calloc(json_array_size(json) + 1, sizeof(*list.items))};
	json_t *item;
	size_t i;

	if (list.items)
		json_array_foreach(json, i, item)
			if (json_is_string(item))
				list.items[list.count++] = json_string_value(item);
	return list;
}

void hooks_run_json(const char *kind, json_t *hooks, const struct state *s)
{
	json_t *item;
	size_t i;

	json_array_foreach(hooks, i, item) {
		struct oci_hook h = {.path = json_string_value(json_object_get(item, "path")),
				     .args = list_from_json(json_object_get(item, "args")),
				     .env = list_from_json(json_object_get(item, "env")),
				     .timeout = json_integer_value(json_object_get(item, "timeout"))};
		struct err *err = NULL;

		if (h.path && run_hook(kind, i, &h, s, &err) < 0)
			log_warning("%s", err_text(err));
		err_free(err);
		free(h.args.items);
		free(h.env.items);
	}
}
