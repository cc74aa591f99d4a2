/* Objects as Secrets (and one ConfigMap): a watch of one name each, and writes that never overwrite what somebody else wrote
 * (resourceVersion, 409). */
#include "ca/store_priv.h"

#include "base/log.h"
#include "codec/b64.h"
#include "codec/json.h"
#include "kube/client.h"
#include "kube/kubeconfig.h"
#include "kube/watch.h"

#include <openssl/crypto.h>
#include <stdio.h>

struct object {
	struct kube_store *store;
	enum cox_ca_object id;
	char name[64];
	struct cox_kube_watch *watch;
	bool is_said; /* on_object came at least once */
	bool is_there;
	char version[32];                 /* of what is known: a write is of this one */
	struct cox_kube_request *request; /* a save */
	bool is_removal, is_new;
};
struct kube_store {
	struct cox_ca_store_ head;
	struct cox_kube_client *client;
	struct cox_buf ns;
	struct object objects[COX_CA_OBJECTS];
};

/* istiod's own type; it cannot be changed later. */
static const char *type_of(enum cox_ca_object o) { return o == COX_CA_OBJECT_ROOT ? "istio.io/ca-root" : "Opaque"; }

/* --- reading ----------------------------------------------------------------------------------------------- */

static enum cox_rc read_data(const struct cox_json *secret, bool is_plain, struct cox_arena *arena, struct cox_ca_entries *out)
{
	const struct cox_json *data = cox_json_get(secret, COX_STR("data"));
	for (size_t i = 0; data && data->type == COX_JSON_OBJECT && i < data->n; i++) {
		struct cox_str value = data->members[i].value.text;
		char name[64];
		if (data->members[i].key.n >= sizeof(name) || data->members[i].value.type != COX_JSON_STRING)
			continue;
		if (!is_plain)
			COX_TRY(cox_b64_decode(arena, value, true, &value));
		struct cox_buf *b = cox_ca_entries_add_(out, cox_str_to_cstr(data->members[i].key, name, sizeof(name)));
		cox_buf_reserve(b, value.n + 1);
		cox_buf_append_str(b, value);
	}
	return COX_OK;
}

static void on_put(void *ctx, const struct cox_kube_item *item, struct cox_kube_entry *e)
{
	struct object *o = ctx;
	struct cox_arena arena = { 0 };
	struct cox_ca_entries entries = { 0 };
	struct cox_json *secret;
	struct cox_err err;
	char version[32];
	(void)e;
	cox_str_to_cstr(item->resource_version, version, sizeof(version));
	/* Our own write comes back. */
	bool is_known = o->is_there && !strcmp(version, o->version);
	enum cox_rc rc = is_known || item->is_skipped ? COX_OK : cox_json_parse(&arena, item->text, &secret, &err);
	if (rc == COX_OK && !is_known && !item->is_skipped)
		rc = read_data(secret, o->id == COX_CA_OBJECT_MESH, &arena, &entries);
	if (rc != COX_OK) {
		cox_err_set(&err, COX_EINVAL, NULL, "%s cannot be read", o->name);
		o->store->head.cb.on_fault(o->store->head.cb.ctx, &err);
	} else if (!is_known) {
		o->is_said = o->is_there = true;
		memcpy(o->version, version, sizeof(version));
		o->store->head.cb.on_object(o->store->head.cb.ctx, o->id, &entries);
	}
	cox_ca_entries_fini_(&entries);
	cox_arena_fini(&arena);
}

static void say_absent(struct object *o)
{
	o->is_said = true;
	o->is_there = false;
	o->version[0] = 0;
	o->store->head.cb.on_object(o->store->head.cb.ctx, o->id, NULL);
}

static void on_remove(void *ctx, struct cox_kube_entry *e)
{
	struct object *o = ctx;
	(void)e;
	if (o->is_there)
		say_absent(o);
}

static void on_synced(void *ctx, enum cox_rc rc)
{
	struct object *o = ctx;
	struct cox_err err;
	if (rc != COX_OK) {
		cox_err_set(&err, rc, NULL, "%s in %s cannot be read: %s", o->name, o->store->ns.p, cox_rc_text(rc));
		o->store->head.cb.on_fault(o->store->head.cb.ctx, &err);
	} else if (!o->is_said) {
		say_absent(o);
	}
}

static void on_trouble(void *ctx, enum cox_rc rc, const struct cox_err *err)
{
	struct object *o = ctx;
	struct cox_err said;
	if (rc == COX_OK)
		return;
	cox_err_set(&said, rc, NULL, "%s in %s cannot be watched: %s", o->name, o->store->ns.p, err->text);
	o->store->head.cb.on_fault(o->store->head.cb.ctx, &said);
}

/* --- writing ------------------------------------------------------------------------------------------------- */

static void write_secret(const struct object *o, const struct cox_ca_entries *entries, struct cox_buf *out)
{
	size_t room = 512;
	for (size_t i = 0; i < entries->n; i++)
		room += entries->p[i].value.n * 4 / 3 + sizeof(entries->p[i].name) + 32;
	cox_buf_reserve(out, room);
	cox_buf_printf(out, "{\"apiVersion\":\"v1\",\"kind\":\"Secret\",\"type\":\"%s\",\"metadata\":{\"name\":\"%s\",\"namespace\":\"%s\"",
	               type_of(o->id), cox_ca_object_name_(o->id), o->store->ns.p);
	if (o->version[0])
		cox_buf_printf(out, ",\"resourceVersion\":\"%s\"", o->version);
	cox_buf_append_cstr(out, "},\"data\":{");
	for (size_t i = 0; i < entries->n; i++) {
		cox_buf_printf(out, "%s\"%s\":\"", i ? "," : "", entries->p[i].name);
		cox_b64_encode(out, cox_buf_str(&entries->p[i].value));
		cox_buf_append_char(out, '"');
	}
	cox_buf_append_cstr(out, "}}");
}

static void on_saved(void *ctx, struct cox_kube_request *r, enum cox_rc rc, int status, struct cox_str body, const struct cox_err *err)
{
	struct object *o = ctx;
	struct cox_arena arena = { 0 };
	struct cox_json *secret;
	struct cox_err said = { 0 };
	(void)r;
	o->request = NULL;
	if (rc == COX_OK) {
		o->is_there = !o->is_removal;
		o->version[0] = 0;
		if (!o->is_removal && cox_json_parse(&arena, body, &secret, NULL) == COX_OK)
			cox_str_to_cstr(cox_json_str_at(secret, "metadata.resourceVersion"), o->version, sizeof(o->version));
	} else if (status == 409 || (status == 404 && !o->is_new)) { /* 404 of a new one: there is no such namespace */
		rc = COX_EEXIST;
	} else {
		cox_err_set(&said, rc, NULL, "secret %s cannot be written: %s", cox_ca_object_name_(o->id), err->text);
	}
	cox_arena_fini(&arena);
	o->store->head.cb.on_saved(o->store->head.cb.ctx, o->id, rc, &said);
}

static void kube_save(struct cox_ca_store_ *head, enum cox_ca_object id, const struct cox_ca_entries *entries)
{
	struct object *o = &((struct kube_store *)head)->objects[id];
	struct cox_buf path = { 0 }, body = { 0 };
	struct cox_kube_request_cb cb = { .on_done = on_saved, .ctx = o };
	bool is_new = o->is_new = !o->is_there;
	cox_kube_path(&path, COX_STR(""), COX_STR("v1"), COX_STR("secrets"), cox_buf_str(&o->store->ns),
	              is_new ? COX_STR("") : cox_str_of(cox_ca_object_name_(id)), COX_STR(""));
	o->is_removal = entries == NULL;
	if (entries)
		write_secret(o, entries, &body);
	else
		cox_buf_printf(&body, "{\"apiVersion\":\"v1\",\"kind\":\"DeleteOptions\",\"preconditions\":{\"resourceVersion\":\"%s\"}}",
		               o->version);
	cox_kube_call(o->store->client,
	              !entries ? "DELETE"
	              : is_new ? "POST"
	                       : "PUT",
	              cox_buf_str(&path), cox_buf_str(&body), &cb, &o->request);
	cox_wipe(&body);
	cox_buf_fini(&body);
	cox_buf_fini(&path);
}

/* --- opening --------------------------------------------------------------------------------------------------- */

static void open_object(struct kube_store *s, enum cox_ca_object id, struct cox_str revision)
{
	struct object *o = &s->objects[id];
	char selector[96];
	bool is_map = id == COX_CA_OBJECT_MESH;
	o->store = s;
	o->id = id;
	/* A revision of its own has its own configuration. */
	bool is_revision = is_map && revision.n && !cox_str_eq(revision, COX_STR("default"));
	snprintf(o->name, sizeof(o->name), "%s%s%.*s", cox_ca_object_name_(id), is_revision ? "-" : "",
	         is_revision ? (int)cox_min_size(revision.n, 48) : 0, revision.p ? revision.p : "");
	snprintf(selector, sizeof(selector), "metadata.name=%s", o->name);
	cox_kube_watch_open(
	    s->client,
	    &(struct cox_kube_watch_spec){ .plural = is_map ? COX_STR("configmaps") : COX_STR("secrets"),
	                                   .kind = is_map ? COX_STR("ConfigMap") : COX_STR("Secret"),
	                                   .versions = COX_STR("v1"),
	                                   .ns = cox_buf_str(&s->ns),
	                                   .field_selector = cox_str_of(selector) },
	    &(struct cox_kube_watch_cb){ .put = on_put, .remove = on_remove, .synced = on_synced, .trouble = on_trouble, .ctx = o },
	    &o->watch);
}

enum cox_rc cox_ca_store_kube_(struct cox_loop *loop, const struct cox_ca_spec *spec, const struct cox_ca_store_cb *cb,
                               struct cox_ca_store_ **out, struct cox_err *err)
{
	static const struct cox_ca_store_ops_ ops = { kube_save };
	struct cox_kube_config config = { 0 };
	enum cox_rc rc = spec->kubeconfig ? cox_kube_config_load(&config, spec->kubeconfig, COX_STR(""), err)
	                                  : cox_kube_config_in_cluster(&config, cox_str_of(cox_env_get("KUBERNETES_SERVICE_HOST")),
	                                                               cox_str_of(cox_env_get("KUBERNETES_SERVICE_PORT")), NULL, err);
	if (rc != COX_OK) {
		cox_kube_config_fini(&config);
		return rc;
	}
	struct kube_store *s = COX_NEW(struct kube_store);
	s->head = (struct cox_ca_store_){ &ops, *cb, loop };
	cox_buf_append_str(&s->ns, spec->ns);
	cox_buf_cstr(&s->ns);
	s->client = cox_kube_client_new_take(loop, &config, &(struct cox_kube_client_spec){ .user_agent = "coxswain-ca-keeper" });
	for (int o = 0; o < COX_CA_OBJECTS; o++)
		open_object(s, (enum cox_ca_object)o, spec->revision);
	*out = &s->head;
	return COX_OK;
}
