// What a container consists of.
#include "runtime/sandbox/plan.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "gofer/gofer.h"
#include "lib/container_of.h"
#include "lib/log.h"
#include "runtime/err.h"
#include "runtime/oci/bundle.h"
#include "runtime/oci/spec.h"
#include "runtime/settings.h"

static int plan_begin(const struct settings *s, const char *id, const char *hostname, struct plan *out, struct err **err)
{
	*out = (struct plan){
		.trees = calloc(GOFER_TREES_MAX, sizeof(*out->trees)),
		.sources = calloc(GOFER_TREES_MAX, sizeof(*out->sources)),
		.create = json_pack("{ss ss* sb s[]}", "container", id, "hostname", hostname, "shared", s->shared_files, "mounts"),
	};
	return out->trees && out->sources && out->create ? 0 : err_set(err, "out of memory");
}

void plan_fini(struct plan *p)
{
	for (int i = 0; i < p->nsources; i++)
		free(p->sources[i]);
	free(p->sources);
	free(p->trees);
	json_decref(p->create);
	*p = (struct plan){0};
}

static json_t *strings_to_json(const struct oci_strings *s)
{
	json_t *list = json_array();

	for (size_t i = 0; i < s->count; i++)
		json_array_append_new(list, json_stringn_nocheck(s->items[i], strlen(s->items[i])));
	return list;
}

static json_t *mounts_of(struct plan *p)
{
	return json_object_get(p->create, "mounts");
}

static int add_mount(struct plan *p, json_t *mount, struct err **err)
{
	return mount && json_array_append_new(mounts_of(p), mount) == 0 ? 0 : err_set(err, "out of memory");
}

// A host tree at destination. With an overlay above it nothing is ever written below, so the tree itself can be read-only.
static int add_tree(struct plan *p, const char *destination, const struct launch_tree *tree, const struct oci_mount *flags,
		    bool overlay, struct err **err)
{
	if (p->ntrees == GOFER_TREES_MAX)
		return err_set(err, "too many mounts of host folders: at most %d", GOFER_TREES_MAX);
	p->trees[p->ntrees] = *tree;
	if (overlay)
		p->trees[p->ntrees].readonly = true;
	return add_mount(p,
			 json_pack("{ss ss si sb sb sb sb sb}",
				   "type", "gofer",
				   "destination", destination,
				   "tree", p->ntrees++,
				   "readonly", tree->readonly,
				   "nosuid", flags->nosuid,
				   "nodev", flags->nodev,
				   "noexec", flags->noexec,
				   "overlay", overlay),
			 err);
}

static int add_own(struct plan *p, const char *type, const struct oci_mount *m, struct err **err)
{
	return add_mount(p,
			 json_pack("{ss ss sb sb sb sb ss*}",
				   "type", type,
				   "destination", m->destination,
				   "readonly", m->readonly,
				   "nosuid", m->nosuid,
				   "nodev", m->nodev,
				   "noexec", m->noexec,
				   "data", m->data),
			 err);
}

// Every Linux container has these (runtime-spec, "Default Filesystems"); a bundle that names one of them has its own way.
static const struct {
	struct oci_mount mount;
	const char *type;
	bool always; // also for bundles that don't name it
} default_mounts[] = {
	{{.destination = "/proc", .nosuid = true, .nodev = true, .noexec = true}, "proc", true},
	{{.destination = "/sys", .nosuid = true, .nodev = true, .noexec = true, .readonly = true}, "sysfs", true},
	{{.destination = "/dev", .nosuid = true, .data = "mode=755"}, "devtmpfs", true},
	{{.destination = "/dev/pts", .nosuid = true, .noexec = true, .data = "gid=5,mode=620,ptmxmode=666"}, "devpts", true},
	{{.destination = "/dev/shm", .nosuid = true, .nodev = true, .data = "mode=1777"}, "tmpfs", true},
};

static bool is_named(const struct oci_spec *spec, const char *destination)
{
	for (size_t i = 0; i < spec->mounts.count; i++)
		if (strcmp(spec->mounts.items[i].destination, destination) == 0)
			return true;
	return false;
}

// The sentry's type of a mount that isn't a host folder; NULL: there is none yet.
static const char *own_type(const struct oci_mount *m)
{
	static const char *const same[] = {"proc", "sysfs", "tmpfs", "devpts", "devtmpfs", "mqueue"};

	// Other runtimes mount a tmpfs on /dev and fill it with nodes: that is what devtmpfs is here.
	if (strcmp(m->destination, "/dev") == 0 && strcmp(m->type, "tmpfs") == 0)
		return "devtmpfs";
	for (size_t i = 0; i < ARRAY_LEN(same); i++)
		if (strcmp(m->type, same[i]) == 0)
			return same[i];
	return NULL;
}

// A source that isn't absolute is relative to the bundle (runtime-spec, "Mounts"). Lives as long as the plan.
static const char *source_path(struct plan *p, const struct bundle *b, const char *source)
{
	char *joined;

	if (source[0] == '/')
		return source;
	if (p->nsources == GOFER_TREES_MAX || asprintf(&joined, "%s/%s", b->dir, source) < 0)
		return NULL;
	p->sources[p->nsources++] = joined;
	return joined;
}

static int add_bundle_mount(const struct settings *s, struct plan *p, const struct bundle *b, const struct oci_mount *m, size_t index,
			    struct err **err)
{
	const char *type;

	if (m->bind) {
		struct launch_tree tree = {.path = source_path(p, b, m->source), .readonly = m->readonly, .recursive = m->recursive};

		if (!tree.path)
			return err_set(err, "out of memory");
		if (access(tree.path, F_OK) < 0)
			return err_set(err, "config.json: mounts[%zu].source: cannot find \"%s\": %m", index, m->source);
		return add_tree(p, m->destination, &tree, m, s->overlay == OVERLAY_ALL && !m->readonly, err);
	}
	type = own_type(m);
	if (!type) {
		log_warning("config.json: mounts[%zu] (%s): file system %s is not supported yet, not mounted", index, m->destination,
			    m->type);
		return 0;
	}
	return add_own(p, type, m, err);
}

// later: those within a /dev of the bundle's own, which must be there first.
static int add_defaults(struct plan *p, const struct oci_spec *spec, bool later, struct err **err)
{
	bool own_dev = is_named(spec, "/dev");

	for (size_t i = 0; i < ARRAY_LEN(default_mounts); i++) {
		const struct oci_mount *m = &default_mounts[i].mount;
		bool within = own_dev && strncmp(m->destination, "/dev/", strlen("/dev/")) == 0;

		if (default_mounts[i].always && within == later && !is_named(spec, m->destination) &&
		    add_own(p, default_mounts[i].type, m, err) < 0)
			return -1;
	}
	return 0;
}

int plan_bundle(const struct settings *s, const char *id, const struct bundle *b, const struct oci_spec *spec, struct plan *out,
		struct err **err)
{
	struct launch_tree root = {.path = b->root, .readonly = spec->root.readonly, .recursive = true};
	const struct oci_mount no_flags = {0};

	if (plan_begin(s, id, spec->hostname, out, err) < 0 ||
	    add_tree(out, "/", &root, &no_flags, s->overlay != OVERLAY_NONE && !spec->root.readonly, err) < 0)
		return -1;
	if (add_defaults(out, spec, false, err) < 0)
		return -1;
	for (size_t i = 0; i < spec->mounts.count; i++)
		if (add_bundle_mount(s, out, b, &spec->mounts.items[i], i, err) < 0)
			return -1;
	json_object_set_new(out->create, "maskedPaths", strings_to_json(&spec->linux_.masked_paths));
	json_object_set_new(out->create, "readonlyPaths", strings_to_json(&spec->linux_.readonly_paths));
	return add_defaults(out, spec, true, err);
}

int plan_host(const struct settings *s, const char *id, const char *root, struct plan *out, struct err **err)
{
	struct launch_tree tree = {.path = root, .readonly = false, .recursive = true};
	const struct oci_mount no_flags = {0};
	struct stat st;

	if (stat(root, &st) < 0)
		return err_set(err, "cannot find the root %s: %m", root);
	if (!S_ISDIR(st.st_mode))
		return err_set(err, "the root %s is not a folder", root);
	if (plan_begin(s, id, "hull", out, err) < 0 || add_tree(out, "/", &tree, &no_flags, s->overlay != OVERLAY_NONE, err) < 0)
		return -1;
	for (size_t i = 0; i < ARRAY_LEN(default_mounts); i++)
		if (add_own(out, default_mounts[i].type, &default_mounts[i].mount, err) < 0)
			return -1;
	return 0;
}

// --- the process

json_t *plan_process(const char *id, const struct oci_process *p, bool terminal)
{
	json_t *groups = json_array(), *rlimits = json_array();

	for (size_t i = 0; i < p->user.additional_gids.count; i++)
		json_array_append_new(groups, json_integer(p->user.additional_gids.items[i]));
	for (size_t i = 0; i < p->rlimits.count; i++)
		json_array_append_new(rlimits, json_pack("[iII]", p->rlimits.items[i].resource, (json_int_t)p->rlimits.items[i].soft,
							 (json_int_t)p->rlimits.items[i].hard));
	return json_pack("{ss so so ss sI sI so s[IIIII] sb sI si so sb}",
			 "container", id,
			 "args", strings_to_json(&p->args),
			 "env", strings_to_json(&p->env),
			 "cwd", p->cwd,
			 "uid", (json_int_t)p->user.uid,
			 "gid", (json_int_t)p->user.gid,
			 "groups", groups,
			 "caps", (json_int_t)p->caps.bounding, (json_int_t)p->caps.effective, (json_int_t)p->caps.inheritable,
			 (json_int_t)p->caps.permitted, (json_int_t)p->caps.ambient,
			 "noNewPrivs", p->no_new_privileges,
			 "umask", (json_int_t)p->user.umask,
			 "oomScoreAdj", p->oom_score_adj == OOM_SCORE_UNSET ? 0 : (int)p->oom_score_adj,
			 "rlimits", rlimits,
			 "terminal", terminal);
}
