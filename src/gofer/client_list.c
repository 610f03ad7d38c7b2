// The sentry's side of LIST, whose answer is made of many small pieces: each is checked before it is passed on.
#include <dirent.h>

#include "gofer/client_int.h"

static bool type_ok(const struct gofer_list_entry *entry)
{
	switch (entry->type) {
	case DT_UNKNOWN: case DT_FIFO: case DT_CHR: case DT_DIR: case DT_BLK: case DT_REG: case DT_LNK: case DT_SOCK: return true;
	}
	return false;
}

static int get_listed(struct trip *t, const struct gofer_list_call *list)
{
	struct gofer_listed_entry e = {0};
	struct gofer_list_entry entry;
	struct gofer_attr attr;

	if (!msg_get_obj(&t->rp, &entry) || ((entry.known & GOFER_ENTRY_ATTR) && !msg_get_obj(&t->rp, &attr)))
		return 0;
	e.name = msg_get_str(&t->rp, GOFER_NAME_MAX, &e.len);
	if (entry.known & GOFER_ENTRY_LINK)
		e.link = msg_get_str(&t->rp, GOFER_PATH_MAX + 1, &e.link_len);
	if (t->rp.bad || !msg_name_ok(e.name, e.len) || !type_ok(&entry)) {
		t->rp.bad = true;
		return 0;
	}
	e.attr = entry.known & GOFER_ENTRY_ATTR ? &attr : NULL;
	e.ino = entry.ino;
	e.type = (uint8_t)entry.type;
	return list->on_entry(list->arg, &e);
}

// More cannot be in what is left: so a count can be believed before the entries were seen.
static bool count_ok(struct trip *t, uint32_t count)
{
	if (count > msg_left(&t->rp) / sizeof(struct gofer_list_entry))
		t->rp.bad = true;
	return !t->rp.bad;
}

int gofer_list(struct gofer_client *c, uint64_t node, const struct gofer_list_call *list, uint64_t *position, bool *out_at_end)
{
	struct gofer_list how = {.position = *position, .flags = list->flags};
	struct gofer_listed listed;
	struct trip t;
	int err;

	trip_begin(&t, c, GOFER_LIST, node);
	msg_put_obj(&t.rq, &how);
	err = trip_exchange(&t);
	if (!err && msg_get_obj(&t.rp, &listed) && count_ok(&t, listed.count)) {
		*position = listed.next;
		*out_at_end = listed.at_end;
		if (listed.count == 0 && !listed.at_end)
			t.rp.bad = true; // no progress
		for (uint32_t i = 0; i < listed.count && !err && !t.rp.bad; i++)
			err = get_listed(&t, list);
	}
	return trip_end_plain(&t, err);
}

static int get_below(struct trip *t, const struct gofer_list_call *list, uint32_t ndirs)
{
	struct gofer_list_below head;
	int err;

	if (!msg_get_obj(&t->rp, &head) || !count_ok(t, head.count))
		return 0;
	if (head.dir > ndirs) {
		t->rp.bad = true;
		return 0;
	}
	err = list->on_below(list->arg, head.dir, head.entry, head.count);
	for (uint32_t i = 0; i < head.count && !err && !t->rp.bad; i++)
		err = get_listed(t, list);
	return err;
}

int gofer_list_below(struct gofer_client *c, uint64_t node, const struct gofer_list_call *list, const struct gofer_name *names, uint32_t count,
		     uint32_t entries)
{
	struct gofer_list_many how = {.flags = list->flags, .entries = entries};
	struct trip t;
	int err;

	trip_begin(&t, c, GOFER_LIST_BELOW, node);
	msg_put_obj(&t.rq, &how);
	for (uint32_t i = 0; i < count; i++)
		msg_put_str(&t.rq, names[i].s, names[i].len);
	err = trip_exchange(&t);
	for (uint32_t ndirs = 0; !err && !t.rp.bad && msg_left(&t.rp) > 0; ndirs++)
		err = get_below(&t, list, ndirs);
	return trip_end_plain(&t, err);
}
