// hull pause and resume: their places; stopping a sandbox comes with checkpoints.
#include "runtime/cmd/cmd.h"

#include "runtime/err.h"

static const struct flag flags[] = {{}};

static int run_pause(const struct settings *s, const void *options, int argc, char **argv, struct err **err)
{
	return err_set(err, "pause is not supported yet");
}

static int run_resume(const struct settings *s, const void *options, int argc, char **argv, struct err **err)
{
	return err_set(err, "resume is not supported yet");
}

const struct verb verb_pause = {
	.name = "pause", .usage = "ID", .summary = "stop all processes of a container (not supported yet)", .flags = flags, .run = run_pause};
const struct verb verb_resume = {
	.name = "resume", .usage = "ID", .summary = "let them go on (not supported yet)", .flags = flags, .run = run_resume};
