// A bundle.
#include "runtime/oci/bundle.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/log.h"
#include "runtime/err.h"
#include "runtime/oci/spec.h"

enum { CONFIG_MAX = 16 << 20 };

int bundle_read_file(const char *path, unsigned long max_bytes, char **out, unsigned long *out_len, struct err **err)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	struct stat st;
	size_t len = 0;
	ssize_t n;

	*out = NULL;
	if (fd < 0)
		return err_set(err, "cannot open %s: %m", path);
	if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode)) {
		close(fd);
		return err_set(err, "%s is not a file", path);
	}
	if ((uint64_t)st.st_size > max_bytes || !(*out = malloc(st.st_size + 1))) {
		close(fd);
		return err_set(err, "%s is too large", path);
	}
	while (len < (size_t)st.st_size && (n = read(fd, *out + len, st.st_size - len)) > 0)
		len += n;
	close(fd);
	(*out)[len] = 0;
	*out_len = len;
	return 0;
}

static int find_root(const char *path, struct bundle *b, struct err **err)
{
	char *joined = NULL;
	struct stat st;

	if (path[0] != '/' && asprintf(&joined, "%s/%s", b->dir, path) < 0)
		return err_set(err, "out of memory");
	b->root = realpath(joined ?: path, NULL);
	free(joined);
	if (!b->root)
		return err_set(err, "config.json: root.path: cannot find \"%s\": %m", path);
	if (stat(b->root, &st) < 0 || !S_ISDIR(st.st_mode))
		return err_set(err, "config.json: root.path: \"%s\" is not a folder", path);
	return 0;
}

int bundle_load(const char *dir, struct bundle *out, struct oci_spec *out_spec, struct err **err)
{
	char *path, *text;
	unsigned long len;
	int ret;

	*out = (struct bundle){.dir = realpath(dir, NULL)};
	*out_spec = (struct oci_spec){0};
	if (!out->dir)
		return err_set(err, "cannot find the bundle %s: %m", dir);
	if (asprintf(&path, "%s/config.json", out->dir) < 0)
		return err_set(err, "out of memory");
	ret = bundle_read_file(path, CONFIG_MAX, &text, &len, err);
	if (ret == 0)
		ret = oci_spec_parse(text, len, out_spec, err);
	free(text);
	free(path);
	if (ret < 0 || find_root(out_spec->root.path, out, err) < 0)
		return -1;
	for (size_t i = 0; i < out_spec->unsupported.count; i++)
		log_warning("config.json: %s: not supported yet, ignored", out_spec->unsupported.items[i]);
	for (size_t i = 0; i < out_spec->linux_.namespaces.count; i++)
		if (out_spec->linux_.namespaces.items[i].path)
			log_warning("config.json: linux.namespaces[%zu].path: not supported yet, ignored", i);
	return 0;
}

void bundle_free(struct bundle *b)
{
	free(b->dir);
	free(b->root);
	*b = (struct bundle){0};
}
