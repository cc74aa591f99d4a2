#include "daemon.h"
#include "gateway_names.h"
#include "budget.h"
#include "env.h"
#include "invalid.h"
#include "mesh_file.h"
#include "stage_admin.h"
#include "stage_ca.h"
#include "stage_enroll.h"
#include "stage_federation.h"
#include "stage_serve.h"
#include "stage_status.h"
#include "stage_trust.h"
#include "stage_webhook.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/metric.h"
#include "kube/kubeconfig.h"
#include "validate/report.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

enum { DRAIN_POLL_MS = 50 };

/* --- events of the source ------------------------------------------------------------------------- */

static const char *kind_label(enum cox_kind kind) { return kind < COX_KIND_COUNT ? cox_kind_info(kind)->name.p : "unknown"; }

static void on_put(void *arg, const struct cox_object *o)
{
	struct daemon *d = arg;
	cox_log(COX_LOG_DEBUG, "source", "put object=%.*s origin=%.*s", COX_FMT(o->id), COX_FMT(o->origin));
	if (!webhook_on_object(d, o->kind, o->meta.ns, o->meta.name, o))
		cox_registry_put(d->registry, o);
	cox_converge_changed(d->converge, o);
	saved_on_put(d, o);
	trust_on_object(d, o->kind, o->meta.ns, o->meta.name, o);
	if (o->kind == COX_KIND_SERVICE_ENTRY)
		findings_poke(d->findings); /* its status may have lost the addresses */
	if (d->status && cox_kind_info(o->kind)->ours && !cox_str_eq(cox_buf_str(&d->reported), o->id))
		cox_status_set_diags(d->status, o->kind, o->meta.ns, o->meta.name, o->meta.generation, NULL);
	cox_buf_clear(&d->reported);
}

static void forget_progress(struct daemon *d, enum cox_kind kind, struct cox_str ns, struct cox_str name)
{
	struct cox_buf id = { 0 };
	if (kind >= COX_KIND_COUNT || !d->converge)
		return;
	cox_buf_printf(&id, "%.*s/%.*s/%.*s", COX_FMT(cox_kind_info(kind)->word), COX_FMT(ns), COX_FMT(name));
	cox_converge_forget(d->converge, cox_buf_str(&id));
	cox_buf_fini(&id);
}

static void on_remove(void *arg, enum cox_kind kind, struct cox_str ns, struct cox_str name)
{
	struct daemon *d = arg;
	cox_log(COX_LOG_DEBUG, "source", "remove kind=%s ns=%.*s name=%.*s", kind_label(kind), COX_FMT(ns), COX_FMT(name));
	if (!webhook_on_object(d, kind, ns, name, NULL))
		cox_registry_remove(d->registry, kind, ns, name);
	trust_on_object(d, kind, ns, name, NULL);
	invalid_forget(d->invalid, kind, ns, name);
	forget_progress(d, kind, ns, name);
	if (d->status)
		cox_status_forget(d->status, kind, ns, name);
	if (d->deploy && kind == COX_KIND_K8S_GATEWAY)
		cox_deploy_set(d->deploy, ns, name, NULL);
}

static void on_report(void *arg, const struct cox_source_report *r)
{
	struct daemon *d = arg;
	struct cox_report_about about = { r->kind < COX_KIND_COUNT ? cox_kind_info(r->kind)->name : COX_STR(""), r->ns, r->name,
		                          r->origin };
	if (d->status && r->kind < COX_KIND_COUNT && r->name.n)
		cox_status_set_diags(d->status, r->kind, r->ns, r->name, 0, r->diags);
	cox_buf_clear(&d->reported);
	if (r->kind < COX_KIND_COUNT)
		cox_buf_printf(&d->reported, "%s/%.*s/%.*s", kind_label(r->kind), COX_FMT(r->ns), COX_FMT(r->name));
	for (size_t i = 0; i < r->diags->n; i++) {
		struct cox_buf line = { 0 };
		bool is_error = r->diags->items[i].severity == COX_SEV_ERROR;
		cox_report_write_one(&r->diags->items[i], &about, &line);
		cox_log(is_error ? COX_LOG_ERROR : COX_LOG_WARN, "source", "%s%s", cox_buf_cstr(&line),
		        is_error && r->has_last_good ? " (its last good version stays in force)" : "");
		cox_buf_fini(&line);
	}
	invalid_note(d->invalid, r);
}

static void on_synced(void *arg)
{
	struct daemon *d = arg;
	cox_log(COX_LOG_INFO, "source", "complete source=%s", d->source_name);
	stage_ca_mesh_changed(d);
	if (federation_is_settled(d))
		cox_push_set_synced(d->push);
	cox_enroll_synced(d->enroll);
	saved_on_synced(d);
}

static void on_stale(void *arg, bool stale)
{
	struct daemon *d = arg;
	cox_metric_set(COX_M_SOURCE_STALE, d->source_name, stale);
	cox_log(stale ? COX_LOG_WARN : COX_LOG_INFO, "source", "%s source=%s",
	        stale ? "not reachable: what is known stays in force" : "reachable again", d->source_name);
}

static void on_flush(void *arg)
{
	struct daemon *d = arg;
	struct cox_hash mesh = cox_registry_mesh_hash(d->registry);
	if (d->kube_source && !cox_hash_eq(mesh, d->discovery)) {
		const struct cox_mesh_config *m = cox_registry_mesh(d->registry);
		d->discovery = mesh;
		cox_kube_source_set_discovery(d->kube_source, m->discovery_selectors.p, m->discovery_selectors.n);
	}
	stage_ca_mesh_changed(d);
	serve_on_mesh(d);
	webhook_on_flush(d);
	saved_on_flush(d);
	cox_push_poke(d->push);
}

static struct cox_source_sink make_sink(struct daemon *d)
{
	return (struct cox_source_sink){
		.put = on_put, .remove = on_remove, .report = on_report, .synced = on_synced, .stale = on_stale, .flush = on_flush, .arg = d
	};
}

/* --- stages: start in this order, end in the reverse one ------------------------------------------------ */

/* The client of the local kube-apiserver; none with a directory. */
static enum cox_rc start_kube(struct daemon *d, struct cox_err *err)
{
	struct cox_kube_config config = { 0 };
	enum cox_rc rc;
	if (d->flags.config_dir)
		return COX_OK;
	if (d->flags.kubeconfig)
		rc = cox_kube_config_load(&config, d->flags.kubeconfig, COX_STR(""), err);
	else
		rc = cox_kube_config_in_cluster(&config, cox_str_of(env_given(ENV_KUBERNETES_SERVICE_HOST)),
		                                cox_str_of(env_given(ENV_KUBERNETES_SERVICE_PORT)), NULL, err);
	if (rc != COX_OK) {
		cox_kube_config_fini(&config);
		if (!d->flags.kubeconfig)
			cox_err_wrap(err, "no --kubeconfig, no --configDir, and not in a pod");
		return rc;
	}
	for (size_t i = 0; i < config.warnings.n; i++)
		cox_log(COX_LOG_WARN, "kube", "%.*s", COX_FMT(config.warnings.p[i]));
	cox_log(COX_LOG_INFO, "kube", "kube-apiserver server=%.*s", COX_FMT(config.server));
	d->kube = cox_kube_client_new_take(
	    d->loop, &config, &(struct cox_kube_client_spec){ .qps = d->flags.kube_qps, .burst = (unsigned)d->flags.kube_burst });
	return COX_OK;
}
static void stop_kube(struct daemon *d) { cox_kube_client_free(&d->kube); }

static enum cox_rc start_registry(struct daemon *d, struct cox_err *err)
{
	enum cox_compliance compliance = COX_COMPLIANCE_NONE;
	struct cox_str policy = cox_str_of(env_given(ENV_COMPLIANCE_POLICY));
	if (!cox_compliance_parse(policy, &compliance))
		return cox_err_set(err, COX_EINVAL, "COMPLIANCE_POLICY", "must be fips-140-2, fips-140-3 or pqc, is \"%.*s\"",
		                   COX_FMT(policy));
	COX_TRY(mesh_file_read("--meshConfig", d->flags.mesh_config, &d->mesh_yaml, err));
	COX_TRY(mesh_file_read("--networksConfig", d->flags.networks_config, &d->networks_yaml, err));
	struct cox_features features;
	env_features(&features);
	d->registry = cox_registry_new(&(struct cox_registry_options){ .domain = cox_str_of(d->flags.domain),
	                                                               .cluster_id = cox_str_of(d->flags.cluster_id),
	                                                               .root_namespace = cox_str_of(d->flags.ns),
	                                                               .mesh_yaml = cox_buf_str(&d->mesh_yaml),
	                                                               .networks_yaml = cox_buf_str(&d->networks_yaml),
	                                                               .compliance = compliance,
	                                                               .features = features,
	                                                               .shared_mesh = env_text(ENV_SHARED_MESH_CONFIG),
	                                                               .revision = cox_str_of(d->flags.revision) });
	return COX_OK;
}
static void stop_registry(struct daemon *d) { cox_registry_free(d->registry); }

static void on_want(void *arg, enum cox_kind kind, struct cox_str ns, struct cox_str name, bool is_wanted)
{
	secrets_want(((struct daemon *)arg)->secrets, kind, ns, name, is_wanted);
}

/* What an Ingress or a route of the Gateway API is to say about itself. */
static void on_converted_status(void *arg, const struct cox_object *o, const struct cox_json *status)
{
	struct daemon *d = arg;
	if (d->status)
		cox_status_set_tree(d->status, o->kind, o->meta.ns, o->meta.name, o->meta.generation, status);
}

static void on_converted_deploy(void *arg, const struct cox_object *o, const struct cox_json *documents)
{
	struct daemon *d = arg;
	if (d->deploy)
		cox_deploy_set(d->deploy, o->meta.ns, o->meta.name, documents);
}

static enum cox_rc start_convert(struct daemon *d, struct cox_err *err)
{
	(void)err;
	d->convert = cox_convert_new(&(struct cox_convert_options){
	    .registry = d->registry, .on_status = on_converted_status, .on_deploy = on_converted_deploy, .want = on_want, .arg = d });
	return COX_OK;
}
static void stop_convert(struct daemon *d) { cox_convert_free(d->convert); }

/* The objects that somebody wrote among `origins`, and that are to blame: what the mesh makes of other objects alone is taken, so where an
 * EnvoyFilter changed it, that is. */
static void tell_origins(struct daemon *d, struct cox_str origins, const struct cox_status_finding *finding)
{
	struct cox_str rest = origins, id, kind_name, ns, object;
	bool is_patched = cox_str_search(origins, COX_STR("EnvoyFilter/")) >= 0;
	while (d->status && rest.n && cox_str_next(&rest, '\n', &id)) {
		if (!cox_str_next(&id, '/', &kind_name) || !cox_str_next(&id, '/', &ns) || !cox_str_next(&id, '/', &object))
			continue;
		if (is_patched && !cox_str_eq_cstr(kind_name, "EnvoyFilter"))
			continue;
		const struct cox_kind_info *kind = cox_kind_find_word(kind_name);
		const struct cox_object *o = kind ? cox_registry_object_find(d->registry, kind->kind, ns, object) : NULL;
		if (o && !o->is_generated)
			cox_status_set(d->status, kind->kind, ns, object, 0, COX_STATUS_PROXY, finding, finding ? 1 : 0);
	}
}

static void on_reject(void *arg, const struct cox_proxy *proxy, enum cox_type type, struct cox_str name, struct cox_str origins,
                      struct cox_str message)
{
	struct daemon *d = arg;
	struct cox_buf text = { 0 };
	cox_buf_printf(&text, "proxy %.*s rejects %.*s \"%.*s\": %.*s", COX_FMT(proxy->id), COX_FMT(cox_type_short(type)), COX_FMT(name),
	               COX_FMT(message));
	tell_origins(d, origins,
	             &(struct cox_status_finding){
	                 .severity = COX_SEV_ERROR, .name = COX_STR("ProxyRejected"), .path = name, .text = cox_buf_str(&text) });
	cox_buf_fini(&text);
	cox_log(COX_LOG_ERROR, "push", "taken out, a proxy rejects it proxy=%.*s type=%.*s resource=\"%.*s\" from=\"%.*s\" error=\"%.*s\"",
	        COX_FMT(proxy->id), COX_FMT(cox_type_short(type)), COX_FMT(name), COX_FMT(origins), COX_FMT(cox_str_sub(message, 0, 500)));
}

static void on_forgiven(void *arg, struct cox_str origins) { tell_origins(arg, origins, NULL); }

static void on_delivered(void *arg, uint64_t generation)
{
	struct daemon *d = arg;
	if (d->xds)
		cox_xds_server_mark(d->xds, generation);
	cox_converge_delivered(d->converge, generation);
}

static void on_generation(void *arg, const struct cox_snapshot *s, const struct cox_registry_changes *changes)
{
	struct daemon *d = arg;
	(void)changes;
	cox_converge_frozen(d->converge, s->generation);
	findings_poke(d->findings);
	webhook_on_generation(d, s);
	gateway_names_poke(d->gateway_names);
}

static void on_patched(void *arg) { findings_poke(((struct daemon *)arg)->findings); }

static enum cox_access on_may_list(void *arg, struct cox_str ns, struct cox_str account)
{
	return secrets_may_list(((struct daemon *)arg)->secrets, ns, account);
}

static enum cox_rc start_push(struct daemon *d, struct cox_err *err)
{
	(void)err;
	d->secrets = secrets_new();
	d->push = cox_push_new(&(struct cox_push_options){ .loop = d->loop,
	                                                   .registry = d->registry,
	                                                   .convert = d->convert,
	                                                   .want = on_want,
	                                                   .may_list_secrets = on_may_list,
	                                                   .on_generation = on_generation,
	                                                   .on_delivered = on_delivered,
	                                                   .on_reject = on_reject,
	                                                   .on_forgiven = on_forgiven,
	                                                   .on_patched = on_patched,
	                                                   .settle_ms = env_duration_ms(ENV_PILOT_DEBOUNCE_AFTER),
	                                                   .settle_max_ms = env_duration_ms(ENV_PILOT_DEBOUNCE_MAX),
	                                                   .endpoints_settle = env_bool(ENV_PILOT_ENABLE_EDS_DEBOUNCE),
	                                                   .arg = d });
	secrets_set_push(d->secrets, d->push);
	d->findings = findings_new(d->loop, d->registry, d->convert, d->push);
	if (env_bool(ENV_RESOLVE_HOSTNAME_GATEWAYS))
		d->gateway_names = gateway_names_new(d->loop, d->registry, d->push);
	return COX_OK;
}
static void stop_push(struct daemon *d)
{
	gateway_names_free(d->gateway_names);
	findings_free(d->findings);
	cox_push_free(d->push);
	secrets_free(d->secrets);
}

static enum cox_rc start_enroll(struct daemon *d, struct cox_err *err)
{
	struct cox_source_sink sink = make_sink(d);
	return stage_enroll_start(d, &sink, err);
}

/* 0: the server's own default, as where the variable is not set. */
static unsigned count_of(enum env_id id, unsigned max)
{
	double v = env_is_set(id) ? env_number(id) : 0;
	return v >= 1 ? v < (double)max ? (unsigned)v : max : 0;
}

static enum cox_rc start_xds(struct daemon *d, struct cox_err *err)
{
	struct cox_xds_server_options opts = { .config_loop = d->loop,
		                               .push = d->push,
		                               .loop_count = (size_t)d->flags.stream_loops,
		                               .limits = { .max_age_ms = d->flags.max_age_ms,
		                                           .streams_per_connection = count_of(ENV_ISTIO_GPRC_MAXSTREAMS, 1000000),
		                                           .message_bytes = count_of(ENV_ISTIO_GPRC_MAXRECVMSGSIZE, 1 << 30) },
		                               .first_configs = count_of(ENV_PILOT_PUSH_THROTTLE, 10000),
		                               .streams_per_second = env_number(ENV_PILOT_MAX_REQUESTS_PER_SECOND),
		                               .version = COX_STR(COX_VERSION) };
	char text[320];
	uint16_t port;
	serve_fill(d, &opts);
	opts.visits = cox_enroll_visits(d->enroll);
	COX_TRY(cox_xds_server_open(&opts, &d->xds, err));
	COX_TRY(serve_listen(d, err));
	if (!d->flags.has_grpc)
		return COX_OK;
	COX_TRY(cox_xds_server_listen(d->xds, &d->flags.grpc, &port, err));
	d->flags.grpc.port = port;
	cox_log(COX_LOG_INFO, "ads", "listening addr=%s", cox_addr_format(&d->flags.grpc, text, sizeof(text)));
	return COX_OK;
}

static void note_closed(void *arg) { *(bool *)arg = true; }
static bool is_set(void *arg) { return *(bool *)arg; }

static void stop_xds(struct daemon *d)
{
	bool closed = false;
	if (!d->xds)
		return;
	serve_unlisten(d);
	cox_xds_server_close(&d->xds, note_closed, &closed);
	/* The loop of the daemon has ended; it belongs to us again, and what is left on it runs here. */
	if (!cox_loop_run_until(d->loop, is_set, &closed, 10000))
		cox_log(COX_LOG_WARN, "ads", "streams did not end in time");
}

static enum cox_rc start_source(struct daemon *d, struct cox_err *err)
{
	struct cox_source_sink sink = make_sink(d);
	d->mesh_file = mesh_file_watch(d, on_flush);
	snprintf(d->source_name, sizeof(d->source_name), "%s", d->flags.config_dir ? "directory" : d->flags.cluster_id);
	if (d->flags.config_dir)
		return cox_dir_source_open(d->loop, d->flags.config_dir, &sink, &d->dir_source, err);
	COX_TRY(stage_status_start(d, err));
	struct cox_buf ignored = { 0 };
	cox_buf_append_str(&ignored, env_text(ENV_PILOT_IGNORE_RESOURCES));
	if (!env_bool(ENV_PILOT_ENABLE_GATEWAY_API))
		cox_buf_append_cstr(&ignored, ",*.gateway.networking.k8s.io");
	cox_kube_source_open(d->kube,
	                     &(struct cox_kube_source_spec){ .cluster_id = cox_str_of(d->flags.cluster_id),
	                                                     .root_ns = cox_str_of(d->flags.ns),
	                                                     .revision = cox_str_of(d->flags.revision),
	                                                     .only_ns = env_text(ENV_ISTIO_WATCH_NAMESPACE),
	                                                     .ignored = cox_buf_str(&ignored),
	                                                     .included = env_text(ENV_PILOT_INCLUDE_RESOURCES),
	                                                     .list_limit = (unsigned)d->flags.list_limit },
	                     &sink, &d->kube_source);
	cox_buf_fini(&ignored);
	if (env_is_set(ENV_SHARED_MESH_CONFIG) &&
	    cox_kube_source_want(d->kube_source, COX_KIND_CONFIG_MAP, cox_str_of(d->flags.ns), env_text(ENV_SHARED_MESH_CONFIG)) != COX_OK)
		cox_log(COX_LOG_ERROR, "source", "SHARED_MESH_CONFIG: ConfigMap %s cannot be watched", env_cstr(ENV_SHARED_MESH_CONFIG));
	secrets_set_kube(d->secrets, d->kube, d->kube_source);
	webhook_on_source(d);
	return saved_start(d, &sink, err);
}

static void stop_source(struct daemon *d)
{
	if (d->secrets)
		secrets_clear_kube(d->secrets);
	saved_stop(d);
	cox_kube_source_close(&d->kube_source);
	stage_status_stop(d);
	cox_dir_source_close(&d->dir_source);
	mesh_file_free(d->mesh_file);
}

static const struct stage {
	const char *name;
	enum cox_rc (*start)(struct daemon *d, struct cox_err *err);
	void (*stop)(struct daemon *d);
} stages[] = {
	{ "kube", start_kube, stop_kube },
	{ "registry", start_registry, stop_registry },
	{ "convert", start_convert, stop_convert },
	{ "push", start_push, stop_push },
	{ "ca", stage_ca_start, stage_ca_stop },
	{ "trust", start_trust, stop_trust },
	{ "federation", start_federation, stop_federation },
	{ "webhook", start_webhook, stop_webhook },
	{ "identity", start_serve, stop_serve },
	{ "enroll", start_enroll, stage_enroll_stop },
	{ "xds", start_xds, stop_xds },
	{ "source", start_source, stop_source },
	{ "memory", budget_start, budget_stop },
	{ "admin", start_admin, stop_admin },
};

static void stop_stages(struct daemon *d, size_t started)
{
	while (started)
		stages[--started].stop(d);
}

/* --- the end ----------------------------------------------------------------------------------------------- */

/* Admin handlers ask this loop: they end while it still runs. */
static void end_admin(void *arg) { cox_admin_close(&((struct daemon *)arg)->admin); }
static void admin_ended(void *arg, enum cox_rc rc)
{
	struct daemon *d = arg;
	(void)rc;
	cox_loop_stop(d->loop);
}

static void on_drain(void *arg)
{
	struct daemon *d = arg;
	if ((cox_xds_server_streams(d->xds) || !d->has_released) && cox_clock_mono_ms() < d->drain_until_ms)
		return;
	cox_timer_stop(d->drain_timer);
	if (cox_work_submit(d->enders, d->loop, end_admin, admin_ended, d) != COX_OK)
		cox_loop_stop(d->loop);
}

static void on_released(void *arg) { ((struct daemon *)arg)->has_released = true; }

static void on_signal(void *arg, int number)
{
	struct daemon *d = arg;
	if (d->is_ending) {
		d->drain_until_ms = 0; /* asked twice: no more patience */
		return;
	}
	d->is_ending = true;
	cox_log(COX_LOG_INFO, "main", "ending signal=%d streams=%zu", number, cox_xds_server_streams(d->xds));
	cox_xds_server_drain(d->xds, d->flags.shutdown_ms);
	/* Another replica need not wait for the lease to run out. */
	stage_status_release(d, on_released);
	d->drain_until_ms = cox_clock_mono_ms() + d->flags.shutdown_ms;
	cox_timer_start(d->drain_timer, 0, DRAIN_POLL_MS);
}

static void free_rest(struct daemon *d)
{
	cox_signal_close(&d->on_term);
	cox_signal_close(&d->on_int);
	cox_timer_free(&d->drain_timer);
	cox_work_pool_free(&d->enders);
	cox_loop_free(&d->loop);
	cox_ca_processes_end(&d->ca_processes);
	cox_buf_fini(&d->trust_domain);
	cox_buf_fini(&d->mesh_yaml);
	cox_buf_fini(&d->networks_yaml);
	cox_buf_fini(&d->reported);
	invalid_free(d->invalid);
	cox_free(d);
}

enum cox_rc daemon_start(const struct flags *flags, struct daemon **out, struct cox_err *err)
{
	struct daemon *d = COX_NEW(struct daemon);
	d->flags = *flags;
	if (stage_ca_fork(flags, &d->ca_processes, err) != COX_OK) {
		cox_free(d);
		return err->rc;
	}
	d->loop = cox_loop_new("config");
	d->invalid = invalid_new();
	d->drain_timer = cox_timer_new(d->loop, on_drain, d);
	d->enders = cox_work_pool_new("end", 1, 4);
	enum cox_rc rc = cox_signal_open(d->loop, SIGTERM, on_signal, d, &d->on_term);
	if (rc == COX_OK)
		rc = cox_signal_open(d->loop, SIGINT, on_signal, d, &d->on_int);
	size_t started = 0;
	while (rc == COX_OK && started < COX_LEN(stages)) {
		rc = stages[started].start(d, err);
		if (rc != COX_OK)
			cox_err_wrap(err, "%s", stages[started].name);
		started++;
	}
	if (rc != COX_OK) {
		stop_stages(d, started);
		free_rest(d);
		return rc;
	}
	cox_log(COX_LOG_INFO, "main", "started version=%s", COX_VERSION);
	*out = d;
	return COX_OK;
}

int daemon_run(struct daemon *d)
{
	cox_loop_run(d->loop);
	return d->exit_status;
}

void daemon_free(struct daemon *d)
{
	stop_stages(d, COX_LEN(stages));
	free_rest(d);
}
