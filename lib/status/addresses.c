#include "status/addresses.h"

#include "base/log.h"
#include "base/map.h"
#include "base/metric.h"
#include "kube/backoff.h"
#include "loop/timer.h"

enum { WRITE_MS = 100 }; /* between two writes: 10 a second, as for conditions */

struct wish { /* one entry, and the body of its apply */
	struct cox_str key;
	struct cox_buf path, body;
	char text[];
};

struct cox_addresses {
	struct cox_kube_client *c;
	struct cox_map wishes; /* "ns/name" */
	struct cox_kube_request *request;
	struct wish *current;
	struct cox_timer *timer;
	struct cox_kube_backoff backoff;
	bool is_leader;
};

static void wish_free(struct wish *w)
{
	if (!w)
		return;
	cox_buf_fini(&w->path);
	cox_buf_fini(&w->body);
	cox_free(w);
}

static void soon(struct cox_addresses *a, int64_t ms)
{
	if (a->is_leader && a->wishes.n && !a->request && !cox_timer_is_running(a->timer))
		cox_timer_start(a->timer, ms, 0);
}

static void on_applied(void *ctx, struct cox_kube_request *r, enum cox_rc rc, int status, struct cox_str body, const struct cox_err *err)
{
	struct cox_addresses *a = ctx;
	struct wish *w = COX_MOVE(a->current);
	int64_t wait_ms = WRITE_MS;
	(void)r, (void)body;
	a->request = NULL;
	cox_metric_add(COX_M_STATUS_WRITES, rc == COX_OK ? "written" : "error", 1);
	if (rc == COX_OK) {
		cox_kube_backoff_reset(&a->backoff);
	} else if (status != 404 && status != 400 && status != 422) {
		/* Again, unless there is something newer to say. */
		wait_ms = cox_kube_backoff_next_ms(&a->backoff);
		if (!cox_map_find(&a->wishes, w->key)) {
			cox_map_set(&a->wishes, w->key, w);
			w = NULL;
		}
	} else if (status != 404) {
		cox_log(COX_LOG_WARN, "status", "addresses are refused entry=%.*s error=\"%s\"", COX_FMT(w->key), err->text);
	}
	wish_free(w);
	soon(a, wait_ms);
}

static void step(void *ctx)
{
	struct cox_addresses *a = ctx;
	struct cox_map_entry *e = cox_map_next(&a->wishes, NULL);
	if (!a->is_leader || !e || a->request)
		return;
	struct wish *w = a->current = e->value;
	struct cox_kube_request_cb cb = { .on_done = on_applied, .ctx = a };
	cox_map_remove(&a->wishes, w->key);
	cox_kube_apply(a->c, cox_buf_str(&w->path), "coxswain-ip-autoallocate", cox_buf_str(&w->body), &cb, &a->request);
}

static void put(struct cox_arena *arena, struct cox_json *o, const char *key, struct cox_str s)
{
	cox_json_set(arena, o, cox_str_of(key), cox_json_new_str(arena, s));
}

static void body_write(struct cox_buf *out, struct cox_str ns, struct cox_str name, const struct cox_se_address *list, size_t n)
{
	struct cox_arena arena = { 0 }, *a = &arena;
	struct cox_json *root = cox_json_new_object(a), *meta = cox_json_new_object(a), *status = cox_json_new_object(a),
	                *addresses = cox_json_new_array(a);
	put(a, root, "apiVersion", COX_STR("networking.istio.io/v1"));
	put(a, root, "kind", COX_STR("ServiceEntry"));
	put(a, meta, "name", name);
	put(a, meta, "namespace", ns);
	cox_json_set(a, root, COX_STR("metadata"), meta);
	for (size_t i = 0; i < n; i++) {
		struct cox_json *item = cox_json_new_object(a);
		put(a, item, "value", list[i].value);
		put(a, item, "host", list[i].host);
		cox_json_push(a, addresses, item);
	}
	cox_json_set(a, status, COX_STR("addresses"), addresses);
	cox_json_set(a, root, COX_STR("status"), status);
	cox_json_write(out, root, 0, false);
	cox_arena_fini(a);
}

void cox_addresses_set(struct cox_addresses *a, struct cox_str ns, struct cox_str name, const struct cox_se_address *list, size_t n)
{
	if (!a->is_leader)
		return;
	struct wish *w = cox_zalloc(sizeof(*w) + ns.n + name.n + 1);
	memcpy(w->text, ns.p, ns.n);
	w->text[ns.n] = '/';
	memcpy(w->text + ns.n + 1, name.p, name.n);
	w->key = cox_str_make(w->text, ns.n + 1 + name.n);
	cox_kube_path(&w->path, COX_STR("networking.istio.io"), COX_STR("v1"), COX_STR("serviceentries"), ns, name, COX_STR("status"));
	body_write(&w->body, ns, name, list, n);
	wish_free(cox_map_set(&a->wishes, w->key, w));
	soon(a, 0);
}

size_t cox_addresses_waiting(const struct cox_addresses *a) { return a->wishes.n + (a->current != NULL); }

void cox_addresses_lead(struct cox_addresses *a, bool is_leader)
{
	a->is_leader = is_leader;
	if (!is_leader) /* the next leader finds them by itself */
		for (struct cox_map_entry *e = NULL; (e = cox_map_next(&a->wishes, e));) {
			struct wish *w = e->value;
			cox_map_remove(&a->wishes, w->key);
			wish_free(w);
		}
}

void cox_addresses_open(struct cox_kube_client *client, struct cox_addresses **out)
{
	struct cox_addresses *a = COX_NEW(struct cox_addresses);
	a->c = client;
	a->timer = cox_timer_new(cox_kube_client_loop(client), step, a);
	a->backoff = (struct cox_kube_backoff){ .first_ms = 500, .max_ms = 30 * 1000 };
	*out = a;
}

void cox_addresses_close(struct cox_addresses **ap)
{
	struct cox_addresses *a = COX_MOVE(*ap);
	if (!a)
		return;
	cox_kube_request_close(&a->request);
	cox_addresses_lead(a, false);
	wish_free(a->current);
	cox_map_fini(&a->wishes);
	cox_timer_free(&a->timer);
	cox_free(a);
}
