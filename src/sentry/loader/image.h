// An executable as the loader holds it before the point of no return.
#pragma once

#include "sentry/loader/elf.h"

struct file;
struct task;

enum { SCRIPT_DEPTH_MAX = 5 };

struct image {
	struct file *exe, *interp; // counted; interp NULL: none
	struct elf_image elf, interp_elf;
	char **argv; // with what scripts put before it; owned, its strings borrowed or in kept
	char *kept[2 * SCRIPT_DEPTH_MAX + SCRIPT_DEPTH_MAX];
	int nkept;
};

// Opens and checks everything that can fail: follows #! lines, parses the program and its interpreter. 0 or -errno (ENOEXEC, ELIBBAD, ELOOP …).
int image_prepare(struct task *t, struct file *file, const char *filename, char *const *argv, struct image *out);
void image_fini(struct image *img);
