// Where the instructions that the platform can make cheaper lie in a program's code: system calls, and cpuid, which a virtual machine's host answers.
#pragma once

#include "abi/types.h"

struct file;
struct elf_segment;
struct task;

enum { CODE_CALLS_MAX = 192 };

// Finds them in code: the offsets of what follows each, of no more than max. Only pages that hold several count, since a page that is changed becomes
// the process's own. -1: this isn't just one instruction after the other, so nobody knows.
int code_calls_find(const uint8_t *code, size_t len, uint32_t *out, int max);
// How long the instruction is that begins at the first of n bytes; 0: it isn't known, or there are too few.
unsigned code_insn_len(const uint8_t *code, size_t n);

// Tells the platform of those in the segment of f that t has just mapped at bias: not at a file's first executions, as that takes as long as one.
void code_calls_tell(struct task *t, struct file *f, const struct elf_segment *s, uaddr_t bias);
