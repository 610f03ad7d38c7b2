// The store of a directory's names. A removed one leaves a gap, a new one goes to the end, so that readdir's positions stay what they were.
#include "sentry/fs/gofer/gofer_listing.h"

#include <string.h>

#include "abi/errno.h"
#include "lib/kmem.h"

enum { ENTRIES_FIRST = 16 };

KMEM_TYPE(listing_type, gofer_listing);

static bool reserve(void *array, uint32_t *cap, uint32_t need, size_t each)
{
	void **p = array;
	uint32_t want = *cap ? *cap : ENTRIES_FIRST;
	void *q;

	if (need <= *cap)
		return true;
	while (want < need)
		want *= 2;
	q = kmem_bytes_resize(*p, (size_t)want * each);
	if (!q)
		return false;
	*p = q;
	*cap = want;
	return true;
}

struct gofer_listing *gofer_listing_create(uint32_t room)
{
	struct gofer_listing *l = kmem_alloc(&listing_type);

	if (!l || !room)
		return l;
	l->entries = kmem_bytes(room * sizeof(*l->entries));
	if (!l->entries) {
		kmem_free(&listing_type, l);
		return NULL;
	}
	l->cap = room;
	return l;
}

void gofer_listing_free(struct gofer_listing *l)
{
	if (!l)
		return;
	for (uint32_t i = 0; i < l->count; i++)
		gofer_listing_free(l->entries[i].below); // no deeper than the directories of one answer
	kmem_bytes_free(l->entries);
	kmem_bytes_free(l->attrs);
	kmem_bytes_free(l->text);
	kmem_bytes_free(l->buckets);
	kmem_free(&listing_type, l);
}

static uint32_t hash(const char *name, size_t len)
{
	uint32_t h = 2166136261u;

	for (size_t i = 0; i < len; i++)
		h = (h ^ (unsigned char)name[i]) * 16777619u;
	return h ^ h >> 15;
}

static void chain(struct gofer_listing *l, uint32_t index)
{
	struct listed *e = &l->entries[index];
	uint32_t *head = &l->buckets[hash(l->text + e->name, e->len) & (l->nbuckets - 1)];

	e->next = *head;
	*head = index;
}

static bool rehash(struct gofer_listing *l)
{
	uint32_t nbuckets = ENTRIES_FIRST;
	uint32_t *buckets;

	while (nbuckets < l->count)
		nbuckets *= 2;
	buckets = kmem_bytes(nbuckets * sizeof(*buckets));
	if (!buckets)
		return false;
	kmem_bytes_free(l->buckets);
	memset(buckets, 0xff, nbuckets * sizeof(*buckets));
	l->buckets = buckets;
	l->nbuckets = nbuckets;
	for (uint32_t i = 0; i < l->count; i++)
		if (!l->entries[i].gone)
			chain(l, i);
	return true;
}

int gofer_listing_find(struct gofer_listing *l, const char *name, size_t len, struct listed **out)
{
	*out = NULL;
	if (!l->nbuckets && !rehash(l))
		return -ENOMEM;
	for (uint32_t i = l->buckets[hash(name, len) & (l->nbuckets - 1)]; i != LISTING_NONE; i = l->entries[i].next)
		if (l->entries[i].len == len && memcmp(l->text + l->entries[i].name, name, len) == 0) {
			*out = &l->entries[i];
			return 0;
		}
	return 0;
}

static bool put_text(struct gofer_listing *l, const char *s, size_t len, uint32_t *out_at)
{
	if (!reserve(&l->text, &l->text_cap, l->text_len + (uint32_t)len, 1))
		return false;
	memcpy(l->text + l->text_len, s, len);
	*out_at = l->text_len;
	l->text_len += (uint32_t)len;
	return true;
}

static bool tell(struct gofer_listing *l, struct listed *into, const struct gofer_listed_entry *e)
{
	if (e->attr && e->attr->mode && into->attr == LISTING_NONE) {
		if (!reserve(&l->attrs, &l->attrs_cap, l->nattrs + 1, sizeof(*l->attrs)))
			return false;
		into->attr = l->nattrs++;
		l->attrs[into->attr] = *e->attr;
	}
	if (e->link && into->link == LISTING_NONE) {
		if (!put_text(l, e->link, e->link_len, &into->link))
			return false;
		into->link_len = (uint16_t)e->link_len;
	}
	return true;
}

int gofer_listing_append(struct gofer_listing *l, const struct gofer_listed_entry *e)
{
	struct listed *into;

	if (!reserve(&l->entries, &l->cap, l->count + 1, sizeof(*l->entries)))
		return -ENOMEM;
	into = &l->entries[l->count];
	*into = (struct listed){.ino = e->ino, .len = (uint16_t)e->len, .type = e->type, .link = LISTING_NONE, .attr = LISTING_NONE};
	if (!put_text(l, e->name, e->len, &into->name) || !tell(l, into, e))
		return -ENOMEM;
	l->count++;
	if (l->nbuckets && l->count > l->nbuckets)
		return rehash(l) ? 0 : -ENOMEM;
	if (l->nbuckets)
		chain(l, l->count - 1);
	return 0;
}

int gofer_listing_tell(struct gofer_listing *l, const struct gofer_listed_entry *e)
{
	struct listed *into;
	int err = gofer_listing_find(l, e->name, e->len, &into);

	return !err && into && !tell(l, into, e) ? -ENOMEM : err;
}

void gofer_listing_drop(struct gofer_listing *l, const char *name, size_t len)
{
	struct listed *e;
	uint32_t *link;

	if (gofer_listing_find(l, name, len, &e) < 0 || !e)
		return;
	link = &l->buckets[hash(name, len) & (l->nbuckets - 1)];
	while (&l->entries[*link] != e)
		link = &l->entries[*link].next;
	*link = e->next;
	e->gone = true;
	l->gaps++;
}
