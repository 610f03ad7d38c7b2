// Asking the gofer for listings. One that a program reads comes whole, with attributes, and is kept.
//
// Who reads a directory, then one below it, goes down the tree. In one that nobody changes at all (read-only, as under an overlay) a message then
// asks for that directory, what is below it, and its next siblings: as much as a message holds, and as little as was read so far
// justifies. What came waits beside its name until somebody asks for it; of files it has the attributes only if somebody wanted such of late.
#include <dirent.h>
#include <limits.h>

#include "abi/errno.h"
#include "lib/kmem.h"
#include "sentry/fs/gofer/gofer_int.h"
#include "sentry/fs/gofer/gofer_listing.h"

enum {
	// Entries that may come unasked: GOFER_AHEAD_FIRST, and so many more for each one that was read.
	CREDIT_EACH = 4, CREDIT_MAX = 16384,
	DIRS_MAX = 1024, // in one answer: more than a message holds
	SIBLINGS_SEEN = 4096,
	ATTRS_KEPT = 8, // answers that bring the attributes of files after somebody wanted one
};

struct fetch {
	struct gofer_inode *dir;
	struct gofer_listing *into; // what comes now goes there
	bool known; // into has the names
	uint64_t dev; // of the files whose attributes don't come
	// Of several directories:
	bool thin;
	uint32_t naimed;
	uint32_t aimed[GOFER_BELOW_MAX]; // entries of dir whose names were asked for
	struct gofer_name names[GOFER_BELOW_MAX];
	struct gofer_listing **under_way; // where the one that comes now hangs
	uint32_t ndirs;
	struct gofer_listing *dirs[DIRS_MAX]; // 0: dir's own
};

static int fetched(void *arg, const struct gofer_listed_entry *e)
{
	struct fetch *fetch = arg;
	struct gofer_listed_entry shown = *e;
	uint64_t dev = e->attr ? e->attr->dev : fetch->dev;

	if (fetch->known)
		return gofer_listing_tell(fetch->into, e);
	if (dev != gofer_sb(&fetch->dir->inode)->root_dev)
		shown.ino = e->ino ^ dev << 40;
	return gofer_listing_append(fetch->into, &shown);
}

static int fetched_below(void *arg, uint32_t dir, uint32_t entry, uint32_t count)
{
	struct fetch *fetch = arg;
	struct gofer_listing *above = fetch->dirs[dir];
	struct listed *e;

	if (fetch->ndirs == DIRS_MAX || entry >= (dir ? above->count : fetch->naimed))
		return -EIO;
	if (dir == 0)
		entry = fetch->aimed[entry];
	e = &above->entries[entry];
	if (e->below || e->type != DT_DIR || e->attr == LISTING_NONE)
		return -EIO;
	e->below = gofer_listing_create(count);
	if (!e->below)
		return -ENOMEM;
	e->tried = true;
	e->below->thin = fetch->thin;
	fetch->under_way = &e->below;
	fetch->dev = above->attrs[e->attr].dev;
	fetch->into = fetch->dirs[fetch->ndirs++] = e->below;
	gofer_sb(&fetch->dir->inode)->ahead_credit -= (int)count + 1;
	return 0;
}

static uint32_t flags_for(const struct gofer_inode *dir)
{
	return gofer_sb((struct inode *)&dir->inode)->xattrs_wanted ? GOFER_LIST_XATTRS : 0;
}

// dir's listing, all of it, or nothing when that takes more than max_messages.
static int fetch_own(struct gofer_inode *dir, struct gofer_listing *into, bool known, unsigned max_messages)
{
	struct fetch fetch = {.dir = dir, .into = into, .known = known, .dev = dir->dev};
	const struct gofer_list_call call = {.flags = flags_for(dir), .on_entry = fetched, .arg = &fetch};
	uint64_t node, position = 0;
	bool at_end = false;
	int err = gofer_inode_node(dir, &node);

	for (unsigned n = 0; !err && !at_end; n++)
		err = n == max_messages ? -E2BIG : AWAY(gofer_list(gofer_client(&dir->inode), node, &call, &position, &at_end));
	return err;
}

int gofer_fetch(struct gofer_inode *dir, unsigned max_messages)
{
	struct gofer_listing *l = gofer_listing_create(0);
	int err = l ? fetch_own(dir, l, false, max_messages) : -ENOMEM;

	if (err) {
		gofer_listing_free(l);
		return err;
	}
	gofer_listing_free(dir->listing);
	dir->listing = l;
	return 0;
}

int gofer_fetch_attrs(struct gofer_inode *dir)
{
	int err = fetch_own(dir, dir->listing, true, UINT_MAX);

	if (!err)
		dir->listing->thin = false;
	return err;
}

// first, and the directories behind it that nothing came of yet, if that many are welcome.
static void aim(struct fetch *fetch, uint32_t first, bool siblings)
{
	struct gofer_listing *l = fetch->dir->listing;

	for (uint32_t i = first, n = 0; n < MIN(l->count, SIBLINGS_SEEN) && fetch->naimed < GOFER_BELOW_MAX; n++, i = (i + 1) % l->count) {
		const struct listed *e = &l->entries[i];

		if (e->type != DT_DIR || e->gone || e->tried || e->attr == LISTING_NONE)
			continue;
		fetch->aimed[fetch->naimed] = i;
		fetch->names[fetch->naimed++] = (struct gofer_name){l->text + e->name, e->len};
		if (!siblings)
			return;
	}
}

void gofer_fetch_below(struct gofer_inode *dir, const struct listed *first)
{
	struct gofer_sb *gsb = gofer_sb(&dir->inode);
	const int credit = gsb->ahead_credit;
	struct fetch *fetch = kmem_bytes(sizeof(*fetch));
	struct gofer_list_call call = {.flags = flags_for(dir), .on_entry = fetched, .on_below = fetched_below, .arg = fetch};
	uint64_t node;
	int err;

	if (!fetch)
		return;
	fetch->dir = dir;
	fetch->dirs[fetch->ndirs++] = dir->listing;
	fetch->thin = gsb->attrs_wanted <= 0;
	if (fetch->thin)
		call.flags |= GOFER_LIST_THIN;
	else
		gsb->attrs_wanted--;
	aim(fetch, (uint32_t)(first - dir->listing->entries), credit > 0);
	err = gofer_inode_node(dir, &node);
	if (!err && fetch->naimed)
		err = AWAY(gofer_list_below(gofer_client(&dir->inode), node, &call, fetch->names, fetch->naimed, credit > 0 ? (uint32_t)credit : 1));
	if (err && fetch->under_way) { // came in part
		gofer_listing_free(*fetch->under_way);
		*fetch->under_way = NULL;
	}
	if (fetch->naimed)
		dir->listing->entries[fetch->aimed[0]].tried = true; // also if it can't come; what else did not, may with its next sibling
	kmem_bytes_free(fetch);
}

void gofer_fetch_pays(struct gofer_sb *gsb, uint32_t entries)
{
	gsb->ahead_credit = MIN(gsb->ahead_credit + CREDIT_EACH * (int)MIN(entries + 1, (uint32_t)CREDIT_MAX), CREDIT_MAX);
}

void gofer_fetch_wants_attrs(struct gofer_sb *gsb)
{
	gsb->attrs_wanted = ATTRS_KEPT;
}
