// config.json into structs: numbers and lists as written, defaults where nothing is, and complaints that name the field.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <string.h>
#include <sys/resource.h>

#include "runtime/err.h"
#include "runtime/oci/spec.h"

#define PROCESS "\"process\":{\"cwd\":\"/\",\"args\":[\"a\"]}"
#define CONFIG(more) "{\"ociVersion\":\"1.0.2\",\"root\":{\"path\":\"r\"}," PROCESS more "}"

static void parse(const char *text, struct oci_spec *out)
{
	struct err *err = NULL;

	if (oci_spec_parse(text, strlen(text), out, &err) < 0)
		fail_msg("%s", err_text(err));
}

static void assert_refused(const char *text, const char *why)
{
	struct oci_spec spec;
	struct err *err = NULL;

	assert_int_equal(oci_spec_parse(text, strlen(text), &spec, &err), -1);
	if (!strstr(err_text(err), why))
		fail_msg("expected \"%s\" in \"%s\"", why, err_text(err));
	err_free(err);
	oci_spec_free(&spec);
}

static void fills_in_what_is_absent(void **state)
{
	struct oci_spec spec;

	parse(CONFIG(""), &spec);
	assert_string_equal(spec.process.args.items[0], "a");
	assert_null(spec.process.args.items[1]);
	assert_null(spec.process.env.items[0]);
	assert_int_equal(spec.process.user.umask, -1);
	assert_int_equal(spec.process.oom_score_adj, OOM_SCORE_UNSET);
	assert_true(spec.linux_.resources.memory.limit == RESOURCE_UNSET);
	assert_int_equal(spec.unsupported.count, 0);
	oci_spec_free(&spec);
}

static void reads_large_numbers(void **state)
{
	struct oci_spec spec;
	const char *text = "{\"ociVersion\":\"1.0.2\",\"root\":{\"path\":\"r\"},\"process\":{\"cwd\":\"/\",\"args\":[\"a\"],\"rlimits\":"
			   "[{\"type\":\"RLIMIT_CORE\",\"soft\":7,\"hard\":18446744073709551615}]}}";

	parse(text, &spec);
	assert_int_equal(spec.process.rlimits.items[0].resource, RLIMIT_CORE);
	assert_int_equal(spec.process.rlimits.items[0].soft, 7);
	assert_true(spec.process.rlimits.items[0].hard == UINT64_MAX);
	oci_spec_free(&spec);
}

static void sorts_mount_options(void **state)
{
	struct oci_spec spec;

	parse(CONFIG(",\"mounts\":[{\"destination\":\"/m\",\"type\":\"tmpfs\",\"options\":[\"nosuid\",\"ro\",\"rw\",\"size=1k\",\"noatime\","
		     "\"mode=700\"]},{\"destination\":\"/b\",\"source\":\"s\",\"options\":[\"rbind\",\"ro\"]}]"), &spec);
	assert_true(spec.mounts.items[0].nosuid && !spec.mounts.items[0].readonly && !spec.mounts.items[0].bind);
	assert_string_equal(spec.mounts.items[0].data, "size=1k,mode=700");
	assert_true(spec.mounts.items[1].bind && spec.mounts.items[1].recursive && spec.mounts.items[1].readonly);
	assert_null(spec.mounts.items[1].data);
	oci_spec_free(&spec);
}

static void names_what_has_no_effect(void **state)
{
	struct oci_spec spec;

	parse(CONFIG(",\"domainname\":\"d\",\"x\":{},\"linux\":{\"sysctl\":{},\"seccomp\":{\"defaultAction\":\"A\"},"
		     "\"resources\":{\"memory\":{\"limit\":5,\"swappiness\":1}}}"), &spec);
	assert_int_equal(spec.unsupported.count, 3);
	assert_string_equal(spec.unsupported.items[0], "domainname");
	assert_string_equal(spec.unsupported.items[1], "linux.resources.memory.swappiness");
	assert_string_equal(spec.unsupported.items[2], "linux.seccomp");
	assert_int_equal(spec.linux_.resources.memory.limit, 5);
	oci_spec_free(&spec);
}

static void refuses_by_path(void **state)
{
	assert_refused("", "config.json: line 1");
	assert_refused("{}", "config.json: ociVersion: missing");
	assert_refused(CONFIG(",\"mounts\":[{\"destination\":\"/a\",\"type\":\"proc\"},{\"destination\":5}]"),
		       "config.json: mounts[1].destination: expected a string");
	assert_refused(CONFIG(",\"annotations\":{\"k\":[]}"), "annotations.k: expected a string");
	assert_refused(CONFIG(",\"linux\":{\"resources\":{\"pids\":{\"limit\":\"9\"}}}"), "linux.resources.pids.limit");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(fills_in_what_is_absent), cmocka_unit_test(reads_large_numbers), cmocka_unit_test(sorts_mount_options),
		cmocka_unit_test(names_what_has_no_effect), cmocka_unit_test(refuses_by_path),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
