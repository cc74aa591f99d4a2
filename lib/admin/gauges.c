/* gauges - figures that are read when somebody asks for /metrics: of the process, and of the registry (on the config loop). */
#include "admin/admin_priv.h"

#include "base/clock.h"
#include "base/metric.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

/* The nth number (from 0) of /proc/self/statm, in bytes. */
static double statm_bytes(int nth)
{
	char text[128];
	int fd = open("/proc/self/statm", O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);
	struct cox_str rest = cox_str_make(text, n > 0 ? (size_t)n : 0), part = { 0 };
	int64_t pages = 0;
	if (fd >= 0)
		close(fd);
	for (int i = 0; i <= nth; i++)
		if (!rest.n || !cox_str_next(&rest, ' ', &part))
			return 0;
	return cox_str_to_i64(part, &pages) == COX_OK ? (double)pages * (double)sysconf(_SC_PAGESIZE) : 0;
}

static double cpu_seconds(void)
{
	struct timespec t;
	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static double open_fds(void)
{
	DIR *d = opendir("/proc/self/fd");
	double n = -1; /* the directory itself */
	if (!d)
		return 0;
	while (readdir(d))
		n++;
	closedir(d);
	return n - 2; /* "." and ".." */
}

static void set_process(const struct cox_admin *a)
{
	struct rlimit fds = { 0 };
	double up = (double)(cox_clock_mono_ms() - a->started_ms) / 1000;
	cox_metric_set(COX_M_INFO, a->version, 1);
	cox_metric_set(COX_M_PILOT_INFO, a->version, 1);
	cox_metric_set(COX_M_UPTIME, NULL, up);
	cox_metric_set(COX_M_STARTED, NULL, (double)cox_clock_wall_ms() / 1000 - up);
	cox_metric_set(COX_M_VIRTUAL, NULL, statm_bytes(0));
	cox_metric_set(COX_M_RESIDENT, NULL, statm_bytes(1));
	cox_metric_set(COX_M_CPU, NULL, cpu_seconds());
	cox_metric_set(COX_M_OPEN_FDS, NULL, open_fds());
	if (getrlimit(RLIMIT_NOFILE, &fds) == 0)
		cox_metric_set(COX_M_MAX_FDS, NULL, (double)fds.rlim_cur);
}

static bool has_endpoint(const struct cox_svc_entry *e, const struct cox_svc_port *p)
{
	for (COX_EACH(struct cox_endpoint, x, e->endpoints->items))
		if (cox_str_eq(x->port_name, p->name) && (x->svc_port == 0 || x->svc_port == p->port))
			return true;
	return false;
}

static void set_registry(void *arg)
{
	const struct cox_admin *a = arg;
	const struct cox_svc_entry *all = NULL;
	size_t n = cox_registry_svcs(a->opts.registry, &all), empty = 0, empty_dns = 0, not_ready = 0;
	for (size_t i = 0; i < n; i++) {
		enum cox_resolution how = all[i].svc->resolution;
		for (COX_EACH(struct cox_svc_port, p, all[i].svc->ports)) {
			bool counts = how == COX_RES_EDS || how == COX_RES_DNS || how == COX_RES_DNS_RR;
			if (!counts || p->protocol == COX_PROTO_UDP || has_endpoint(&all[i], p))
				continue;
			empty += how == COX_RES_EDS;
			empty_dns += how != COX_RES_EDS;
		}
		for (COX_EACH(struct cox_endpoint, x, all[i].endpoints->items))
			not_ready += x->health == COX_UNHEALTHY;
	}
	cox_metric_set(COX_M_EDS_NO_INSTANCES, NULL, (double)empty);
	cox_metric_set(COX_M_DNS_NO_ENDPOINTS, NULL, (double)empty_dns);
	cox_metric_set(COX_M_ENDPOINT_NOT_READY, NULL, (double)not_ready);
}

void admin_set_gauges(struct cox_admin *a)
{
	set_process(a);
	cox_loop_call(a->opts.config_loop, set_registry, a);
}
