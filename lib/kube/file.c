#include "kube/file.h"

#include "base/file.h"
#include "base/hash.h"

#include <sys/stat.h>

enum cox_rc cox_kube_file_read(const char *path, struct cox_buf *out, struct cox_err *err)
{
	return cox_file_read(path, COX_KUBE_FILE_BYTES_MAX, out, err);
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
