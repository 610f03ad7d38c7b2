// The tracee's memory and extended state: the slots of platform.h, carried out at once.
#pragma once

#include "platform/ptrace/ptrace_int.h"

void memory_op_failed(struct platform_ctx *ctx, uint32_t op_tag, int err);
uint32_t memory_xstate_size(void);
uint64_t memory_xstate_features(void);
int memory_save_xstate(struct platform_ctx *ctx, uaddr_t dst);
int memory_load_xstate(struct platform_ctx *ctx, uaddr_t src, uint64_t features);
int memory_reset_xstate(struct platform_ctx *ctx);
int memory_copy_in(struct platform_ctx *ctx, void *dst, uaddr_t src, size_t len);
long memory_copy_in_str(struct platform_ctx *ctx, char *dst, uaddr_t src, size_t cap);
int memory_copy_out(struct platform_ctx *ctx, uaddr_t dst, const void *src, size_t len);
void *memory_copy_out_reserve(struct platform_ctx *ctx, uaddr_t dst, size_t len);
void memory_copy_out_commit(struct platform_ctx *ctx, size_t len);
const void *memory_peek_in(struct platform_ctx *ctx, uaddr_t src, size_t len);
int memory_cmpxchg32(struct platform_ctx *ctx, uaddr_t addr, uint32_t expected, uint32_t desired, uint32_t *actual);
int memory_map_anon(struct platform_ctx *ctx, uint32_t op_tag, uaddr_t addr, uint64_t len, int prot, bool noreserve);
int memory_map_file(struct platform_ctx *ctx, uint32_t op_tag, uaddr_t addr, uint64_t len, int prot, bool shared,
		    struct hostfd *file, uint64_t offset);
int memory_unmap(struct platform_ctx *ctx, uint32_t op_tag, uaddr_t addr, uint64_t len);
int memory_protect(struct platform_ctx *ctx, uint32_t op_tag, uaddr_t addr, uint64_t len, int prot);
int memory_remap(struct platform_ctx *ctx, uint32_t op_tag, uaddr_t addr, uint64_t len, uaddr_t new_addr, uint64_t new_len,
		 int flags);
int memory_advise(struct platform_ctx *ctx, uint32_t op_tag, uaddr_t addr, uint64_t len, int advice);
int memory_barrier(struct platform_ctx *ctx, uint32_t op_tag);
int memory_unmap_all(struct platform_ctx *ctx, uint32_t op_tag);
int memory_flush(struct platform_ctx *ctx);
