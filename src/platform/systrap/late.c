// Late calls, on the sentry's side: the leave to make them, and what is told of them. See stub/late.c.
#include "platform/systrap/systrap_int.h"

#include <string.h>

#include "lib/container_of.h"

_Static_assert(LATE_MAX == PLATFORM_LATE_MAX && sizeof(struct late_call) == sizeof(struct platform_late), "late calls");

void systrap_set_late(struct platform_ctx *ctx, bool may, const struct platform_room *room)
{
	struct slot_late *l = slot_late(ctx->slot);

	l->close = may;
	l->memory = may && room;
	if (!room)
		return;
	l->brk_start = room->brk_start;
	l->brk = room->brk;
	l->brk_limit = room->brk_limit;
	l->bottom = room->bottom;
	l->top = room->top;
	l->hole = room->hole;
}

// Its stub waits, but another thread that the application made behind our back may go on writing there: so each is copied before anybody looks.
unsigned systrap_late_calls(struct platform_ctx *ctx, struct platform_late out[PLATFORM_LATE_MAX])
{
	struct slot_late *l = slot_late(ctx->slot);
	const uint32_t n = MIN(*(volatile uint32_t *)&l->n, (uint32_t)LATE_MAX);

	memcpy(out, l->calls, n * sizeof(*out));
	__atomic_store_n(&l->n, 0, __ATOMIC_RELEASE);
	return n;
}

bool systrap_late_untold(struct platform_ctx *ctx)
{
	return __atomic_load_n(&slot_late(ctx->slot)->n, __ATOMIC_ACQUIRE) != 0;
}
