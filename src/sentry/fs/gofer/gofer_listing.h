// What a directory lists, as the gofer told it and as our own changes made it. The directory's mu guards it.
#pragma once

#include "gofer/client.h"

enum { LISTING_NONE = UINT32_MAX };

struct listed {
	uint64_t ino;
	struct gofer_listing *below; // what this directory lists: it came along, and nobody has asked for it yet
	uint32_t next; // in its bucket
	uint32_t name, link; // where they begin in the listing's text; link LISTING_NONE: unknown
	uint32_t attr; // in the listing's attrs; LISTING_NONE: to be asked for
	uint16_t len, link_len;
	uint8_t type; // DT_*
	bool gone;
	bool tried; // what is below came, or can't come along
};

struct gofer_listing {
	struct listed *entries; // kmem_bytes, as all of these
	uint32_t count, cap, gaps;
	struct gofer_attr *attrs;
	uint32_t nattrs, attrs_cap;
	char *text;
	uint32_t text_len, text_cap;
	uint32_t *buckets; // nbuckets (a power of two) indices; made by the first search
	uint32_t nbuckets;
	bool thin; // attributes came of directories alone
	bool read; // a program has read it
};

struct gofer_listing *gofer_listing_create(uint32_t room); // for so many entries; NULL: no memory
void gofer_listing_free(struct gofer_listing *l); // NULL is allowed
// The entry of that name; NULL: there is none. 0 or -ENOMEM.
int gofer_listing_find(struct gofer_listing *l, const char *name, size_t len, struct listed **out);
int gofer_listing_append(struct gofer_listing *l, const struct gofer_listed_entry *e);
int gofer_listing_tell(struct gofer_listing *l, const struct gofer_listed_entry *e); // what is known about a name that is in it
void gofer_listing_drop(struct gofer_listing *l, const char *name, size_t len); // leaves a gap
