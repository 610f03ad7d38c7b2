// Errors for the operator: one sentence, with context added in front on the way out.
//
// A function that can fail takes `struct err **err` last and returns 0, or -1 with *err set. err_set and err_wrap return -1,
// so that a failure is one statement.
#pragma once

struct err;

int err_set(struct err **err, const char *fmt, ...) __attribute__((format(printf, 2, 3))); // replaces what was there
int err_wrap(struct err **err, const char *fmt, ...) __attribute__((format(printf, 2, 3))); // "context: what was there"
const char *err_text(const struct err *err);
void err_free(struct err *err);
