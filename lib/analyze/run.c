/* One run: indexes, the analyzers, what is to be kept of what they say. */
#include "analyze/analyze_priv.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#define K(id) (1u << AN_##id)
static const struct analyzer {
	void (*run)(struct an_run *r);
	const char *name, *doc;
	uint32_t kinds;
} analyzers[] = {
#define X(function, name, kinds, doc) { function, name, doc, kinds },
#include "analyze/analyzer.def"
#undef X
};
/* What is in the cluster's own hands. */
enum { RUNTIME_KINDS = K(NAMESPACE) | K(NODE) | K(POD) | K(SECRET) | K(SERVICE) };

static const struct {
	enum an_kind kind; /* AN_KINDS: the mesh's own configuration */
	const char *name;
} schemas[] = {
	{ AN_AUTHORIZATION_POLICY, "schema.ValidationAnalyzer.AuthorizationPolicy" },
	{ AN_DESTINATION_RULE, "schema.ValidationAnalyzer.DestinationRule" },
	{ AN_ENVOY_FILTER, "schema.ValidationAnalyzer.EnvoyFilter" },
	{ AN_GATEWAY, "schema.ValidationAnalyzer.Gateway" },
	{ AN_KINDS, "schema.ValidationAnalyzer.MeshConfig" },
	{ AN_PEER_AUTHENTICATION, "schema.ValidationAnalyzer.PeerAuthentication" },
	{ AN_PROXY_CONFIG, "schema.ValidationAnalyzer.ProxyConfig" },
	{ AN_REQUEST_AUTHENTICATION, "schema.ValidationAnalyzer.RequestAuthentication" },
	{ AN_SERVICE_ENTRY, "schema.ValidationAnalyzer.ServiceEntry" },
	{ AN_SIDECAR, "schema.ValidationAnalyzer.Sidecar" },
	{ AN_TELEMETRY, "schema.ValidationAnalyzer.Telemetry" },
	{ AN_TRAFFIC_EXTENSION, "schema.ValidationAnalyzer.TrafficExtension" },
	{ AN_VIRTUAL_SERVICE, "schema.ValidationAnalyzer.VirtualService" },
	{ AN_WASM_PLUGIN, "schema.ValidationAnalyzer.WasmPlugin" },
	{ AN_WORKLOAD_ENTRY, "schema.ValidationAnalyzer.WorkloadEntry" },
	{ AN_WORKLOAD_GROUP, "schema.ValidationAnalyzer.WorkloadGroup" },
};

struct listed {
	const char *name, *doc;
};
static int cmp_listed(const void *a, const void *b) { return strcmp(((const struct listed *)a)->name, ((const struct listed *)b)->name); }

bool cox_analyze_list(size_t i, const char **name, const char **what)
{
	struct listed all[COX_LEN(analyzers) + COX_LEN(schemas)];
	size_t n = 0;
	for (size_t k = 0; k < COX_LEN(analyzers); k++)
		all[n++] = (struct listed){ analyzers[k].name, analyzers[k].doc };
	for (size_t k = 0; k < COX_LEN(schemas); k++)
		all[n++] = (struct listed){ schemas[k].name, "fields that are wrong, unknown or without effect" };
	if (i >= n)
		return false;
	qsort(all, n, sizeof(*all), cmp_listed);
	*name = all[i].name, *what = all[i].doc;
	return true;
}

/* --- saying ------------------------------------------------------------------------------------------------ */

void an_report(struct an_run *r, enum cox_analyze_code code, const struct an_obj *o, const struct cox_json *at, struct cox_str path,
               const char *fmt, ...)
{
	char text[1024];
	va_list ap;
	va_start(ap, fmt);
	int n = vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	struct cox_analyze_message *m = cox_vec_add(&r->messages);
	*m = (struct cox_analyze_message){ .code = code, .analyzer = r->analyzer, .path = path };
	m->text = cox_arena_str(r->arena, cox_str_make(text, n < 0 ? 0 : cox_min_size((size_t)n, sizeof(text) - 1)));
	if (!o)
		return;
	m->kind = o->kind_name, m->ns = o->ns, m->name = o->name;
	m->origin = o->full.n ? AN_PATH(r, "%.*s %.*s", COX_FMT(o->kind_name), COX_FMT(o->full)) : o->kind_name;
	m->file = o->from->file, m->cluster = o->from->cluster;
	m->line = at && at->line ? at->line : o->doc->line;
}

const struct an_obj *an_mesh_obj(struct an_run *r, const char *kind, const char *name)
{
	static const struct cox_json doc = { .type = COX_JSON_OBJECT };
	static const struct cox_analyze_doc from = { .doc = &doc };
	struct an_obj *o = COX_ARENA_NEW(r->arena, struct an_obj);
	*o = (struct an_obj){ .from = &from, .doc = &doc, .kind_name = cox_str_of(kind), .name = cox_str_of(name), .ns = r->root_ns };
	o->full = *name ? AN_PATH(r, "%.*s/%s", COX_FMT(r->root_ns), name) : COX_STR("");
	if (!*name) /* of no namespace: the cluster itself */
		o->ns = COX_STR("");
	return o;
}

/* --- what is kept -------------------------------------------------------------------------------------------- */

static bool glob(struct cox_str pattern, struct cox_str text)
{
	size_t p = 0, t = 0, star = SIZE_MAX, back = 0;
	while (t < text.n) {
		if (p < pattern.n && pattern.p[p] == '*')
			star = p++, back = t;
		else if (p < pattern.n && pattern.p[p] == text.p[t])
			p++, t++;
		else if (star != SIZE_MAX)
			p = star + 1, t = ++back;
		else
			return false;
	}
	while (p < pattern.n && pattern.p[p] == '*')
		p++;
	return p == pattern.n;
}

static bool asks_for_silence(const struct an_run *r, const struct cox_analyze_message *m, struct cox_str codes)
{
	struct cox_str code;
	(void)r;
	while (codes.n && cox_str_next(&codes, ',', &code)) {
		code = cox_str_trim(code);
		if (cox_str_eq_cstr(code, "*") || cox_str_eq_cstr(code, cox_analyze_code_info(m->code)->code))
			return true;
	}
	return false;
}

static bool is_suppressed(struct an_run *r, const struct cox_analyze_message *m)
{
	/* "Kind ns/name", and "Kind name.ns", as istioctl's own help writes it. */
	struct cox_str dotted = m->ns.n ? AN_PATH(r, "%.*s %.*s.%.*s", COX_FMT(m->kind), COX_FMT(m->name), COX_FMT(m->ns)) : m->origin;
	for (size_t i = 0; i < r->opts->suppress_n; i++) {
		const struct cox_analyze_suppression *s = &r->opts->suppress[i];
		if (cox_str_eq_cstr(s->code, cox_analyze_code_info(m->code)->code) &&
		    (glob(s->object, m->origin) || glob(s->object, dotted)))
			return true;
	}
	return false;
}

static bool is_kept(struct an_run *r, const struct cox_analyze_message *m, struct cox_str silenced)
{
	if (!m->origin.n)
		return true;
	struct cox_str ns = cox_str_eq_cstr(m->kind, "Namespace") ? m->name : m->ns;
	if (r->opts->only_ns.n && ns.n && !cox_str_eq(ns, r->opts->only_ns))
		return false;
	return !asks_for_silence(r, m, silenced) && !is_suppressed(r, m);
}

static struct cox_str silenced_of(struct an_run *r, const struct cox_analyze_message *m)
{
	for (int k = 0; k < AN_KINDS && m->origin.n; k++) {
		struct an_obj *o =
		    r->all[k].n && cox_str_eq(r->all[k].p[0]->kind_name, m->kind) ? an_find(r, (enum an_kind)k, m->ns, m->name) : NULL;
		if (o)
			return an_annotation(o, "galley.istio.io/analyze-suppress");
	}
	return COX_STR("");
}

static int cmp_message(const void *a, const void *b)
{
	const struct cox_analyze_message *x = a, *y = b;
	int c = (int)cox_analyze_code_info(x->code)->level - (int)cox_analyze_code_info(y->code)->level;
	c = c ? c : strcmp(cox_analyze_code_info(x->code)->code, cox_analyze_code_info(y->code)->code);
	c = c ? c : cox_str_cmp(x->kind, y->kind);
	c = c ? c : cox_str_cmp(x->name, y->name);
	c = c ? c : cox_str_cmp(x->ns, y->ns);
	c = c ? c : cox_str_cmp(x->cluster, y->cluster);
	c = c ? c : x->line - y->line;
	c = c ? c : cox_str_cmp(x->path, y->path);
	return c ? c : cox_str_cmp(x->text, y->text);
}

static void keep(struct an_run *r, struct cox_analyze_result *out)
{
	struct cox_analyze_message *kept = COX_ARENA_ARRAY(r->arena, struct cox_analyze_message, r->messages.n + 1);
	if (r->messages.n)
		qsort(r->messages.p, r->messages.n, sizeof(*r->messages.p), cmp_message);
	for (size_t i = 0; i < r->messages.n; i++) {
		const struct cox_analyze_message *m = &r->messages.p[i];
		if ((out->n && cmp_message(&kept[out->n - 1], m) == 0) || !is_kept(r, m, silenced_of(r, m)))
			continue;
		kept[out->n++] = *m;
	}
	out->items = kept;
}

/* --- the run ----------------------------------------------------------------------------------------------------- */

static bool is_named(const struct an_run *r, const char *name)
{
	for (size_t i = 0; i < r->opts->only_n; i++)
		if (cox_str_eq_cstr(r->opts->only[i], name))
			return true;
	return false;
}

static bool any_named(const struct an_run *r)
{
	for (size_t i = 0; i < COX_LEN(analyzers); i++)
		if (is_named(r, analyzers[i].name))
			return true;
	for (size_t i = 0; i < COX_LEN(schemas); i++)
		if (is_named(r, schemas[i].name))
			return true;
	return false;
}

static void run_schema(struct an_run *r, size_t i)
{
	r->analyzer = schemas[i].name;
	if (schemas[i].kind == AN_KINDS) {
		an_schema_mesh(r);
		return;
	}
	AN_EACH_OBJ(o, r, schemas[i].kind)
	an_schema(r, o);
}

void cox_analyze(const struct cox_analyze_options *options, struct cox_arena *arena, struct cox_analyze_result *out)
{
	struct an_run r = { .opts = options, .arena = arena };
	*out = (struct cox_analyze_result){ 0 };
	out->ran = COX_ARENA_ARRAY(arena, const char *, COX_LEN(analyzers) + COX_LEN(schemas));
	out->skipped = COX_ARENA_ARRAY(arena, const char *, COX_LEN(analyzers));
	struct cox_str root = cox_json_str_at(options->mesh, "rootNamespace");
	r.root_ns = root.n ? root : options->root_ns.n ? options->root_ns : COX_STR("istio-system");
	an_index_build(&r);
	if (options->precheck)
		an_precheck(&r);
	bool all = !any_named(&r);
	for (size_t i = 0; i < COX_LEN(analyzers) && !options->precheck; i++) {
		if (!all && !is_named(&r, analyzers[i].name))
			continue;
		if (options->is_partial && (analyzers[i].kinds & RUNTIME_KINDS)) {
			out->skipped[out->skipped_n++] = analyzers[i].name;
			continue;
		}
		r.analyzer = analyzers[i].name;
		r.pass++;
		analyzers[i].run(&r);
		out->ran[out->ran_n++] = analyzers[i].name;
	}
	for (size_t i = 0; i < COX_LEN(schemas) && !options->no_schemas && !options->precheck; i++)
		if (all || is_named(&r, schemas[i].name)) {
			run_schema(&r, i);
			out->ran[out->ran_n++] = schemas[i].name;
		}
	keep(&r, out);
	an_index_fini(&r);
	cox_vec_fini(&r.messages);
}
