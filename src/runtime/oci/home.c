// HOME of a container's process, from the passwd file in its root.
#include "runtime/oci/home.h"

#include <fcntl.h>
#include <linux/openat2.h>
#include <pwd.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "runtime/err.h"
#include "runtime/oci/decode.h"
#include "runtime/oci/spec.h"

// The file is the container's: links in it must not lead out of its root.
static FILE *open_passwd(const char *rootfs)
{
	struct open_how how = {.flags = O_RDONLY | O_CLOEXEC | O_NONBLOCK, .resolve = RESOLVE_IN_ROOT};
	int dir = open(rootfs, O_PATH | O_DIRECTORY | O_CLOEXEC);
	int fd = dir < 0 ? -1 : (int)syscall(SYS_openat2, dir, "etc/passwd", &how, sizeof(how));
	FILE *f = fd < 0 ? NULL : fdopen(fd, "r");

	if (dir >= 0)
		close(dir);
	if (!f && fd >= 0)
		close(fd);
	return f;
}

static void find_home(const char *rootfs, int64_t uid, char *out, size_t cap)
{
	FILE *f = open_passwd(rootfs);
	struct passwd *pw;

	snprintf(out, cap, "/");
	while (f && (pw = fgetpwent(f)))
		if (pw->pw_uid == uid) {
			if (pw->pw_dir && pw->pw_dir[0] == '/')
				snprintf(out, cap, "%s", pw->pw_dir);
			break;
		}
	if (f)
		fclose(f);
}

int process_set_home(struct oci_spec *spec, const char *rootfs, struct err **err)
{
	struct oci_strings *env = &spec->process.env;
	char home[4096];
	const char **items;
	char *text;

	for (size_t i = 0; i < env->count; i++)
		if (strncmp(env->items[i], "HOME=", 5) == 0)
			return 0;
	find_home(rootfs, spec->process.user.uid, home, sizeof(home));
	items = decode_alloc(spec, (env->count + 2) * sizeof(*items));
	text = decode_alloc(spec, strlen(home) + sizeof("HOME="));
	if (!items || !text)
		return err_set(err, "out of memory");
	sprintf(text, "HOME=%s", home);
	memcpy(items, env->items, env->count * sizeof(*items));
	items[env->count] = text;
	*env = (struct oci_strings){items, env->count + 1};
	return 0;
}
