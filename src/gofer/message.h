// Taking messages apart and putting them together, with every length checked; sending them with a descriptor.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

// What is left of a message. After the first field that isn't there, bad is set and all further ones fail.
struct msg_in {
	const uint8_t *p, *end;
	bool bad;
};

struct msg_out {
	uint8_t *buf;
	size_t len, cap;
	bool full; // something did not fit
};

static inline size_t msg_left(const struct msg_in *m)
{
	return (size_t)(m->end - m->p);
}

static inline bool msg_get(struct msg_in *m, void *dst, size_t len)
{
	if (m->bad || len > msg_left(m)) {
		m->bad = true;
		memset(dst, 0, len);
		return false;
	}
	memcpy(dst, m->p, len);
	m->p += len;
	return true;
}
#define msg_get_obj(m, obj) msg_get((m), (obj), sizeof(*(obj)))
// A string of at most cap bytes, borrowed from the message, not terminated; NULL: bad.
const char *msg_get_str(struct msg_in *m, size_t cap, size_t *out_len);
// A name of one component, terminated, into dst[GOFER_NAME_MAX + 1]: false for "", ".", "..", a slash or a NUL in it.
bool msg_get_name(struct msg_in *m, char *dst);
bool msg_name_ok(const char *name, size_t len);

static inline bool msg_put(struct msg_out *m, const void *src, size_t len)
{
	if (m->full || len > m->cap - m->len) {
		m->full = true;
		return false;
	}
	memcpy(m->buf + m->len, src, len);
	m->len += len;
	return true;
}
#define msg_put_obj(m, obj) msg_put((m), (obj), sizeof(*(obj)))
bool msg_put_str(struct msg_out *m, const char *s, size_t len);

// One whole message and at most one descriptor (-1: none). 0 or -errno.
int msg_send(int sock, const void *buf, size_t len, int fd);
enum { MSG_FD_LOST = -2 };
// Bytes, 0 when the other side is gone, or -errno (-EMSGSIZE: longer than cap). A descriptor that came is *out_fd, else -1; MSG_FD_LOST: one came, but
// this process has no number left for it. More than one is an error, and all are closed.
long msg_receive(int sock, void *buf, size_t cap, int *out_fd);
