// The log: one write per line, so that lines of several threads and processes don't mix.
#include "lib/log.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum log_level log_threshold = LOG_WARNING;

static struct {
	int fd;
	bool json;
	const char *who;
} out = {.fd = 2, .who = "hull"};

static const char *const level_names[] = {"error", "warning", "info", "debug"};

void log_init(int fd, enum log_level threshold, bool json, const char *who)
{
	out.fd = fd;
	out.json = json;
	out.who = who;
	log_threshold = threshold;
}

// JSON strings: quotes, backslashes and control characters escaped; the rest as it is.
static size_t escape_json(char *dst, size_t cap, const char *src)
{
	size_t n = 0;

	for (; *src && n + 7 < cap; src++) {
		unsigned char c = *src;

		if (c == '"' || c == '\\') {
			dst[n++] = '\\';
			dst[n++] = c;
		} else if (c < 0x20) {
			n += snprintf(dst + n, cap - n, "\\u%04x", c);
		} else {
			dst[n++] = c;
		}
	}
	dst[n] = 0;
	return n;
}

void log_write(enum log_level level, const char *fmt, ...)
{
	char msg[1024], escaped[2048], line[3072];
	struct timespec now;
	struct tm tm;
	char stamp[32];
	va_list ap;
	int n;

	va_start(ap, fmt);
	vsnprintf(msg, sizeof(msg), fmt, ap);
	va_end(ap);
	clock_gettime(CLOCK_REALTIME, &now);
	gmtime_r(&now.tv_sec, &tm);
	strftime(stamp, sizeof(stamp), "%Y-%m-%dT%H:%M:%S", &tm);
	if (out.json) {
		escape_json(escaped, sizeof(escaped), msg);
		n = snprintf(line, sizeof(line), "{\"msg\":\"%s\",\"level\":\"%s\",\"time\":\"%s.%06ldZ\"}\n", escaped,
			     level_names[level], stamp, now.tv_nsec / 1000);
	} else {
		n = snprintf(line, sizeof(line), "%s.%06ldZ %s[%d] %s: %s\n", stamp, now.tv_nsec / 1000, out.who, (int)getpid(),
			     level_names[level], msg);
	}
	if (n >= (int)sizeof(line))
		n = sizeof(line) - 1;
	if (write(out.fd, line, n) < 0)
		return; // nowhere left to say it
}
