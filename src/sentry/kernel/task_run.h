// What happens to a task between two stays with the application.
#pragma once

#include "platform/platform.h"
#include "sentry/kernel/task.h"

// An event of its context: handles it, up to sending the task back, parking or ending it. t may be gone afterwards.
void task_event(struct task *t, const struct platform_event *event);
// A parked task was woken: goes on with its call or its group stop. t may be gone afterwards.
void task_continue(struct task *t);
// The host could not make the child of a clone (op_tag has TASK_OP_CLONE; err is positive): undoes it. Answers the call's result. task_clone.c.
long task_clone_failed(struct task *t, int err);
// t's call, which is to answer ret, made a child, and t may stop or end before it goes back: has the host make the child now. What the call
// answers then. May wait for the stub.
long task_clone_settle(struct task *t, long ret);

#define TASK_OP_CLONE 0x80000000u // the op tags of clones; all others are the memory's
