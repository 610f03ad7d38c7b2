// The byte queue: a ring that doubles when it is full and gives its memory back when it is empty and large.
#include "sentry/tty/tty_queue.h"

#include <string.h>

#include "abi/errno.h"
#include "lib/container_of.h"
#include "lib/kmem.h"

enum { QUEUE_MIN = 1024, QUEUE_KEEP = 4096 };

static int grow(struct tty_queue *q, uint32_t wanted)
{
	uint32_t cap = q->cap ? q->cap : QUEUE_MIN, first, len = q->len;
	const char *piece;
	char *buf;

	while (cap < wanted)
		cap *= 2;
	buf = kmem_bytes(cap);
	if (!buf)
		return -ENOMEM;
	piece = tty_queue_peek(q, &first);
	if (first)
		memcpy(buf, piece, first);
	if (first < len)
		memcpy(buf + first, q->buf, len - first);
	kmem_bytes_free(q->buf);
	*q = (struct tty_queue){.buf = buf, .cap = cap, .len = len};
	return 0;
}

int tty_queue_put(struct tty_queue *q, const void *src, uint32_t len)
{
	uint32_t at, first;

	if (!len)
		return 0; // there may be no buffer yet
	if (q->len + len > q->cap && grow(q, q->len + len) < 0)
		return -ENOMEM;
	at = (q->head + q->len) & (q->cap - 1);
	first = MIN(len, q->cap - at);
	memcpy(q->buf + at, src, first);
	memcpy(q->buf, (const char *)src + first, len - first);
	q->len += len;
	return 0;
}

const char *tty_queue_peek(const struct tty_queue *q, uint32_t *out_len)
{
	*out_len = MIN(q->len, q->cap - q->head);
	return q->buf + q->head;
}

void tty_queue_drop(struct tty_queue *q, uint32_t len)
{
	q->len -= len;
	if (q->len)
		q->head = (q->head + len) & (q->cap - 1);
	else if (q->cap > QUEUE_KEEP)
		tty_queue_clear(q);
	else
		q->head = 0;
}

void tty_queue_clear(struct tty_queue *q)
{
	kmem_bytes_free(q->buf);
	*q = (struct tty_queue){0};
}
