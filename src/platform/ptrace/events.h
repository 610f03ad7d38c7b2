// Stops of tracees become events.
#pragma once

#include "platform/ptrace/ptrace_int.h"

int events_start(void);
void events_add(struct platform_ctx *ctx);
void events_remove(struct platform_ctx *ctx);
void events_ready(struct platform_ctx *ctx, const struct platform_event *ev); // an event without a stop
void events_unready(struct platform_ctx *ctx);
void events_let_exit(struct platform_ctx *ctx); // a stopped, dying context leaves its process
struct platform_ctx *events_poll(struct platform_event *out_event);
bool events_prepare_sleep(void);
void events_after_sleep(void);
int events_wait_fd(void);

void ctx_free(struct platform_ctx *ctx); // ptrace.c
