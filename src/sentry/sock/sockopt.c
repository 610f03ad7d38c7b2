// getsockopt and setsockopt at SOL_SOCKET; other levels go to the family. man 7 socket.
//
// Options that only steer a network device are kept and given back, which is all that Linux does with them on a Unix socket.
#include <string.h>
#include <sys/time.h>
#include <asm/socket.h>
#include <linux/capability.h>

#include "abi/errno.h"
#include "lib/container_of.h"
#include "sentry/kernel/cred.h"
#include "sentry/kernel/task.h"
#include "sentry/sock/sock.h"

#define BOOLEANS (1u << SO_DEBUG | 1u << SO_REUSEADDR | 1u << SO_DONTROUTE | 1u << SO_BROADCAST | 1u << SO_KEEPALIVE | 1u << SO_OOBINLINE | \
		  1u << SO_NO_CHECK | 1u << SO_REUSEPORT | 1u << SO_PASSCRED)

static bool is_boolean(int name)
{
	return name >= 0 && name < 32 && BOOLEANS & 1u << name;
}

static int set_boolean(struct task *t, struct sock *s, int name, int v)
{
	if (name == SO_DEBUG && v && !cred_has_cap(t->cred, CAP_NET_ADMIN))
		return -EACCES;
	if (name == SO_PASSCRED && s->family != AF_UNIX && s->family != AF_NETLINK)
		return -EOPNOTSUPP;
	mutex_lock(&s->mu);
	if (v)
		s->options |= 1u << name;
	else
		s->options &= ~(1u << name);
	mutex_unlock(&s->mu);
	return 0;
}

// Linux doubles what is asked for, to account for its own overhead, and shows the doubled value.
static int set_buffer(struct task *t, struct sock *s, int name, int v)
{
	bool force = name == SO_SNDBUFFORCE || name == SO_RCVBUFFORCE, send = name == SO_SNDBUF || name == SO_SNDBUFFORCE;

	if (force && !cred_has_cap(t->cred, CAP_NET_ADMIN))
		return -EPERM;
	if (!force && (unsigned)v > SOCK_BUF_MAX)
		v = SOCK_BUF_MAX;
	v = MIN(MAX(v, 0), INT32_MAX / 2) * 2;
	mutex_lock(&s->mu);
	if (send)
		s->sndbuf = MAX(v, SNDBUF_MIN);
	else
		s->rcvbuf = MAX(v, RCVBUF_MIN);
	mutex_unlock(&s->mu);
	if (send)
		waitq_wake(&s->waitq, 0);
	return 0;
}

static int set_timeout(struct sock *s, int name, const void *val, int len)
{
	struct timeval tv;
	int64_t ns;

	if (len < (int)sizeof(tv))
		return -EINVAL;
	memcpy(&tv, val, sizeof(tv));
	if (tv.tv_usec < 0 || tv.tv_usec >= 1000000)
		return -EDOM;
	if (tv.tv_sec < 0)
		ns = 1; // no wait at all
	else if (__builtin_mul_overflow(tv.tv_sec, NSEC_PER_SEC, &ns) ||
		 __builtin_add_overflow(ns, tv.tv_usec * NSEC_PER_USEC, &ns))
		ns = 0;
	if (name == SO_RCVTIMEO)
		s->rcvtimeo_ns = ns;
	else
		s->sndtimeo_ns = ns;
	return 0;
}

static int set_linger(struct sock *s, const void *val, int len)
{
	if (len < (int)sizeof(s->linger))
		return -EINVAL;
	mutex_lock(&s->mu);
	memcpy(&s->linger, val, sizeof(s->linger));
	s->linger.l_onoff = !!s->linger.l_onoff;
	mutex_unlock(&s->mu);
	return 0;
}

static int set_priority(struct task *t, struct sock *s, int v)
{
	if ((v < 0 || v > 6) && !cred_has_cap(t->cred, CAP_NET_ADMIN) && !cred_has_cap(t->cred, CAP_NET_RAW))
		return -EPERM;
	s->priority = v;
	return 0;
}

static int set_socket(struct task *t, struct sock *s, int name, const void *val, int len)
{
	int v;

	if (len < (int)sizeof(v))
		return -EINVAL;
	memcpy(&v, val, sizeof(v));
	if (is_boolean(name))
		return set_boolean(t, s, name, v);
	switch (name) {
	case SO_SNDBUF:
	case SO_RCVBUF:
	case SO_SNDBUFFORCE:
	case SO_RCVBUFFORCE:
		return set_buffer(t, s, name, v);
	case SO_RCVTIMEO_OLD:
	case SO_SNDTIMEO_OLD:
	case SO_RCVTIMEO_NEW:
	case SO_SNDTIMEO_NEW:
		return set_timeout(s, name == SO_RCVTIMEO_OLD || name == SO_RCVTIMEO_NEW ? SO_RCVTIMEO : SO_SNDTIMEO, val, len);
	case SO_LINGER:
		return set_linger(s, val, len);
	case SO_PRIORITY:
		return set_priority(t, s, v);
	case SO_RCVLOWAT:
		s->rcvlowat = v < 0 ? INT32_MAX : v ? v : 1;
		return 0;
	case SO_MARK:
		if (!cred_has_cap(t->cred, CAP_NET_ADMIN) && !cred_has_cap(t->cred, CAP_NET_RAW))
			return -EPERM;
		s->mark = v;
		return 0;
	default:
		return s->ops->setsockopt ? s->ops->setsockopt(t, s, SOL_SOCKET, name, val, len) : -ENOPROTOOPT;
	}
}

int sock_setsockopt(struct task *t, struct sock *s, int level, int name, uaddr_t val, int len)
{
	char buf[256];
	int err;

	if (len < 0)
		return -EINVAL;
	len = MIN(len, (int)sizeof(buf));
	err = copy_in(t, buf, val, len);
	if (err)
		return err;
	if (level == SOL_SOCKET)
		return set_socket(t, s, name, buf, len);
	return s->ops->setsockopt ? s->ops->setsockopt(t, s, level, name, buf, len) : -EOPNOTSUPP;
}

static int get_timeout(int64_t ns, void *val)
{
	struct timeval tv = {.tv_sec = ns / NSEC_PER_SEC, .tv_usec = ns % NSEC_PER_SEC / NSEC_PER_USEC};

	memcpy(val, &tv, sizeof(tv));
	return sizeof(tv);
}

// Fills val and answers its length, or -errno.
static int get_socket(struct task *t, struct sock *s, int name, void *val, int cap)
{
	int v, len = cap, err;

	if (is_boolean(name)) {
		v = sock_option(s, name);
		memcpy(val, &v, sizeof(v));
		return sizeof(v);
	}
	switch (name) {
	case SO_TYPE: v = s->type; break;
	case SO_DOMAIN: v = s->family; break;
	case SO_PROTOCOL: v = s->protocol; break;
	case SO_ERROR: v = -sock_take_error(s); break;
	case SO_ACCEPTCONN: v = s->listening; break;
	case SO_SNDBUF: v = s->sndbuf; break;
	case SO_RCVBUF: v = s->rcvbuf; break;
	case SO_RCVLOWAT: v = s->rcvlowat; break;
	case SO_SNDLOWAT: v = 1; break;
	case SO_PRIORITY: v = s->priority; break;
	case SO_MARK: v = s->mark; break;
	case SO_RCVTIMEO_OLD:
	case SO_RCVTIMEO_NEW: return get_timeout(s->rcvtimeo_ns, val);
	case SO_SNDTIMEO_OLD:
	case SO_SNDTIMEO_NEW: return get_timeout(s->sndtimeo_ns, val);
	case SO_LINGER: memcpy(val, &s->linger, sizeof(s->linger)); return sizeof(s->linger);
	default:
		err = s->ops->getsockopt ? s->ops->getsockopt(t, s, SOL_SOCKET, name, val, &len) : -ENOPROTOOPT;
		return err ? err : len;
	}
	memcpy(val, &v, sizeof(v));
	return sizeof(v);
}

int sock_getsockopt(struct task *t, struct sock *s, int level, int name, uaddr_t uval, uaddr_t ulen)
{
	char buf[256] = {0};
	int len, n, err = copy_in(t, &len, ulen, sizeof(len));

	if (err)
		return err;
	if (len < 0)
		return -EINVAL;
	if (level == SOL_SOCKET) {
		n = get_socket(t, s, name, buf, sizeof(buf));
	} else {
		n = sizeof(buf);
		err = s->ops->getsockopt ? s->ops->getsockopt(t, s, level, name, buf, &n) : -EOPNOTSUPP;
		n = err ? err : n;
	}
	if (n < 0)
		return n;
	len = MIN(len, n);
	return copy_out(t, uval, buf, len) ?: copy_out(t, ulen, &len, sizeof(len));
}
