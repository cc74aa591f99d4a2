#include "tool/tar.h"

#include "base/clock.h"

#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

enum { BLOCK = 512, NAME_BYTES = 100, PREFIX_BYTES = 155, PATH_BYTES = NAME_BYTES + 1 + PREFIX_BYTES };

struct cox_tar {
	FILE *f;
	char *path;
	bool is_bad;
};

/* POSIX.1-1988, "ustar": numbers are octal text. */
struct head {
	char name[100], mode[8], uid[8], gid[8], size[12], mtime[12], sum[8], type, link[100], magic[6], version[2], user[32], group[32],
	    major[8], minor[8], prefix[155], pad[12];
};
_Static_assert(sizeof(struct head) == BLOCK, "one block");

enum cox_rc cox_tar_open(const char *path, struct cox_tar **out, struct cox_err *err)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	FILE *f = fd < 0 ? NULL : fdopen(fd, "w");
	if (!f) {
		if (fd >= 0)
			close(fd);
		return cox_err_set(err, COX_EIO, NULL, "%s cannot be written", path);
	}
	*out = COX_NEW(struct cox_tar);
	(*out)->f = f;
	(*out)->path = cox_str_dup_cstr(cox_str_of(path));
	return COX_OK;
}

static void put(struct cox_tar *t, const void *p, size_t n) { t->is_bad |= n && fwrite(p, 1, n, t->f) != n; }

/* Splits at a '/' so that both parts have room; a name that cannot be split is cut in front. */
static void name_set(struct head *h, struct cox_str name)
{
	char text[PATH_BYTES + 1];
	if (name.n > PATH_BYTES)
		name = cox_str_sub(name, name.n - PATH_BYTES, SIZE_MAX);
	for (size_t i = 0; i < name.n; i++)
		text[i] = (name.p[i] >= '!' && name.p[i] <= '~') ? name.p[i] : '_';
	size_t cut = 0;
	for (size_t i = 1; i + 1 < name.n && name.n > NAME_BYTES && !cut; i++)
		if (text[i] == '/' && i <= PREFIX_BYTES && name.n - i - 1 <= NAME_BYTES)
			cut = i;
	if (name.n <= NAME_BYTES) {
		memcpy(h->name, text, name.n);
	} else if (cut) {
		memcpy(h->prefix, text, cut);
		memcpy(h->name, text + cut + 1, name.n - cut - 1);
	} else {
		memcpy(h->name, text + name.n - NAME_BYTES, NAME_BYTES);
	}
}

static void number(char *to, size_t width, unsigned long long v)
{
	for (size_t i = width - 1; i-- > 0; v >>= 3)
		to[i] = (char)('0' + (v & 7));
	to[width - 1] = 0;
}

enum cox_rc cox_tar_add(struct cox_tar *t, struct cox_str name, struct cox_str bytes, struct cox_err *err)
{
	static const char zeros[BLOCK];
	struct head h = { .type = '0', .magic = "ustar", .version = { '0', '0' } };
	unsigned sum = 0;
	name_set(&h, name);
	number(h.mode, sizeof(h.mode), 0600);
	number(h.uid, sizeof(h.uid), 0);
	number(h.gid, sizeof(h.gid), 0);
	number(h.size, sizeof(h.size), bytes.n);
	number(h.mtime, sizeof(h.mtime), (unsigned long long)(cox_clock_wall_ms() / 1000));
	memset(h.sum, ' ', sizeof(h.sum));
	for (size_t i = 0; i < sizeof(h); i++)
		sum += ((const unsigned char *)&h)[i];
	number(h.sum, 7, sum);
	put(t, &h, sizeof(h));
	put(t, bytes.p, bytes.n);
	if (bytes.n % BLOCK)
		put(t, zeros, BLOCK - bytes.n % BLOCK);
	return t->is_bad ? cox_err_set(err, COX_EIO, NULL, "%s cannot be written", t->path) : COX_OK;
}

enum cox_rc cox_tar_close(struct cox_tar **tp, struct cox_err *err)
{
	static const char end[2 * BLOCK];
	struct cox_tar *t = COX_MOVE(*tp);
	if (!t)
		return COX_OK;
	put(t, end, sizeof(end));
	t->is_bad |= fclose(t->f) != 0;
	enum cox_rc rc = t->is_bad ? cox_err_set(err, COX_EIO, NULL, "%s is not whole", t->path) : COX_OK;
	cox_free(t->path);
	cox_free(t);
	return rc;
}
