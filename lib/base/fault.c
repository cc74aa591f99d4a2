#include "base/fault.h"

#include <pthread.h>
#include <stdatomic.h>

enum { FAULTS_MAX = 16 };

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct {
	char name[48];
	uint64_t at, seen;
	bool always; /* fails from `at` on */
} faults[FAULTS_MAX];
_Atomic int cox_fault_count_;

static enum cox_rc parse_one(struct cox_str item, int i)
{
	ptrdiff_t colon = cox_str_find(item, ':');
	if (colon <= 0 || (size_t)colon >= sizeof(faults[i].name))
		return COX_EINVAL;
	struct cox_str number = cox_str_sub(item, (size_t)colon + 1, item.n);
	faults[i].always = cox_str_has_suffix(number, COX_STR("+"));
	number.n -= faults[i].always;
	faults[i].seen = 0;
	cox_str_to_cstr(cox_str_sub(item, 0, (size_t)colon), faults[i].name, sizeof(faults[i].name));
	return cox_str_to_u64(number, &faults[i].at);
}

enum cox_rc cox_fault_set(struct cox_str spec)
{
	enum cox_rc rc = COX_OK;
	struct cox_str item;
	int n = 0;
	pthread_mutex_lock(&lock);
	while (rc == COX_OK && spec.n && cox_str_next(&spec, ',', &item))
		rc = n < FAULTS_MAX ? parse_one(item, n++) : COX_ELIMIT;
	cox_fault_count_ = rc == COX_OK ? n : 0;
	pthread_mutex_unlock(&lock);
	return rc;
}

bool cox_fault_hit_(const char *name)
{
	bool hit = false;
	pthread_mutex_lock(&lock);
	for (int i = 0; i < cox_fault_count_; i++)
		if (!strcmp(faults[i].name, name)) {
			uint64_t seen = ++faults[i].seen;
			hit |= seen == faults[i].at || (faults[i].always && seen > faults[i].at);
		}
	pthread_mutex_unlock(&lock);
	return hit;
}
