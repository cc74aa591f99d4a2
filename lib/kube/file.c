#include "kube/file.h"

#include "base/hash.h"

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

enum cox_rc cox_kube_file_read(const char *path, struct cox_buf *out, struct cox_err *err)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK); /* a named pipe must not block the loop */
	if (fd < 0)
		return refuse(errno, path, err);
	enum cox_rc rc = COX_OK;
	size_t before = out->n;
	for (;;) {
		char *to = cox_buf_reserve(out, 4096);
		ssize_t n = read(fd, to, 4096);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			rc = refuse(errno, path, err);
		if (n <= 0)
			break;
		out->n += (size_t)n;
		if (out->n - before > COX_KUBE_FILE_BYTES_MAX) {
			rc = cox_err_set(err, COX_ELIMIT, NULL, "%s: longer than 1 MiB", path);
			break;
		}
	}
	close(fd);
	if (rc != COX_OK)
		out->n = before;
	return rc;
}

uint64_t cox_kube_file_stamp(const char *path)
{
	struct stat st;
	if (stat(path, &st) != 0)
		return 0;
	uint64_t parts[] = { (uint64_t)st.st_dev, (uint64_t)st.st_ino, (uint64_t)st.st_size, (uint64_t)st.st_mtim.tv_sec,
		             (uint64_t)st.st_mtim.tv_nsec };
	uint64_t stamp = cox_hash64(parts, sizeof(parts));
	return stamp ? stamp : 1;
}
