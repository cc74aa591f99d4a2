/* Secrets and ConfigMaps with TLS in them: a broken one does not replace the last good one. */
#include "registry/registry_priv.h"

#include "base/clock.h"
#include "base/metric.h"
#include "model/secret.h"

struct reg_bad_secret {
	size_t id_n;
	char *text; /* what is wrong with the newest version */
	bool has_last_good;
	char id[];
};

static bool is_concerned(const struct cox_registry *r, const struct cox_object *o)
{
	return o->kind == COX_KIND_SECRET || (o->kind == COX_KIND_CONFIG_MAP && !reg_mesh_is_input(r, o));
}

static void bad_free(struct reg_bad_secret *b)
{
	if (!b)
		return;
	cox_free(b->text);
	cox_free(b);
}

static void gauge(const struct cox_registry *r) { cox_metric_set(COX_M_BAD_SECRETS, NULL, (double)r->bad_secrets.n); }

void reg_secret_forget(struct cox_registry *r, struct cox_str id)
{
	struct reg_bad_secret *b = cox_map_remove(&r->bad_secrets, id);
	if (!b)
		return;
	bad_free(b);
	gauge(r);
}

static void note(struct cox_registry *r, const struct cox_object *o, struct cox_str text, bool has_last_good)
{
	struct reg_bad_secret *b = cox_zalloc(sizeof(*b) + o->id.n);
	reg_secret_forget(r, o->id);
	b->id_n = o->id.n;
	memcpy(b->id, o->id.p, o->id.n);
	b->text = cox_str_dup_cstr(text);
	b->has_last_good = has_last_good;
	cox_map_set(&r->bad_secrets, (struct cox_str){ b->id, b->id_n }, b);
	cox_metric_add(COX_M_SDS_CERT_ERRORS, NULL, 1);
	gauge(r);
}

bool reg_secret_is_usable(struct cox_registry *r, const struct cox_object *o, const struct cox_object *known)
{
	struct cox_tls_facts facts = { 0 }, before = { 0 };
	struct cox_err err = { 0 };
	int64_t now_s = cox_clock_wall_ms() / 1000;

	if (!is_concerned(r, o))
		return true;
	if (cox_tls_material_check(o, &facts, &err) != COX_OK) {
		note(r, o, cox_str_of(err.text), known != NULL);
		return false;
	}
	/* Without an older one that still holds, a certificate that has ended is better than none: some clients do not look at the time. */
	if (facts.cert_end_s > 0 && facts.cert_end_s <= now_s && known && cox_tls_material_check(known, &before, NULL) == COX_OK &&
	    before.cert_end_s > now_s) {
		note(r, o, COX_STR("the certificate has expired"), true);
		return false;
	}
	reg_secret_forget(r, o->id);
	return true;
}

void reg_secrets_fini(struct cox_registry *r)
{
	for (struct cox_map_entry *e = NULL; (e = cox_map_next(&r->bad_secrets, e));)
		bad_free(e->value);
	cox_map_fini(&r->bad_secrets);
}

/* --- findings ------------------------------------------------------------------------------------ */

enum { SOON_S = 7 * 24 * 3600 }; /* whoever renews does so much earlier: this one was forgotten */

static void when(int64_t seconds, char out[32]) { cox_clock_format(seconds * 1000, out); }

static bool add_expiry(const struct cox_object *o, int64_t now_s, struct cox_arena *arena, struct cox_registry_finding *out)
{
	struct cox_tls_facts facts = { 0 };
	char text[32];
	if (cox_tls_material_check(o, &facts, NULL) != COX_OK)
		return false;
	bool is_cert = facts.cert_end_s > 0 && (facts.ca_end_s == 0 || facts.cert_end_s <= facts.ca_end_s);
	int64_t end_s = is_cert ? facts.cert_end_s : facts.ca_end_s;
	if (end_s == 0 || end_s > now_s + SOON_S)
		return false;
	when(end_s, text);
	*out = (struct cox_registry_finding){
		.object_id = cox_arena_str(arena, o->id),
		.path = COX_STR("data"),
		.is_secret = true,
		.severity = end_s <= now_s ? COX_SEV_ERROR : COX_SEV_WARNING,
		.text = cox_arena_printf(arena, "%s %s at %s", is_cert ? "the certificate" : "a certificate of the authorities",
		                         end_s <= now_s ? "has expired" : "expires", text),
	};
	return true;
}

size_t reg_secret_findings_max(const struct cox_registry *r)
{
	return r->bad_secrets.n + r->stores[COX_KIND_SECRET].n + r->stores[COX_KIND_CONFIG_MAP].n;
}

size_t reg_secret_findings(const struct cox_registry *r, struct cox_arena *arena, struct cox_registry_finding *out)
{
	static const enum cox_kind kinds[] = { COX_KIND_SECRET, COX_KIND_CONFIG_MAP };
	int64_t now_s = cox_clock_wall_ms() / 1000;
	size_t n = 0;
	for (struct cox_map_entry *e = NULL; (e = cox_map_next(&r->bad_secrets, e));) {
		const struct reg_bad_secret *b = e->value;
		out[n++] = (struct cox_registry_finding){
			.object_id = cox_arena_str(arena, e->key),
			.path = COX_STR("data"),
			.severity = COX_SEV_ERROR,
			.is_secret = true,
			.text = cox_arena_printf(arena, "%s%s", b->text,
			                         b->has_last_good ? "; the last good version stays in force" : "; it is not served"),
		};
	}
	for (size_t k = 0; k < COX_LEN(kinds); k++)
		for (size_t i = 0; i < r->stores[kinds[k]].n; i++)
			if (is_concerned(r, r->stores[kinds[k]].p[i]))
				n += add_expiry(r->stores[kinds[k]].p[i], now_s, arena, &out[n]);
	return n;
}
