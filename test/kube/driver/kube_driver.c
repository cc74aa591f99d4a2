/*
 * kube-driver - prints what a kube source says, one line per event, for test/kube. Reads commands from standard input:
 *   may NS ACCOUNT                     may it list Secrets there: "may NS/ACCOUNT asking|allowed|denied"; "access changed" when that
 * changes want NS NAME | unwant NS NAME      a Secret; want-map, unwant-map: a ConfigMap select KEY=VALUE ... | select       discovery
 * selectors, one label each; none: all stats                               one line per kind, then "stats end" usage: kube-driver
 * --kubeconfig F | --in-cluster HOST PORT DIR   [--limit N] [--digest MS] [--grace MS] [--max-object BYTES] [--no-crds] [--status IDENTITY]
 */
#include "base/fault.h"
#include "base/metric.h"
#include "kube/access.h"
#include "loop/loop.h"
#include "loop/poll.h"
#include "loop/signal.h"
#include "source/kube_source.h"
#include "status/lease.h"
#include "status/status.h"

#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

struct driver {
	struct cox_loop *loop;
	struct cox_kube_source *source;
	struct cox_kube_access *access;
	struct cox_buf input;
	struct cox_lease *lease; /* with --status */
	struct cox_status *status;
};

static void say(const char *fmt, ...) COX_PRINTF(1, 2);
static void say(const char *fmt, ...)
{
	va_list ap;
	va_start(ap, fmt);
	vprintf(fmt, ap);
	va_end(ap);
	putchar('\n');
	fflush(stdout);
}

static void on_put(void *arg, const struct cox_object *o)
{
	struct driver *d = arg;
	char hex[33];
	if (d->status)
		cox_status_set_diags(d->status, o->kind, o->meta.ns, o->meta.name, o->meta.generation, NULL);
	cox_hash_to_hex(o->hash, hex);
	say("put %.*s rv=%.*s gen=%lld hash=%.8s origin=%.*s", COX_FMT(o->id), COX_FMT(o->meta.resource_version),
	    (long long)o->meta.generation, hex, COX_FMT(o->origin));
}

static void on_remove(void *arg, enum cox_kind kind, struct cox_str ns, struct cox_str name)
{
	struct driver *d = arg;
	if (d->status)
		cox_status_forget(d->status, kind, ns, name);
	say("remove %.*s/%.*s/%.*s", COX_FMT(cox_kind_info(kind)->name), COX_FMT(ns), COX_FMT(name));
}

static void on_report(void *arg, const struct cox_source_report *r)
{
	struct driver *d = arg;
	if (d->status && r->name.n)
		cox_status_set_diags(d->status, r->kind, r->ns, r->name, 0, r->diags);
	say("report %.*s/%.*s/%.*s errors=%zu findings=%zu lastgood=%d %.*s: %.*s", COX_FMT(cox_kind_info(r->kind)->name), COX_FMT(r->ns),
	    COX_FMT(r->name), r->diags->errors, r->diags->n, r->has_last_good, r->diags->n ? (int)r->diags->items[0].path.n : 0,
	    r->diags->n ? r->diags->items[0].path.p : "", r->diags->n ? (int)r->diags->items[0].text.n : 0,
	    r->diags->n ? r->diags->items[0].text.p : "");
}

static void on_synced(void *arg)
{
	(void)arg;
	say("synced");
}

static void on_stale(void *arg, bool stale)
{
	(void)arg;
	say("stale %d", stale);
}

static void on_flush(void *arg)
{
	(void)arg;
	say("flush");
}

static void stats(struct driver *d)
{
	for (size_t k = 0; k < COX_KIND_COUNT; k++) {
		struct cox_kube_watch_stats s;
		if (cox_kube_source_stats(d->source, (enum cox_kind)k, &s))
			say("stats %.*s state=%s version=%.*s rv=%.*s entries=%zu lists=%llu resumes=%llu events=%llu skipped=%llu repaired=%llu",
			    COX_FMT(cox_kind_info((enum cox_kind)k)->name), s.state, COX_FMT(s.version), COX_FMT(s.resource_version),
			    s.entries, (unsigned long long)s.lists, (unsigned long long)s.resumes, (unsigned long long)s.events,
			    (unsigned long long)s.skipped, (unsigned long long)s.repaired);
	}
	say("stats end");
}

static void select_(struct driver *d, struct cox_str rest)
{
	struct cox_label_selector selectors[8] = { 0 };
	struct cox_kv labels[8];
	struct cox_str part;
	size_t n = 0;
	while (rest.p && n < COX_LEN(labels) && cox_str_next(&rest, ' ', &part)) {
		ptrdiff_t eq = cox_str_find(part, '=');
		if (eq < 0)
			continue;
		labels[n].key = cox_str_sub(part, 0, (size_t)eq);
		labels[n].value = cox_str_sub(part, (size_t)eq + 1, SIZE_MAX);
		selectors[n].match_labels.p = &labels[n];
		selectors[n].match_labels.n = 1;
		n++;
	}
	cox_kube_source_set_discovery(d->source, selectors, n);
}

static void command(struct driver *d, struct cox_str line)
{
	struct cox_str rest = line, verb = { 0 }, ns = { 0 }, name = { 0 };
	cox_str_next(&rest, ' ', &verb);
	if (cox_str_eq_cstr(verb, "stats")) {
		stats(d);
	} else if (cox_str_eq_cstr(verb, "select")) {
		select_(d, rest);
	} else if (rest.p) {
		cox_str_next(&rest, ' ', &ns);
		name = rest;
		bool is_map = cox_str_has_suffix(verb, COX_STR("-map"));
		enum cox_kind kind = is_map ? COX_KIND_CONFIG_MAP : COX_KIND_SECRET;
		verb.n -= is_map ? 4 : 0;
		if (cox_str_eq_cstr(verb, "may")) {
			static const char *const answers[] = { "asking", "allowed", "denied" };
			say("may %.*s/%.*s %s", COX_FMT(ns), COX_FMT(name), answers[cox_kube_access_check(d->access, ns, name)]);
		} else if (cox_str_eq_cstr(verb, "want"))
			say("want %s", cox_kube_source_want(d->source, kind, ns, name) == COX_OK ? "ok" : "refused");
		else if (cox_str_eq_cstr(verb, "unwant"))
			cox_kube_source_unwant(d->source, kind, ns, name);
	}
}

static void on_input(void *ctx, int events)
{
	struct driver *d = ctx;
	(void)events;
	char *to = cox_buf_reserve(&d->input, 4096);
	ssize_t n = read(0, to, 4096);
	if (n == 0)
		cox_loop_stop(d->loop);
	if (n <= 0)
		return;
	d->input.n += (size_t)n;
	ptrdiff_t end;
	while ((end = cox_str_find(cox_buf_str(&d->input), '\n')) >= 0) {
		command(d, cox_str_sub(cox_buf_str(&d->input), 0, (size_t)end));
		cox_buf_consume(&d->input, (size_t)end + 1);
	}
}

static void on_lead(void *ctx, bool is_leader)
{
	struct driver *d = ctx;
	say("leader %d", is_leader);
	cox_status_lead(d->status, COX_STATUS_ALL, is_leader);
}

static void on_released(void *ctx)
{
	struct driver *d = ctx;
	say("released");
	cox_loop_stop(d->loop);
}

static void on_signal(void *ctx, int number)
{
	struct driver *d = ctx;
	(void)number;
	if (d->lease)
		cox_lease_release(d->lease, on_released, d);
	else
		cox_loop_stop(d->loop);
}

static void on_access(void *ctx)
{
	(void)ctx;
	say("access changed");
}

static void status_open(struct driver *d, struct cox_kube_client *client, const char *identity)
{
	struct cox_lease_spec lease = { .ns = COX_STR("default"),
		                        .name = COX_STR("coxswain-status-leader"),
		                        .identity = cox_str_of(identity),
		                        .duration_ms = 3000,
		                        .renew_deadline_ms = 2000,
		                        .retry_ms = 500,
		                        .on_change = on_lead,
		                        .ctx = d };
	cox_status_open(client, NULL, &d->status);
	cox_lease_open(client, &lease, &d->lease);
}

static int64_t number(const char *text)
{
	int64_t v = 0;
	if (cox_str_to_i64(cox_str_of(text), &v) != COX_OK)
		fprintf(stderr, "kube-driver: %s is no number\n", text);
	return v;
}

static void metrics(void)
{
	struct cox_buf out = { 0 };
	struct cox_str rest, line;
	cox_metric_render(&out);
	rest = cox_buf_str(&out);
	while (rest.p && cox_str_next(&rest, '\n', &line))
		if (cox_str_search(line, COX_STR("_kube_")) >= 0 && line.n && line.p[0] != '#')
			say("metric %.*s", COX_FMT(line));
	cox_buf_fini(&out);
}

int main(int argc, char **argv)
{
	struct driver d = { 0 };
	struct cox_kube_config config = { 0 };
	struct cox_kube_source_spec spec = { .cluster_id = COX_STR("Kubernetes"), .digest_ms = -1 };
	struct cox_err err = { 0 };
	const char *identity = NULL;
	enum cox_rc rc = cox_err_set(&err, COX_EINVAL, NULL, "--kubeconfig or --in-cluster is needed");
	for (int i = 1; i < argc; i++) {
		struct cox_str arg = cox_str_of(argv[i]);
		if (cox_str_eq_cstr(arg, "--no-crds"))
			spec.has_no_crd_watch = true;
		else if (cox_str_eq_cstr(arg, "--in-cluster") && i + 3 < argc)
			rc = cox_kube_config_in_cluster(&config, cox_str_of(argv[i + 1]), cox_str_of(argv[i + 2]), argv[i + 3], &err),
			i += 3;
		else if (i + 1 >= argc)
			break;
		else if (cox_str_eq_cstr(arg, "--kubeconfig"))
			rc = cox_kube_config_load(&config, argv[++i], COX_STR(""), &err);
		else if (cox_str_eq_cstr(arg, "--status"))
			identity = argv[++i];
		else if (cox_str_eq_cstr(arg, "--limit"))
			spec.list_limit = (unsigned)number(argv[++i]);
		else if (cox_str_eq_cstr(arg, "--digest"))
			spec.digest_ms = number(argv[++i]);
		else if (cox_str_eq_cstr(arg, "--grace"))
			spec.digest_grace_ms = number(argv[++i]);
		else if (cox_str_eq_cstr(arg, "--max-object"))
			spec.max_object_bytes = (size_t)number(argv[++i]);
	}
	const char *faults = getenv("COXSWAIN_FAULTS");
	if (rc == COX_OK && faults)
		rc = cox_fault_set(cox_str_of(faults));
	if (rc != COX_OK) {
		char text[700];
		fprintf(stderr, "kube-driver: %s\n", cox_err_describe(&err, text, sizeof(text)));
		cox_kube_config_fini(&config);
		return 1;
	}
	for (COX_EACH(struct cox_str, w, config.warnings))
		say("warning %.*s", COX_FMT(*w));
	d.loop = cox_loop_new("config");
	struct cox_kube_client *client = cox_kube_client_new_take(d.loop, &config, NULL);
	struct cox_source_sink sink = { .put = on_put,
		                        .remove = on_remove,
		                        .report = on_report,
		                        .synced = on_synced,
		                        .stale = on_stale,
		                        .flush = on_flush,
		                        .arg = &d };
	struct cox_poll *input = NULL;
	struct cox_signal *term = NULL;
	if (identity)
		status_open(&d, client, identity);
	cox_kube_source_open(client, &spec, &sink, &d.source);
	d.access = cox_kube_access_new(
	    client, &(struct cox_kube_access_spec){
	                .verb = "list", .group = "", .resource = "secrets", .renew_ms = 500, .changed = on_access, .ctx = &d });
	fcntl(0, F_SETFL, fcntl(0, F_GETFL) | O_NONBLOCK);
	if (cox_poll_open(d.loop, 0, on_input, &d, &input) == COX_OK)
		cox_poll_want(input, COX_POLL_READ);
	if (cox_signal_open(d.loop, 15, on_signal, &d, &term) != COX_OK)
		return 1;
	cox_loop_run(d.loop);
	cox_poll_close(&input);
	cox_signal_close(&term);
	cox_kube_access_free(&d.access);
	cox_kube_source_close(&d.source);
	cox_lease_close(&d.lease);
	cox_status_close(&d.status);
	cox_kube_client_free(&client);
	cox_loop_free(&d.loop);
	cox_buf_fini(&d.input);
	metrics();
	say("end");
	return 0;
}
