// What the sentry writes into the vDSO's image before the first program starts: shared by both sides.
#pragma once

#include <stdint.h>

#define VDSO_MAGIC_0 0x6f736476206c6c75ull // where the parameters lie in the image
#define VDSO_MAGIC_1 0x736d617261702072ull

struct vdso_params {
	uint64_t magic[2];
	// The host's own vDSO functions, which lie at a fixed place in every address space; 0: make a system call.
	uint64_t clock_gettime, gettimeofday, time, clock_getres, getcpu;
};
