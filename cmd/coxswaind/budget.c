#include "budget.h"
#include "env.h"

#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/metric.h"

#include <malloc.h>

enum {
	LOOK_MS = 250,     /* a burst of proxies takes some MiB in this time */
	RELIEVE_MS = 5000, /* what was ended is freed, and has found another replica, before more is */
	RELIEVE_PARTS = 10,
	SHED_PERCENT = 90,
	CALM_PERCENT = 85,   /* else it would flap with every translation's scratch memory */
	CGROUP_PERCENT = 90, /* the kernel counts the page cache, too */
};

struct budget {
	struct daemon *d;
	struct cox_timer *timer;
	size_t limit;
	bool sheds;
	int64_t relieved_ms;
};

static void set_shedding(struct budget *b, bool sheds, size_t resident)
{
	b->sheds = sheds;
	if (sheds)
		malloc_trim(0);
	cox_metric_set(COX_M_MEMORY_SHEDS, NULL, sheds);
	cox_log(sheds ? COX_LOG_ERROR : COX_LOG_INFO, "main", "%s resident_mib=%zu limit_mib=%zu streams=%zu",
	        sheds ? "memory is used up: new proxies are refused" : "memory suffices again: new proxies are taken", resident >> 20,
	        b->limit >> 20, cox_xds_server_streams(b->d->xds));
	cox_xds_server_shed(b->d->xds, sheds);
}

static void look(void *arg)
{
	struct budget *b = arg;
	size_t resident = cox_memory_resident_bytes();
	int64_t now = cox_clock_mono_ms();
	if (!b->d->xds || b->d->is_ending)
		return;
	if (!b->sheds && resident >= b->limit / 100 * SHED_PERCENT)
		set_shedding(b, true, resident);
	else if (b->sheds && resident < b->limit / 100 * CALM_PERCENT)
		set_shedding(b, false, resident);
	if (resident < b->limit || now - b->relieved_ms < RELIEVE_MS || cox_xds_server_streams(b->d->xds) == 0)
		return;
	b->relieved_ms = now;
	cox_log(COX_LOG_ERROR, "main", "memory is over its limit: some proxies are sent away resident_mib=%zu limit_mib=%zu streams=%zu",
	        resident >> 20, b->limit >> 20, cox_xds_server_streams(b->d->xds));
	cox_xds_server_relieve(b->d->xds, RELIEVE_PARTS);
	malloc_trim(0);
}

/* 0: none. */
static size_t cgroup_limit(void)
{
	struct cox_buf text = { 0 };
	uint64_t bytes = 0;
	if (cox_file_read("/sys/fs/cgroup/memory.max", 64, &text, NULL) != COX_OK ||
	    cox_str_to_u64(cox_str_trim(cox_buf_str(&text)), &bytes) != COX_OK)
		bytes = 0;
	cox_buf_fini(&text);
	return (size_t)(bytes / 100 * CGROUP_PERCENT);
}

enum cox_rc budget_start(struct daemon *d, struct cox_err *err)
{
	struct cox_str text = cox_str_of(d->flags.memory_limit ? d->flags.memory_limit : env_given(ENV_COXSWAIN_MEMORY_LIMIT));
	size_t limit = 0;
	if (text.n == 0)
		limit = cgroup_limit();
	else if (!cox_str_eq_cstr(text, "0") && cox_memory_parse(text, &limit) != COX_OK)
		return cox_err_set(err, COX_EINVAL, NULL, "--memoryLimit: \"%.*s\" is no amount of memory such as 512Mi", COX_FMT(text));
	cox_metric_set(COX_M_MEMORY_LIMIT, NULL, (double)limit);
	if (limit == 0)
		return COX_OK;
	struct budget *b = d->budget = COX_NEW(struct budget);
	b->d = d;
	b->limit = limit;
	b->timer = cox_timer_new(d->loop, look, b);
	cox_timer_start(b->timer, LOOK_MS, LOOK_MS);
	return COX_OK;
}

void budget_stop(struct daemon *d)
{
	if (!d->budget)
		return;
	cox_timer_free(&d->budget->timer);
	cox_free(d->budget);
	d->budget = NULL;
}
