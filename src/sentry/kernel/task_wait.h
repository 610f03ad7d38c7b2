// The waits of a parked task, for the scheduler and for exit.
#pragma once

struct task;

void task_waits_clear(struct task *t); // unlinks all and disarms the block timer
