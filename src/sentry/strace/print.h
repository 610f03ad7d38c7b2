// Decoded values as text. All append to a bounded buffer.
#pragma once

#include <stddef.h>
#include <stdint.h>

struct sys_arg;

struct text {
	char *buf; // always terminated
	size_t cap, len;
};

void text_add(struct text *x, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
// Bytes as a C string, "…" cut at max; more: something was left out behind them.
void text_bytes(struct text *x, const void *bytes, size_t len, size_t max, int more);
// A number by its name in the set; without one in decimal (small or negative) or hex.
void print_named(struct text *x, uint32_t flagset, uint64_t value);
void print_flags(struct text *x, uint32_t flagset, uint64_t value);
void print_signal(struct text *x, int64_t sig);
// What the index-th argument behind the one of this value is (by.def): NULL if value isn't known there.
const struct sys_arg *arg_decided(uint32_t flagset, uint64_t value, unsigned index);
// A struct of len bytes, known by its argument's name. 0 if that name isn't known (print the address then).
int print_object(struct text *x, const char *name, const void *bytes, size_t len);
void print_result(struct text *x, const char *call, long ret);
