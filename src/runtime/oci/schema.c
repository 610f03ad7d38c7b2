// The OCI runtime specification 1.1's fields for Linux. What it knows and Hull doesn't act on yet is checked all the same, and marked
// UNSUPPORTED where leaving it out changes what the container sees or may do; CHECK_ONLY where Hull's answer is right as it is.
#include "runtime/oci/schema.h"

#include "runtime/oci/spec.h"

#define AT(type, member) offsetof(struct type, member)
#define IGNORE FIELD_CHECK_ONLY
#define UNSUPPORTED (FIELD_CHECK_ONLY | FIELD_UNSUPPORTED)

#define STRING(n, at) {.name = (n), .kind = DECODE_STRING, .offset = (at)}
#define STRING_REQUIRED(n, at) {.name = (n), .kind = DECODE_STRING, .flags = FIELD_REQUIRED, .offset = (at)}
#define BOOL(n, at) {.name = (n), .kind = DECODE_BOOL, .offset = (at)}
#define NUMBER(n, at, low, high, none) \
	{.name = (n), .kind = DECODE_NUMBER, .offset = (at), .min = (low), .max = (high), .absent = (none)}
#define LIMIT_REQUIRED(n, at) {.name = (n), .kind = DECODE_LIMIT, .flags = FIELD_REQUIRED, .offset = (at)}
#define STRINGS(n, at) {.name = (n), .kind = DECODE_STRINGS, .offset = (at)}
#define NUMBERS(n, at, low, high) {.name = (n), .kind = DECODE_NUMBERS, .offset = (at), .min = (low), .max = (high)}
#define PAIRS(n, at) {.name = (n), .kind = DECODE_PAIRS, .offset = (at)}
#define OBJECT(n, at, sub, fl) {.name = (n), .kind = DECODE_OBJECT, .flags = (fl), .offset = (at), .fields = (sub)}
#define LIST(n, at, sub, type) {.name = (n), .kind = DECODE_LIST, .offset = (at), .fields = (sub), .size = sizeof(struct type)}
#define RESOURCE(n, at) NUMBER(n, at, -1, INT64_MAX, RESOURCE_UNSET)
// Checked and not kept.
#define ONLY(n, k, fl) {.name = (n), .kind = (k), .flags = (fl), .min = INT64_MIN, .max = INT64_MAX}
#define ONLY_OF(n, k, sub, fl) {.name = (n), .kind = (k), .flags = (fl), .fields = (sub)}

#define ID_MAX 4294967294ll // 2^32 - 1 means "unchanged" to the calls that take an ID

static const struct decode_field console_size_fields[] = {
	NUMBER("height", 0, 0, 65535, 0),
	NUMBER("width", sizeof(int64_t), 0, 65535, 0),
	{},
};

#define USER_AT(member) (AT(oci_process, user.member) - AT(oci_process, user))
static const struct decode_field user_fields[] = {
	NUMBER("uid", USER_AT(uid), 0, ID_MAX, 0),
	NUMBER("gid", USER_AT(gid), 0, ID_MAX, 0),
	NUMBER("umask", USER_AT(umask), 0, 0777, -1),
	NUMBERS("additionalGids", USER_AT(additional_gids), 0, ID_MAX),
	ONLY("username", DECODE_STRING, IGNORE), // for Windows
	{},
};

#define CAPS_AT(member) (AT(oci_process, capabilities.member) - AT(oci_process, capabilities))
static const struct decode_field capabilities_fields[] = {
	STRINGS("bounding", CAPS_AT(bounding)),
	STRINGS("effective", CAPS_AT(effective)),
	STRINGS("inheritable", CAPS_AT(inheritable)),
	STRINGS("permitted", CAPS_AT(permitted)),
	STRINGS("ambient", CAPS_AT(ambient)),
	{},
};

static const struct decode_field rlimit_fields[] = {
	STRING_REQUIRED("type", AT(oci_rlimit, type)),
	LIMIT_REQUIRED("soft", AT(oci_rlimit, soft)),
	LIMIT_REQUIRED("hard", AT(oci_rlimit, hard)),
	{},
};

static const struct decode_field scheduler_fields[] = {
	ONLY("policy", DECODE_STRING, IGNORE | FIELD_REQUIRED),
	ONLY("nice", DECODE_NUMBER, IGNORE),
	ONLY("priority", DECODE_NUMBER, IGNORE),
	ONLY("flags", DECODE_STRINGS, IGNORE),
	ONLY("runtime", DECODE_LIMIT, IGNORE),
	ONLY("deadline", DECODE_LIMIT, IGNORE),
	ONLY("period", DECODE_LIMIT, IGNORE),
	{},
};

static const struct decode_field io_priority_fields[] = {
	ONLY("class", DECODE_STRING, IGNORE | FIELD_REQUIRED),
	ONLY("priority", DECODE_NUMBER, IGNORE),
	{},
};

static const struct decode_field affinity_fields[] = {
	ONLY("initial", DECODE_STRING, IGNORE),
	ONLY("final", DECODE_STRING, IGNORE),
	{},
};

const struct decode_field oci_process_fields[] = {
	BOOL("terminal", AT(oci_process, terminal)),
	OBJECT("consoleSize", AT(oci_process, console_size), console_size_fields, 0),
	OBJECT("user", AT(oci_process, user), user_fields, 0),
	STRINGS("args", AT(oci_process, args)),
	ONLY("commandLine", DECODE_STRING, IGNORE), // for Windows
	STRINGS("env", AT(oci_process, env)),
	STRING_REQUIRED("cwd", AT(oci_process, cwd)),
	OBJECT("capabilities", AT(oci_process, capabilities), capabilities_fields, FIELD_PRESENT),
	LIST("rlimits", AT(oci_process, rlimits), rlimit_fields, oci_rlimit),
	BOOL("noNewPrivileges", AT(oci_process, no_new_privileges)),
	NUMBER("oomScoreAdj", AT(oci_process, oom_score_adj), -1000, 1000, OOM_SCORE_UNSET),
	ONLY("apparmorProfile", DECODE_STRING, UNSUPPORTED),
	ONLY("selinuxLabel", DECODE_STRING, UNSUPPORTED),
	ONLY_OF("scheduler", DECODE_OBJECT, scheduler_fields, UNSUPPORTED),
	ONLY_OF("ioPriority", DECODE_OBJECT, io_priority_fields, UNSUPPORTED),
	ONLY_OF("execCPUAffinity", DECODE_OBJECT, affinity_fields, UNSUPPORTED),
	{},
};

static const struct decode_field id_mapping_fields[] = {
	{.name = "containerID", .kind = DECODE_NUMBER, .flags = IGNORE | FIELD_REQUIRED, .min = 0, .max = ID_MAX},
	{.name = "hostID", .kind = DECODE_NUMBER, .flags = IGNORE | FIELD_REQUIRED, .min = 0, .max = ID_MAX},
	{.name = "size", .kind = DECODE_NUMBER, .flags = IGNORE | FIELD_REQUIRED, .min = 0, .max = ID_MAX + 1},
	{},
};

static const struct decode_field mount_fields[] = {
	STRING_REQUIRED("destination", AT(oci_mount, destination)),
	STRING("type", AT(oci_mount, type)),
	STRING("source", AT(oci_mount, source)),
	STRINGS("options", AT(oci_mount, options)),
	ONLY_OF("uidMappings", DECODE_LIST, id_mapping_fields, UNSUPPORTED),
	ONLY_OF("gidMappings", DECODE_LIST, id_mapping_fields, UNSUPPORTED),
	{},
};

static const struct decode_field root_fields[] = {
	STRING_REQUIRED("path", 0),
	BOOL("readonly", AT(oci_spec, root.readonly) - AT(oci_spec, root)),
	{},
};

static const struct decode_field hook_fields[] = {
	STRING_REQUIRED("path", AT(oci_hook, path)),
	STRINGS("args", AT(oci_hook, args)),
	STRINGS("env", AT(oci_hook, env)),
	NUMBER("timeout", AT(oci_hook, timeout), 1, 86400, 0),
	{},
};

#define HOOKS_AT(member) (AT(oci_spec, hooks.member) - AT(oci_spec, hooks))
static const struct decode_field hooks_fields[] = {
	LIST("prestart", HOOKS_AT(prestart), hook_fields, oci_hook),
	LIST("createRuntime", HOOKS_AT(create_runtime), hook_fields, oci_hook),
	LIST("createContainer", HOOKS_AT(create_container), hook_fields, oci_hook),
	LIST("startContainer", HOOKS_AT(start_container), hook_fields, oci_hook),
	LIST("poststart", HOOKS_AT(poststart), hook_fields, oci_hook),
	LIST("poststop", HOOKS_AT(poststop), hook_fields, oci_hook),
	{},
};

static const struct decode_field namespace_fields[] = {
	STRING_REQUIRED("type", AT(oci_namespace, type)),
	STRING("path", AT(oci_namespace, path)),
	{},
};

static const struct decode_field device_fields[] = {
	ONLY("type", DECODE_STRING, IGNORE | FIELD_REQUIRED),
	ONLY("path", DECODE_STRING, IGNORE | FIELD_REQUIRED),
	ONLY("major", DECODE_NUMBER, IGNORE),
	ONLY("minor", DECODE_NUMBER, IGNORE),
	{.name = "fileMode", .kind = DECODE_NUMBER, .flags = IGNORE, .min = 0, .max = 0177777},
	{.name = "uid", .kind = DECODE_NUMBER, .flags = IGNORE, .min = 0, .max = ID_MAX},
	{.name = "gid", .kind = DECODE_NUMBER, .flags = IGNORE, .min = 0, .max = ID_MAX},
	{},
};

// --- linux.resources

static const struct decode_field device_rule_fields[] = {
	ONLY("allow", DECODE_BOOL, IGNORE | FIELD_REQUIRED), ONLY("type", DECODE_STRING, IGNORE),
	ONLY("major", DECODE_NUMBER, IGNORE),		     ONLY("minor", DECODE_NUMBER, IGNORE),
	ONLY("access", DECODE_STRING, IGNORE),		     {},
};

static const struct decode_field memory_fields[] = {
	RESOURCE("limit", AT(oci_memory_limits, limit)),
	RESOURCE("reservation", AT(oci_memory_limits, reservation)),
	RESOURCE("swap", AT(oci_memory_limits, swap)),
	ONLY("kernel", DECODE_NUMBER, UNSUPPORTED),
	ONLY("kernelTCP", DECODE_NUMBER, UNSUPPORTED),
	ONLY("swappiness", DECODE_LIMIT, UNSUPPORTED),
	ONLY("disableOOMKiller", DECODE_BOOL, UNSUPPORTED),
	ONLY("useHierarchy", DECODE_BOOL, IGNORE), // what the host does as it is
	ONLY("checkBeforeUpdate", DECODE_BOOL, IGNORE), // about updates
	{},
};

static const struct decode_field cpu_fields[] = {
	RESOURCE("shares", AT(oci_cpu_limits, shares)),
	RESOURCE("quota", AT(oci_cpu_limits, quota)),
	RESOURCE("period", AT(oci_cpu_limits, period)),
	ONLY("burst", DECODE_LIMIT, UNSUPPORTED),
	ONLY("realtimeRuntime", DECODE_NUMBER, UNSUPPORTED),
	ONLY("realtimePeriod", DECODE_LIMIT, UNSUPPORTED),
	ONLY("cpus", DECODE_STRING, UNSUPPORTED),
	ONLY("mems", DECODE_STRING, UNSUPPORTED),
	ONLY("idle", DECODE_NUMBER, UNSUPPORTED),
	{},
};

static const struct decode_field pids_fields[] = {RESOURCE("limit", AT(oci_pids_limits, limit)), {}};

static const struct decode_field weight_device_fields[] = {
	ONLY("major", DECODE_NUMBER, IGNORE | FIELD_REQUIRED),
	ONLY("minor", DECODE_NUMBER, IGNORE | FIELD_REQUIRED),
	ONLY("weight", DECODE_NUMBER, IGNORE),
	ONLY("leafWeight", DECODE_NUMBER, IGNORE),
	{},
};

static const struct decode_field throttle_device_fields[] = {
	ONLY("major", DECODE_NUMBER, IGNORE | FIELD_REQUIRED),
	ONLY("minor", DECODE_NUMBER, IGNORE | FIELD_REQUIRED),
	ONLY("rate", DECODE_LIMIT, IGNORE),
	{},
};

static const struct decode_field block_io_fields[] = {
	ONLY("weight", DECODE_NUMBER, IGNORE),
	ONLY("leafWeight", DECODE_NUMBER, IGNORE),
	ONLY_OF("weightDevice", DECODE_LIST, weight_device_fields, IGNORE),
	ONLY_OF("throttleReadBpsDevice", DECODE_LIST, throttle_device_fields, IGNORE),
	ONLY_OF("throttleWriteBpsDevice", DECODE_LIST, throttle_device_fields, IGNORE),
	ONLY_OF("throttleReadIOPSDevice", DECODE_LIST, throttle_device_fields, IGNORE),
	ONLY_OF("throttleWriteIOPSDevice", DECODE_LIST, throttle_device_fields, IGNORE),
	{},
};

static const struct decode_field huge_page_fields[] = {
	ONLY("pageSize", DECODE_STRING, IGNORE | FIELD_REQUIRED),
	ONLY("limit", DECODE_LIMIT, IGNORE | FIELD_REQUIRED),
	{},
};

static const struct decode_field priority_fields[] = {
	ONLY("name", DECODE_STRING, IGNORE | FIELD_REQUIRED),
	ONLY("priority", DECODE_LIMIT, IGNORE | FIELD_REQUIRED),
	{},
};

static const struct decode_field network_fields[] = {
	ONLY("classID", DECODE_LIMIT, IGNORE),
	ONLY_OF("priorities", DECODE_LIST, priority_fields, IGNORE),
	{},
};

static const struct decode_field rdma_fields[] = {
	ONLY("hcaHandles", DECODE_LIMIT, IGNORE),
	ONLY("hcaObjects", DECODE_LIMIT, IGNORE),
	{},
};

static const struct decode_field resources_fields[] = {
	// No device of the host is within reach, so any rule of denial holds; what is allowed is Hull's own.
	ONLY_OF("devices", DECODE_LIST, device_rule_fields, IGNORE),
	OBJECT("memory", AT(oci_resources, memory), memory_fields, 0),
	OBJECT("cpu", AT(oci_resources, cpu), cpu_fields, 0),
	OBJECT("pids", AT(oci_resources, pids), pids_fields, 0),
	ONLY_OF("blockIO", DECODE_OBJECT, block_io_fields, UNSUPPORTED),
	ONLY_OF("hugepageLimits", DECODE_LIST, huge_page_fields, UNSUPPORTED),
	ONLY_OF("network", DECODE_OBJECT, network_fields, UNSUPPORTED),
	ONLY_OF("rdma", DECODE_MAP, rdma_fields, UNSUPPORTED),
	ONLY("unified", DECODE_PAIRS, UNSUPPORTED),
	{},
};

// --- linux.seccomp and the rest

static const struct decode_field seccomp_arg_fields[] = {
	ONLY("index", DECODE_LIMIT, IGNORE | FIELD_REQUIRED),
	ONLY("value", DECODE_LIMIT, IGNORE | FIELD_REQUIRED),
	ONLY("valueTwo", DECODE_LIMIT, IGNORE),
	ONLY("op", DECODE_STRING, IGNORE | FIELD_REQUIRED),
	{},
};

static const struct decode_field seccomp_syscall_fields[] = {
	ONLY("names", DECODE_STRINGS, IGNORE | FIELD_REQUIRED),
	ONLY("action", DECODE_STRING, IGNORE | FIELD_REQUIRED),
	ONLY("errnoRet", DECODE_LIMIT, IGNORE),
	ONLY_OF("args", DECODE_LIST, seccomp_arg_fields, IGNORE),
	{},
};

static const struct decode_field seccomp_fields[] = {
	ONLY("defaultAction", DECODE_STRING, IGNORE | FIELD_REQUIRED),
	ONLY("defaultErrnoRet", DECODE_LIMIT, IGNORE),
	ONLY("architectures", DECODE_STRINGS, IGNORE),
	ONLY("flags", DECODE_STRINGS, IGNORE),
	ONLY("listenerPath", DECODE_STRING, IGNORE),
	ONLY("listenerMetadata", DECODE_STRING, IGNORE),
	ONLY_OF("syscalls", DECODE_LIST, seccomp_syscall_fields, IGNORE),
	{},
};

static const struct decode_field intel_rdt_fields[] = {
	ONLY("closID", DECODE_STRING, IGNORE),	     ONLY("l3CacheSchema", DECODE_STRING, IGNORE),
	ONLY("memBwSchema", DECODE_STRING, IGNORE), ONLY("enableCMT", DECODE_BOOL, IGNORE),
	ONLY("enableMBM", DECODE_BOOL, IGNORE),     {},
};

static const struct decode_field personality_fields[] = {
	ONLY("domain", DECODE_STRING, IGNORE | FIELD_REQUIRED),
	ONLY("flags", DECODE_STRINGS, IGNORE),
	{},
};

static const struct decode_field time_offset_fields[] = {
	ONLY("secs", DECODE_NUMBER, IGNORE),
	ONLY("nanosecs", DECODE_LIMIT, IGNORE),
	{},
};

#define LINUX_AT(member) (AT(oci_spec, linux_.member) - AT(oci_spec, linux_))
static const struct decode_field linux_fields[] = {
	LIST("namespaces", LINUX_AT(namespaces), namespace_fields, oci_namespace),
	STRING("cgroupsPath", LINUX_AT(cgroups_path)),
	ONLY_OF("uidMappings", DECODE_LIST, id_mapping_fields, UNSUPPORTED),
	ONLY_OF("gidMappings", DECODE_LIST, id_mapping_fields, UNSUPPORTED),
	ONLY_OF("devices", DECODE_LIST, device_fields, UNSUPPORTED),
	OBJECT("resources", LINUX_AT(resources), resources_fields, 0),
	ONLY("rootfsPropagation", DECODE_STRING, IGNORE), // nothing of the sandbox's mounts is the host's
	ONLY("sysctl", DECODE_PAIRS, UNSUPPORTED),
	ONLY_OF("seccomp", DECODE_OBJECT, seccomp_fields, UNSUPPORTED),
	STRINGS("maskedPaths", LINUX_AT(masked_paths)),
	STRINGS("readonlyPaths", LINUX_AT(readonly_paths)),
	ONLY("mountLabel", DECODE_STRING, UNSUPPORTED),
	ONLY_OF("intelRdt", DECODE_OBJECT, intel_rdt_fields, UNSUPPORTED),
	ONLY_OF("personality", DECODE_OBJECT, personality_fields, UNSUPPORTED),
	ONLY_OF("timeOffsets", DECODE_MAP, time_offset_fields, UNSUPPORTED),
	{},
};

const struct decode_field oci_config_fields[] = {
	STRING_REQUIRED("ociVersion", AT(oci_spec, oci_version)),
	OBJECT("process", AT(oci_spec, process), oci_process_fields, FIELD_PRESENT),
	OBJECT("root", AT(oci_spec, root), root_fields, FIELD_REQUIRED),
	STRING("hostname", AT(oci_spec, hostname)),
	ONLY("domainname", DECODE_STRING, UNSUPPORTED),
	LIST("mounts", AT(oci_spec, mounts), mount_fields, oci_mount),
	OBJECT("hooks", AT(oci_spec, hooks), hooks_fields, 0),
	PAIRS("annotations", AT(oci_spec, annotations)),
	OBJECT("linux", AT(oci_spec, linux_), linux_fields, 0),
	{},
};
