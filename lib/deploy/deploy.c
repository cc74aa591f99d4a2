#include "deploy/deploy.h"

#include "base/log.h"
#include "base/map.h"
#include "kube/backoff.h"
#include "kube/watch.h"
#include "loop/timer.h"

#define MANAGED_LABEL "gateway.istio.io/managed"
#define MANAGED_VALUE "istio.io-gateway-controller"
#define FIELD_MANAGER "istio.io/gateway-controller" /* istiod's: either takes over from the other */

enum {
	DRIFT_MS = 1000, /* a rollout changes a Deployment's status many times: looked at once a second */
	DOCUMENTS_MAX = 16,
};

/* --- documents ------------------------------------------------------------------------------------------------- */

/* Where each kind is found: nothing else is ever applied. */
static const struct kind_info {
	const char *kind, *group, *version, *plural;
	bool is_watched;
} kinds[] = {
	{ "ServiceAccount", "", "v1", "serviceaccounts", true },
	{ "Deployment", "apps", "v1", "deployments", true },
	{ "Service", "", "v1", "services", true },
	{ "HorizontalPodAutoscaler", "autoscaling", "v2", "horizontalpodautoscalers", false },
	{ "PodDisruptionBudget", "policy", "v1", "poddisruptionbudgets", false },
	{ "GatewayClass", "gateway.networking.k8s.io", "v1", "gatewayclasses", false },
};

struct document {
	const struct kind_info *kind;
	struct cox_str ns, name;
	struct cox_buf path, body;
};

struct job { /* of a Gateway */
	struct job *next;
	struct cox_str key; /* "ns/name" */
	struct document docs[DOCUMENTS_MAX];
	size_t n, at;
	bool is_queued, is_needed;
	char text[];
};

struct cox_deploy {
	struct cox_kube_client *c;
	struct cox_map jobs;
	struct job *queue, **queue_end, *current;
	struct cox_kube_request *request;
	struct cox_kube_watch *watches[COX_LEN(kinds)];
	struct cox_timer *timer, *drift;
	struct cox_kube_backoff backoff;
	bool is_leader, is_denied, makes_classes;
};

static void documents_fini(struct job *j)
{
	for (size_t i = 0; i < j->n; i++) {
		cox_buf_fini(&j->docs[i].path);
		cox_buf_fini(&j->docs[i].body);
		cox_free((char *)(uintptr_t)j->docs[i].ns.p);
	}
	j->n = j->at = 0;
}

static const struct kind_info *kind_of(struct cox_str name)
{
	for (size_t i = 0; i < COX_LEN(kinds); i++)
		if (cox_str_eq_cstr(name, kinds[i].kind))
			return &kinds[i];
	return NULL;
}

static void document_add(struct job *j, const struct cox_json *doc)
{
	const struct kind_info *kind = kind_of(cox_json_str_at(doc, "kind"));
	struct cox_str ns = cox_json_str_at(doc, "metadata.namespace"), name = cox_json_str_at(doc, "metadata.name");
	if (!kind || !name.n || j->n == DOCUMENTS_MAX)
		return;
	struct document *d = &j->docs[j->n++];
	char *text = cox_alloc(ns.n + name.n + 1);
	memcpy(text, ns.p ? ns.p : "", ns.n);
	memcpy(text + ns.n, name.p, name.n);
	*d = (struct document){ .kind = kind, .ns = { text, ns.n }, .name = { text + ns.n, name.n } };
	cox_kube_path(&d->path, cox_str_of(kind->group), cox_str_of(kind->version), cox_str_of(kind->plural), ns, name, COX_STR(""));
	cox_json_write(&d->body, doc, 0, false);
}

/* --- the queue ---------------------------------------------------------------------------------------------------- */

static void soon(struct cox_deploy *d, int64_t ms)
{
	if (d->is_leader && d->queue && !d->request && !cox_timer_is_running(d->timer))
		cox_timer_start(d->timer, ms, 0);
}

static void enqueue(struct cox_deploy *d, struct job *j)
{
	j->is_needed = true;
	if (!d->is_leader || j->is_queued || j == d->current)
		return;
	j->is_queued = true;
	j->next = NULL;
	*d->queue_end = j;
	d->queue_end = &j->next;
	soon(d, 0);
}

static void unqueue(struct cox_deploy *d, struct job *j)
{
	struct job **at = &d->queue;
	while (*at && *at != j)
		at = &(*at)->next;
	if (!*at)
		return;
	*at = j->next;
	if (!j->next)
		d->queue_end = at;
	j->is_queued = false;
}

static void job_free(struct cox_deploy *d, struct job *j)
{
	unqueue(d, j);
	if (d->current == j)
		d->current = NULL;
	cox_map_remove(&d->jobs, j->key);
	documents_fini(j);
	cox_free(j);
}

static void document_next(struct cox_deploy *d);

/* The job in hand is over, or it goes back to the end of the queue. */
static void finish(struct cox_deploy *d, bool is_again, int64_t wait_ms)
{
	struct job *j = COX_MOVE(d->current);
	if (j && is_again)
		enqueue(d, j);
	else if (j && j->is_needed && !cox_timer_is_running(d->drift))
		cox_timer_start(d->drift, DRIFT_MS, 0);
	cox_timer_stop(d->timer);
	soon(d, wait_ms);
}

static void failed(struct cox_deploy *d, int status, const struct cox_err *err)
{
	const struct job *j = d->current;
	const struct document *doc = j ? &j->docs[j->at] : NULL;
	if (status == 403 && !d->is_denied) {
		d->is_denied = true;
		cox_log(COX_LOG_WARN, "deploy", "gateways cannot be deployed: no right to kind=%s error=\"%s\"", doc ? doc->kind->kind : "",
		        err->text);
	}
	if (status == 400 || status == 422 || status == 404) { /* not as the server takes it, or its namespace or kind is not there */
		if (doc && (status != 404 || doc->ns.n))
			cox_log(COX_LOG_WARN, "deploy", "refused kind=%s ns=%.*s name=%.*s error=\"%s\"", doc->kind->kind, COX_FMT(doc->ns),
			        COX_FMT(doc->name), err->text);
		if (d->current)
			d->current->at++;
		document_next(d);
		return;
	}
	finish(d, true, status == 403 ? d->backoff.max_ms : cox_kube_backoff_next_ms(&d->backoff));
}

static void on_applied(void *ctx, struct cox_kube_request *r, enum cox_rc rc, int status, struct cox_str body, const struct cox_err *err)
{
	struct cox_deploy *d = ctx;
	(void)r, (void)body;
	d->request = NULL;
	if (rc != COX_OK) {
		failed(d, status, err);
		return;
	}
	cox_kube_backoff_reset(&d->backoff);
	d->is_denied = false;
	if (d->current)
		d->current->at++;
	document_next(d);
}

static void apply(struct cox_deploy *d, const struct document *doc)
{
	struct cox_kube_request_cb cb = { .on_done = on_applied, .ctx = d };
	cox_kube_apply(d->c, cox_buf_str(&doc->path), FIELD_MANAGER, cox_buf_str(&doc->body), &cb, &d->request);
}

static bool is_managed(struct cox_str body)
{
	struct cox_arena a = { 0 };
	struct cox_json *root = NULL;
	bool is = false;
	if (cox_json_parse(&a, body, &root, NULL) == COX_OK) {
		const struct cox_json *labels = cox_json_at(root, "metadata.labels");
		const struct cox_json *label = cox_json_get(labels, COX_STR(MANAGED_LABEL));
		is = label && label->type == COX_JSON_STRING && cox_str_eq_cstr(label->text, MANAGED_VALUE);
	}
	cox_arena_fini(&a);
	return is;
}

static void on_read(void *ctx, struct cox_kube_request *r, enum cox_rc rc, int status, struct cox_str body, const struct cox_err *err)
{
	struct cox_deploy *d = ctx;
	struct job *j = d->current;
	(void)r;
	d->request = NULL;
	if (rc != COX_OK && status != 404) {
		failed(d, status, err);
	} else if (!j || j->at >= j->n) {
		finish(d, false, 0);
	} else if (status == 404 || is_managed(body)) {
		apply(d, &j->docs[j->at]);
	} else {
		const struct document *doc = &j->docs[j->at];
		if (doc->ns.n) /* a class that is there is as good as ours */
			cox_log(COX_LOG_WARN, "deploy", "left alone, somebody else made it kind=%s ns=%.*s name=%.*s", doc->kind->kind,
			        COX_FMT(doc->ns), COX_FMT(doc->name));
		j->at++;
		document_next(d);
	}
}

static void document_next(struct cox_deploy *d)
{
	struct job *j = d->current;
	if (!j || j->at >= j->n || !d->is_leader) {
		finish(d, false, 0);
		return;
	}
	struct cox_kube_request_cb cb = { .on_done = on_read, .ctx = d };
	cox_kube_call(d->c, "GET", cox_buf_str(&j->docs[j->at].path), COX_STR(""), &cb, &d->request);
}

static void step(void *ctx)
{
	struct cox_deploy *d = ctx;
	struct job *j = d->queue;
	if (!d->is_leader || !j || d->request || d->current)
		return;
	unqueue(d, j);
	d->current = j;
	j->at = 0;
	j->is_needed = false;
	document_next(d);
}

/* --- what others do to it ------------------------------------------------------------------------------------- */

static void mark(struct cox_deploy *d, struct cox_str ns, struct cox_str name)
{
	for (struct cox_map_entry *e = NULL; (e = cox_map_next(&d->jobs, e));) {
		struct job *j = e->value;
		for (size_t i = 0; i < j->n; i++)
			if (cox_str_eq(j->docs[i].name, name) && cox_str_eq(j->docs[i].ns, ns))
				j->is_needed = true;
	}
	if (!cox_timer_is_running(d->drift))
		cox_timer_start(d->drift, DRIFT_MS, 0);
}

static void on_drift(void *ctx)
{
	struct cox_deploy *d = ctx;
	for (struct cox_map_entry *e = NULL; (e = cox_map_next(&d->jobs, e));)
		if (((struct job *)e->value)->is_needed)
			enqueue(d, e->value);
}

static void on_put(void *ctx, const struct cox_kube_item *item, struct cox_kube_entry *e)
{
	(void)item;
	if (e->flags) /* one that is listed at first was just applied, or will be */
		mark(ctx, e->ns, e->name);
	e->flags = 1;
}
static void on_remove(void *ctx, struct cox_kube_entry *e)
{
	struct cox_deploy *d = ctx;
	if (d->is_leader)
		mark(d, e->ns, e->name);
}
static void on_synced(void *ctx, enum cox_rc rc) { (void)ctx, (void)rc; }
static void on_trouble(void *ctx, enum cox_rc rc, const struct cox_err *err)
{
	(void)ctx;
	if (rc != COX_OK)
		cox_log(COX_LOG_DEBUG, "deploy", "what is deployed cannot be watched error=\"%s\"", err->text);
}

/* Only where something was deployed. */
static void watches_open(struct cox_deploy *d)
{
	struct cox_kube_watch_cb cb = { .put = on_put, .remove = on_remove, .synced = on_synced, .trouble = on_trouble, .ctx = d };
	for (size_t i = 0; i < COX_LEN(kinds); i++)
		if (kinds[i].is_watched && !d->watches[i])
			cox_kube_watch_open(d->c,
			                    &(struct cox_kube_watch_spec){ .group = cox_str_of(kinds[i].group),
			                                                   .plural = cox_str_of(kinds[i].plural),
			                                                   .kind = cox_str_of(kinds[i].kind),
			                                                   .versions = cox_str_of(kinds[i].version),
			                                                   .label_selector = COX_STR(MANAGED_LABEL "=" MANAGED_VALUE),
			                                                   .metadata_only = true },
			                    &cb, &d->watches[i]);
}

static void watches_close(struct cox_deploy *d)
{
	for (size_t i = 0; i < COX_LEN(kinds); i++)
		cox_kube_watch_close(&d->watches[i]);
}

/* --- the interface -------------------------------------------------------------------------------------------------- */

static struct job *job_get(struct cox_deploy *d, struct cox_str ns, struct cox_str name)
{
	struct cox_buf key = { 0 };
	cox_buf_printf(&key, "%.*s/%.*s", COX_FMT(ns), COX_FMT(name));
	struct job *j = cox_map_find(&d->jobs, cox_buf_str(&key));
	if (!j) {
		j = cox_zalloc(sizeof(*j) + key.n);
		memcpy(j->text, key.p, key.n);
		j->key = cox_str_make(j->text, key.n);
		cox_map_set(&d->jobs, j->key, j);
	}
	cox_buf_fini(&key);
	return j;
}

void cox_deploy_set(struct cox_deploy *d, struct cox_str ns, struct cox_str name, const struct cox_json *documents)
{
	size_t known = d->jobs.n;
	struct job *j = job_get(d, ns, name);
	if (!documents) {
		job_free(d, j);
		return;
	}
	/* A request in flight ends for a job that is not in hand any more: what it says is nobody's. */
	if (d->current == j)
		d->current = NULL;
	documents_fini(j);
	for (size_t i = 0; i < documents->n; i++)
		document_add(j, &documents->items[i]);
	if (d->is_leader && ns.n)
		watches_open(d);
	if (known < d->jobs.n && ns.n && d->is_leader && d->makes_classes)
		enqueue(d, job_get(d, COX_STR(""), COX_STR("classes"))); /* the kind may have come since */
	enqueue(d, j);
}

size_t cox_deploy_waiting(const struct cox_deploy *d)
{
	size_t n = d->current != NULL;
	for (const struct job *j = d->queue; j; j = j->next)
		n++;
	return n;
}

static void classes_set(struct cox_deploy *d)
{
	static const char text[] =
	    "[{\"apiVersion\":\"gateway.networking.k8s.io/v1\",\"kind\":\"GatewayClass\",\"metadata\":{\"name\":\"istio\"},"
	    "\"spec\":{\"controllerName\":\"istio.io/gateway-controller\",\"description\":\"Gateways that the mesh "
	    "deploys.\"}},"
	    "{\"apiVersion\":\"gateway.networking.k8s.io/v1\",\"kind\":\"GatewayClass\",\"metadata\":{\"name\":"
	    "\"istio-remote\"},\"spec\":{\"controllerName\":\"istio.io/unmanaged-gateway\",\"description\":\"Gateways "
	    "that run in another cluster.\"}}]";
	struct cox_arena a = { 0 };
	struct cox_json *docs = NULL;
	enum cox_rc rc = cox_json_parse(&a, cox_str_of(text), &docs, NULL);
	COX_ASSERT(rc == COX_OK);
	cox_deploy_set(d, COX_STR(""), COX_STR("classes"), docs);
	cox_arena_fini(&a);
}

void cox_deploy_lead(struct cox_deploy *d, bool is_leader)
{
	if (d->is_leader == is_leader)
		return;
	d->is_leader = is_leader;
	if (!is_leader) {
		while (d->queue)
			unqueue(d, d->queue);
		watches_close(d);
		return;
	}
	if (d->makes_classes)
		classes_set(d);
	for (struct cox_map_entry *e = NULL; (e = cox_map_next(&d->jobs, e));) {
		watches_open(d);
		enqueue(d, e->value);
	}
}

void cox_deploy_open(struct cox_kube_client *client, bool makes_classes, struct cox_deploy **out)
{
	struct cox_deploy *d = COX_NEW(struct cox_deploy);
	d->c = client;
	d->makes_classes = makes_classes;
	d->queue_end = &d->queue;
	d->timer = cox_timer_new(cox_kube_client_loop(client), step, d);
	d->drift = cox_timer_new(cox_kube_client_loop(client), on_drift, d);
	d->backoff = (struct cox_kube_backoff){ .first_ms = 500, .max_ms = 30 * 1000 };
	*out = d;
}

void cox_deploy_close(struct cox_deploy **dp)
{
	struct cox_deploy *d = COX_MOVE(*dp);
	if (!d)
		return;
	d->is_leader = false;
	cox_kube_request_close(&d->request);
	watches_close(d);
	for (struct cox_map_entry *e = NULL; (e = cox_map_next(&d->jobs, NULL));)
		job_free(d, e->value);
	cox_map_fini(&d->jobs);
	cox_timer_free(&d->timer);
	cox_timer_free(&d->drift);
	cox_free(d);
}
