// The config.json that `hull spec` writes: a shell, with the mounts and few capabilities that other runtimes start from.
#include <jansson.h>

#include "runtime/oci/spec.h"

static json_t *capabilities(void)
{
	json_t *names = json_pack("[sss]", "CAP_AUDIT_WRITE", "CAP_KILL", "CAP_NET_BIND_SERVICE");

	return json_pack("{sO sO sO so}", "bounding", names, "effective", names, "permitted", names, "ambient", names);
}

static json_t *process(void)
{
	return json_pack("{sb s{si si} s[s] s[ss] ss so s[{ss si si}] sb}",
			 "terminal", 1,
			 "user", "uid", 0, "gid", 0,
			 "args", "sh",
			 "env", "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "TERM=xterm",
			 "cwd", "/",
			 "capabilities", capabilities(),
			 "rlimits", "type", "RLIMIT_NOFILE", "hard", 1024, "soft", 1024,
			 "noNewPrivileges", 1);
}

static json_t *mounts(void)
{
	return json_pack("[{ss ss ss} {ss ss ss s[ssss]} {ss ss ss s[ssssss]} {ss ss ss s[sssss]} {ss ss ss s[ssss]}]",
			 "destination", "/proc", "type", "proc", "source", "proc",
			 "destination", "/dev", "type", "tmpfs", "source", "tmpfs",
			 "options", "nosuid", "strictatime", "mode=755", "size=65536k",
			 "destination", "/dev/pts", "type", "devpts", "source", "devpts",
			 "options", "nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5",
			 "destination", "/dev/shm", "type", "tmpfs", "source", "shm",
			 "options", "nosuid", "noexec", "nodev", "mode=1777", "size=65536k",
			 "destination", "/sys", "type", "sysfs", "source", "sysfs",
			 "options", "nosuid", "noexec", "nodev", "ro");
}

char *oci_spec_template(void)
{
	json_t *spec = json_pack("{ss so s{ss sb} ss so s{s[{ss} {ss} {ss} {ss} {ss}]}}",
				 "ociVersion", "1.0.2",
				 "process", process(),
				 "root", "path", "rootfs", "readonly", 1,
				 "hostname", "hull",
				 "mounts", mounts(),
				 "linux", "namespaces", "type", "pid", "type", "network", "type", "ipc", "type", "uts", "type", "mount");
	char *text = json_dumps(spec, JSON_INDENT(4));

	json_decref(spec);
	return text;
}
