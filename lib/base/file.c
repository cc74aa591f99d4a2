#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

static enum cox_rc refuse(int number, const char *path, struct cox_err *err)
{
	enum cox_rc rc = number == ENOENT || number == ENOTDIR ? COX_ENOTFOUND
	                 : number == EACCES || number == EPERM ? COX_EDENIED
	                                                       : COX_EIO;
	const char *text = rc == COX_ENOTFOUND ? "there is no such file" : rc == COX_EDENIED ? "it may not be read" : "it cannot be read";
	return cox_err_set(err, rc, NULL, "%s: %s", path, text);
}

static enum cox_rc read_all(int fd, const char *path, size_t max_bytes, struct cox_buf *out, struct cox_err *err)
{
	enum cox_rc rc = COX_OK;
	size_t before = out->n;
	for (;;) {
		char *to = cox_buf_reserve(out, 16384);
		ssize_t n = read(fd, to, 16384);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			rc = refuse(errno, path, err);
		if (n <= 0)
			break;
		out->n += (size_t)n;
		if (out->n - before > max_bytes) {
			rc = cox_err_set(err, COX_ELIMIT, NULL, "%s: longer than %zu bytes", path, max_bytes);
			break;
		}
	}
	if (rc != COX_OK)
		out->n = before;
	return rc;
}

static enum cox_rc read_path(const char *path, int flags, size_t max_bytes, struct cox_buf *out, struct cox_err *err)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | flags);
	if (fd < 0)
		return refuse(errno, path, err);
	enum cox_rc rc = read_all(fd, path, max_bytes, out, err);
	close(fd);
	return rc;
}

enum cox_rc cox_file_read(const char *path, size_t max_bytes, struct cox_buf *out, struct cox_err *err)
{
	return read_path(path, O_NONBLOCK, max_bytes, out, err);
}

enum cox_rc cox_file_read_arg(const char *path, size_t max_bytes, struct cox_buf *out, struct cox_err *err)
{
	if (strcmp(path, "-") == 0)
		return read_all(STDIN_FILENO, "standard input", max_bytes, out, err);
	return read_path(path, 0, max_bytes, out, err);
}

enum cox_rc cox_file_write(const char *path, unsigned mode, struct cox_str text, struct cox_err *err)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, (mode_t)mode);
	bool is_good = fd >= 0 && fchmod(fd, (mode_t)mode) == 0;
	while (is_good && text.n) {
		ssize_t n = write(fd, text.p, text.n);
		if (n < 0 && errno == EINTR)
			continue;
		is_good = n > 0;
		text = is_good ? cox_str_sub(text, (size_t)n, SIZE_MAX) : text;
	}
	if (fd >= 0)
		is_good &= close(fd) == 0;
	return is_good ? COX_OK : cox_err_set(err, COX_EIO, NULL, "%s cannot be written", path);
}
