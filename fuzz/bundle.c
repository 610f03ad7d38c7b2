// libFuzzer target: config.json, and a process object as `exec --process` takes it, through the decoder.
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/err.h"
#include "runtime/oci/spec.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

// What every later step relies on.
static void check_process(const struct oci_process *p)
{
	if (!p->args.count || !p->args.items[0] || p->args.items[p->args.count] || p->env.items[p->env.count] || p->cwd[0] != '/')
		abort();
	for (size_t i = 0; i < p->rlimits.count; i++)
		if (p->rlimits.items[i].resource < 0 || p->rlimits.items[i].soft > p->rlimits.items[i].hard)
			abort();
}

static void check_spec(const struct oci_spec *s)
{
	check_process(&s->process);
	for (size_t i = 0; i < s->mounts.count; i++)
		if (s->mounts.items[i].destination[0] != '/' || (!s->mounts.items[i].bind && !s->mounts.items[i].type))
			abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct oci_spec spec;
	struct err *err = NULL;

	if (oci_spec_parse((const char *)data, size, &spec, &err) == 0)
		check_spec(&spec);
	else if (!*err_text(err))
		abort();
	oci_spec_free(&spec);
	err_free(err);
	err = NULL;
	if (oci_process_parse((const char *)data, size, &spec, &err) == 0)
		check_process(&spec.process);
	oci_spec_free(&spec);
	err_free(err);
	return 0;
}
