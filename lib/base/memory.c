#include "base/memory.h"

#include "base/str.h"

#include <fcntl.h>
#include <string.h>
#include <unistd.h>

/* /proc/self/statm: "size resident shared ..." in pages. */
size_t cox_memory_resident_bytes(void)
{
	char text[128];
	struct cox_str rest, size, resident;
	uint64_t pages;
	int fd = open("/proc/self/statm", O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return 0;
	ssize_t n = read(fd, text, sizeof(text));
	close(fd);
	rest = cox_str_make(text, n > 0 ? (size_t)n : 0);
	if (!cox_str_next(&rest, ' ', &size) || !cox_str_next(&rest, ' ', &resident) || cox_str_to_u64(resident, &pages) != COX_OK)
		return 0;
	return (size_t)pages * (size_t)sysconf(_SC_PAGESIZE);
}

enum cox_rc cox_memory_parse(struct cox_str text, size_t *bytes)
{
	static const struct {
		const char *suffix;
		double factor;
	} units[] = { { "Ki", 1024 }, { "Mi", 1024 * 1024 }, { "Gi", 1024.0 * 1024 * 1024 }, { "k", 1e3 }, { "M", 1e6 }, { "G", 1e9 },
		      { "", 1 } };
	for (size_t i = 0; i < COX_LEN(units); i++) {
		struct cox_str suffix = cox_str_of(units[i].suffix);
		double number;
		if (text.n <= suffix.n || !cox_str_eq(cox_str_sub(text, text.n - suffix.n, SIZE_MAX), suffix))
			continue;
		if (cox_str_to_f64(cox_str_sub(text, 0, text.n - suffix.n), &number) != COX_OK || !(number >= 1) ||
		    number * units[i].factor > 1e15)
			return COX_EINVAL;
		*bytes = (size_t)(number * units[i].factor);
		return COX_OK;
	}
	return COX_EINVAL;
}
