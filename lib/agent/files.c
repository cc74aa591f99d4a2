#include "agent/files.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

enum { STEP_BYTES = 16384, NS_PER_S = 1000000000, PATH_BYTES = 4096 };

enum cox_rc cox_agent_file_read(const char *path, struct cox_buf *out, struct cox_err *err)
{
	struct stat st;
	size_t start = out->n;
	ssize_t n = -1;
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK); /* a pipe in its place must not hold us */
	if (fd < 0)
		return cox_err_set(err, errno == ENOENT || errno == ENOTDIR ? COX_ENOTFOUND : COX_EIO, NULL, "cannot open %s", path);
	bool is_file = fstat(fd, &st) == 0 && S_ISREG(st.st_mode);
	if (is_file && st.st_size > 0 && st.st_size < COX_AGENT_FILE_BYTES_MAX)
		cox_buf_reserve(out, (size_t)st.st_size + STEP_BYTES); /* growing would leave copies of a key behind */
	while (is_file && out->n - start <= COX_AGENT_FILE_BYTES_MAX &&
	       ((n = read(fd, cox_buf_reserve(out, STEP_BYTES), STEP_BYTES)) > 0 || (n < 0 && errno == EINTR)))
		out->n += n > 0 ? (size_t)n : 0;
	close(fd);
	if (out->n - start > COX_AGENT_FILE_BYTES_MAX)
		return cox_err_set(err, COX_ELIMIT, NULL, "%s is longer than %d bytes", path, COX_AGENT_FILE_BYTES_MAX);
	return n == 0 ? COX_OK : cox_err_set(err, COX_EIO, NULL, "cannot read %s", path);
}

static bool write_all(int fd, struct cox_str bytes)
{
	while (bytes.n != 0) {
		ssize_t n = write(fd, bytes.p, bytes.n);
		if (n < 0 && errno != EINTR)
			return false;
		bytes = cox_str_sub(bytes, n > 0 ? (size_t)n : 0, bytes.n);
	}
	return true;
}

enum cox_rc cox_agent_file_write(const char *dir, const char *name, unsigned mode, struct cox_str bytes, struct cox_err *err)
{
	char path[PATH_BYTES], part[PATH_BYTES];
	if (snprintf(path, sizeof(path), "%s/%s", dir, name) >= (int)sizeof(path) ||
	    snprintf(part, sizeof(part), "%s/.%s.part", dir, name) >= (int)sizeof(part))
		return cox_err_set(err, COX_ELIMIT, NULL, "the path of %s is too long", name);
	unlink(part); /* of a write that was cut off */
	int fd = open(part, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, mode);
	bool ok = fd >= 0 && write_all(fd, bytes);
	if (fd >= 0)
		ok = close(fd) == 0 && ok && rename(part, path) == 0;
	return ok ? COX_OK : cox_err_set(err, COX_EIO, NULL, "cannot write %s", path);
}

struct cox_agent_file_stamp cox_agent_file_stamp(const char *path)
{
	struct stat st;
	if (stat(path, &st) != 0)
		return (struct cox_agent_file_stamp){ 0 };
	return (struct cox_agent_file_stamp){ st.st_dev, st.st_ino, (uint64_t)st.st_size,
		                              (uint64_t)st.st_mtim.tv_sec * NS_PER_S + (uint64_t)st.st_mtim.tv_nsec };
}

bool cox_agent_file_stamp_eq(const struct cox_agent_file_stamp *a, const struct cox_agent_file_stamp *b)
{
	return a->device == b->device && a->inode == b->inode && a->bytes == b->bytes && a->changed_ns == b->changed_ns;
}
