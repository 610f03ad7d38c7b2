// The log of every Hull process: levels, one line a message, to a descriptor that was opened at start.
// A level that is off costs one load and a branch. Messages name the thing and the errno; none goes to the application.
#pragma once

#include <stdbool.h>

enum log_level { LOG_ERROR, LOG_WARNING, LOG_INFO, LOG_DEBUG };

extern enum log_level log_threshold; // messages above it are dropped

// Sends the log to fd (borrowed, stays open) from now on; json chooses runsc's --log-format=json. who: "sentry", "gofer", "hull".
void log_init(int fd, enum log_level threshold, bool json, const char *who);
void log_write(enum log_level level, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

#define log_at(level, ...) \
	do { \
		if ((level) <= log_threshold) \
			log_write((level), __VA_ARGS__); \
	} while (0)
#define log_error(...) log_at(LOG_ERROR, __VA_ARGS__)
#define log_warning(...) log_at(LOG_WARNING, __VA_ARGS__)
#define log_info(...) log_at(LOG_INFO, __VA_ARGS__)
#define log_debug(...) log_at(LOG_DEBUG, __VA_ARGS__)
