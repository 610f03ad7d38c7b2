// A queue of bytes in memory that grows with what is in it.
#pragma once

#include <stdint.h>

struct tty_queue { // zeroed: empty
	char *buf; // kmem_bytes
	uint32_t cap, head, len;
};

int tty_queue_put(struct tty_queue *q, const void *src, uint32_t len); // 0 or -ENOMEM with nothing put
// The longest piece at its beginning that lies in one place.
const char *tty_queue_peek(const struct tty_queue *q, uint32_t *out_len);
void tty_queue_drop(struct tty_queue *q, uint32_t len); // len <= q->len
void tty_queue_clear(struct tty_queue *q); // gives its memory back
