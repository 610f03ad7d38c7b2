// A mount's options.
#include "runtime/oci/mount_options.h"

#include <stddef.h>
#include <string.h>

#include "lib/container_of.h"
#include "runtime/err.h"
#include "runtime/oci/decode.h"
#include "runtime/oci/spec.h"

#define SETS(name, member, value) {name, offsetof(struct oci_mount, member), value}

static const struct {
	const char *name;
	size_t offset;
	bool value;
} flags[] = {
	SETS("bind", bind, true),	  SETS("rbind", bind, true),	    SETS("ro", readonly, true),	 SETS("rw", readonly, false),
	SETS("nosuid", nosuid, true), SETS("suid", nosuid, false), SETS("nodev", nodev, true), SETS("dev", nodev, false),
	SETS("noexec", noexec, true), SETS("exec", noexec, false), SETS("rro", readonly, true), SETS("rrw", readonly, false),
};

// Without effect in a sandbox whose mounts nobody else sees, and whose access times are the sentry's.
static const char *const accepted[] = {
	"defaults", "async", "sync", "dirsync", "atime", "noatime", "diratime", "nodiratime", "relatime", "norelatime",
	"strictatime", "nostrictatime", "lazytime", "nolazytime", "mand", "nomand", "iversion", "noiversion", "silent", "loud",
	"private", "rprivate", "shared", "rshared", "slave", "rslave", "unbindable", "runbindable", "nosymfollow", "symfollow",
	"remount", "newinstance", "tmpcopyup", "copy", "nocopy",
};

static bool set_flag(struct oci_mount *m, const char *option)
{
	for (size_t i = 0; i < ARRAY_LEN(flags); i++)
		if (strcmp(flags[i].name, option) == 0) {
			*(bool *)((char *)m + flags[i].offset) = flags[i].value;
			if (strcmp(option, "rbind") == 0)
				m->recursive = true;
			return true;
		}
	for (size_t i = 0; i < ARRAY_LEN(accepted); i++)
		if (strcmp(accepted[i], option) == 0)
			return true;
	return false;
}

int mount_options_parse(struct oci_spec *spec, struct oci_mount *m, struct err **err)
{
	size_t bytes = 1;
	char *data;

	m->bind = m->type && strcmp(m->type, "bind") == 0;
	for (size_t i = 0; i < m->options.count; i++)
		bytes += strlen(m->options.items[i]) + 1;
	data = decode_alloc(spec, bytes);
	if (!data)
		return err_set(err, "out of memory");
	for (size_t i = 0; i < m->options.count; i++) {
		const char *option = m->options.items[i];

		if (set_flag(m, option))
			continue;
		if (!*option || strchr(option, ','))
			return err_set(err, "\"%s\" is not an option", option);
		if (*data)
			strcat(data, ",");
		strcat(data, option);
	}
	m->data = *data ? data : NULL;
	return 0;
}
