/* gauges - figures that are read when somebody asks for /metrics: of the process, and of the registry (on the config loop). */
#include "admin/admin_priv.h"

#include "base/clock.h"
#include "base/metric.h"
#include "model/core.h"
#include "model/envoy_filter.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
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
	struct cox_str build[] = { COX_STR("pilot"), cox_str_of(a->version) };
	struct cox_buf text = { 0 };
	cox_series_set(cox_metric_series(COX_M_INFO, cox_metric_join(&text, build, COX_LEN(build))), 1);
	cox_buf_fini(&text);
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

/* Services and their endpoints; on this thread, by references. */
static void count_services(const struct admin_svcs *svcs)
{
	size_t empty = 0, empty_dns = 0, not_ready = 0;
	for (size_t i = 0; i < svcs->n; i++) {
		const struct cox_svc_entry *e = &svcs->items[i];
		enum cox_resolution how = e->svc->resolution;
		for (COX_EACH(struct cox_svc_port, p, e->svc->ports)) {
			bool counts = how == COX_RES_EDS || how == COX_RES_DNS || how == COX_RES_DNS_RR;
			if (!counts || p->protocol == COX_PROTO_UDP || has_endpoint(e, p))
				continue;
			empty += how == COX_RES_EDS;
			empty_dns += how != COX_RES_EDS;
		}
		for (COX_EACH(struct cox_endpoint, x, e->endpoints->items))
			not_ready += x->health == COX_UNHEALTHY;
	}
	cox_metric_set(COX_M_EDS_NO_INSTANCES, NULL, (double)empty);
	cox_metric_set(COX_M_DNS_NO_ENDPOINTS, NULL, (double)empty_dns);
	cox_metric_set(COX_M_ENDPOINT_NOT_READY, NULL, (double)not_ready);
}

/* Endpoints that name a pod which is not known. Counted again when slices or pods have changed only. */
static void count_pending(void *arg)
{
	struct cox_admin *a = arg;
	struct cox_registry *r = a->opts.registry;
	const struct cox_object *const *slices;
	uint64_t now = cox_registry_kind_changes(r, COX_KIND_ENDPOINT_SLICE) + cox_registry_kind_changes(r, COX_KIND_POD);
	size_t n, pending = 0;
	if (now == a->pending_at)
		return;
	a->pending_at = now;
	n = cox_registry_objects(r, COX_KIND_ENDPOINT_SLICE, &slices);
	for (size_t i = 0; i < n; i++)
		for (COX_EACH(struct cox_slice_endpoint, e, COX_SPEC(cox_endpoint_slice, slices[i])->endpoints))
			pending += e->target_ref && cox_str_eq(e->target_ref->kind, COX_STR("Pod")) &&
			           !cox_registry_object_find(r, COX_KIND_POD, slices[i]->meta.ns, e->target_ref->name);
	cox_metric_set(COX_M_K8S_PENDING_POD, NULL, (double)pending);
	cox_metric_set(COX_M_ENDPOINT_NO_POD, NULL, (double)pending);
}

static void set_patch(const struct cox_push_patch *p, struct cox_buf *text)
{
	static const char *const results[] = { "applied", "unmatched" };
	const struct cox_config_patch *spec = &COX_SPEC(cox_envoy_filter, p->object)->config_patches.p[p->at];
	char name[512];
	snprintf(name, sizeof(name), "%.*s/%.*s", COX_FMT(p->object->meta.ns), COX_FMT(p->object->meta.name));
	for (int i = 0; i < 2; i++) {
		struct cox_str labels[] = { cox_str_of(name), cox_str_of(cox_apply_to_name(spec->apply_to)), cox_str_of(results[i]) };
		bool is_it = (p->objects > 0) == (i == 0);
		cox_series_set(cox_metric_series(COX_M_FILTER_STATUS, cox_metric_join(text, labels, COX_LEN(labels))), is_it);
	}
}

static void set_patches(void *arg)
{
	struct cox_admin *a = arg;
	struct cox_arena arena = { 0 };
	struct cox_push_patch *patches;
	struct cox_buf text = { 0 };
	size_t n = cox_push_patches(a->opts.push, &arena, &patches);
	for (size_t i = 0; i < n; i++)
		set_patch(&patches[i], &text);
	cox_buf_fini(&text);
	cox_arena_fini(&arena);
}

/* Sidecars that are part of no service; counted again when there is a new generation, or others are connected. */
static void count_lonely(struct cox_admin *a)
{
	enum { STREAMS = 64 };
	struct answer w = { .a = a };
	const struct cox_snapshot *s = page_snapshot(&w);
	struct cox_xds_cursor at = { 0 };
	size_t proxies = cox_xds_server_proxies(a->opts.xds), lonely = 0, n = s ? STREAMS : 0;
	if (!s || (s->generation == a->lonely_generation && proxies == a->lonely_proxies)) {
		cox_snapshot_unref(s);
		cox_arena_fini(&w.arena);
		return;
	}
	struct cox_xds_stream_info *infos = cox_calloc(STREAMS, sizeof(*infos));
	while (n == STREAMS) {
		n = cox_xds_server_list(a->opts.xds, &at, infos, STREAMS);
		for (size_t i = 0; i < n; i++) {
			const struct cox_proxy *p = infos[i].proxy;
			const struct cox_snap_svc **svcs;
			cox_arena_reset(&w.scratch);
			lonely += p->type == COX_PROXY_SIDECAR &&
			          !cox_snapshot_svcs_of(s, p->ns, p->labels.p, p->labels.n, p->ips.p, p->ips.n, &w.scratch, &svcs);
			cox_xds_stream_info_fini(&infos[i]);
		}
	}
	cox_free(infos);
	a->lonely_generation = s->generation;
	a->lonely_proxies = proxies;
	cox_metric_set(COX_M_NO_IP, NULL, (double)lonely);
	cox_snapshot_unref(s);
	cox_arena_fini(&w.arena);
	cox_arena_fini(&w.scratch);
}

void admin_set_gauges(struct cox_admin *a)
{
	struct admin_svcs svcs = { 0 };
	pthread_mutex_lock(&a->gauges_lock); /* two may ask at once */
	set_process(a);
	cox_metric_set(COX_M_CLUSTERS, "local", 1);
	cox_metric_set(COX_M_CLUSTERS, "remote", 0);
	admin_svcs_take(a, &svcs);
	count_services(&svcs);
	admin_svcs_fini(&svcs);
	cox_loop_call(a->opts.config_loop, count_pending, a);
	cox_loop_call(a->opts.config_loop, set_patches, a);
	count_lonely(a);
	pthread_mutex_unlock(&a->gauges_lock);
}
