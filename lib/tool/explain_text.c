/* explain_text.c - the answer for people: a line for each step, aligned; what it came from behind an arrow. */
#include "tool/explain_priv.h"

struct text {
	struct cox_buf *out;
	bool color;
};
enum style { PLAIN, BOLD, DIM, GOOD, BAD };

static void put(struct text *t, enum style style, struct cox_str s)
{
	static const char *const codes[] = { "", "\x1b[1m", "\x1b[2m", "\x1b[32m", "\x1b[31m" };
	bool on = t->color && style != PLAIN;
	cox_buf_printf(t->out, "%s%.*s%s", on ? codes[style] : "", COX_FMT(s), on ? "\x1b[0m" : "");
}

static void step(struct text *t, const char *name)
{
	put(t, BOLD, cox_str_of(name));
	for (size_t n = strlen(name); n < 16; n++)
		cox_buf_append_char(t->out, ' ');
}

static void more(struct text *t) { cox_buf_append_cstr(t->out, "                "); }
static void end(struct text *t) { cox_buf_append_char(t->out, '\n'); }

static struct cox_str str(const struct cox_json *o, const char *path)
{
	const struct cox_json *v = cox_json_at(o, path);
	return v && (v->type == COX_JSON_STRING || v->type == COX_JSON_NUMBER) ? v->text : (struct cox_str){ 0 };
}

static bool yes(const struct cox_json *o, const char *path)
{
	const struct cox_json *v = cox_json_at(o, path);
	return v && v->type == COX_JSON_BOOL && v->boolean;
}

static void source(struct text *t, const struct cox_json *s)
{
	if (s == NULL)
		return;
	put(t, DIM, COX_STR("  <- "));
	cox_buf_printf(t->out, "%.*s%s%.*s", COX_FMT(str(s, "object")), str(s, "field").n ? " " : "", COX_FMT(str(s, "field")));
	if (cox_json_get(s, COX_STR("delegatedBy")))
		source(t, cox_json_get(s, COX_STR("delegatedBy")));
}

static void compact(struct text *t, const char *name, const struct cox_json *v)
{
	if (v == NULL)
		return;
	more(t);
	cox_buf_printf(t->out, "%s ", name);
	if (v->type == COX_JSON_STRING || v->type == COX_JSON_NUMBER)
		cox_buf_append_str(t->out, v->text);
	else
		cox_json_write(t->out, v, 0, false);
	end(t);
}

static void endpoint(struct text *t, const struct cox_json *e)
{
	struct cox_str pod = str(e, "pod"), locality = str(e, "locality"), health = str(e, "health");
	more(t);
	put(t, yes(e, "usable") ? GOOD : DIM, str(e, "address"));
	cox_buf_printf(t->out, "  %.*s%s%.*s", COX_FMT(str(e, "tls")), pod.n ? "  " : "", COX_FMT(pod));
	cox_buf_printf(t->out, "%s%.*s", locality.n ? "  " : "", COX_FMT(locality));
	if (!cox_str_eq_cstr(str(e, "priority"), "0"))
		cox_buf_printf(t->out, "  priority %.*s", COX_FMT(str(e, "priority")));
	if (!cox_str_eq_cstr(health, "HEALTHY"))
		cox_buf_printf(t->out, "  %.*s", COX_FMT(health));
	end(t);
}

enum { ENDPOINTS_SHOWN = 8 };

static void cluster(struct text *t, const struct cox_json *c, bool alone)
{
	const struct cox_json *list = cox_json_get(c, COX_STR("policies")), *endpoints = cox_json_get(c, COX_STR("endpoints"));
	step(t, "cluster");
	if (!alone)
		cox_buf_printf(t->out, "%.*s %%  ", COX_FMT(str(c, "percent")));
	put(t, yes(c, "exists") ? BOLD : BAD, str(c, "name"));
	source(t, cox_json_get(c, COX_STR("subsetSource")) ? cox_json_get(c, COX_STR("subsetSource")) : cox_json_get(c, COX_STR("source")));
	end(t);
	if (!yes(c, "exists"))
		return;
	more(t);
	cox_buf_printf(t->out, "%.*s, %.*s, TLS: %.*s", COX_FMT(str(c, "type")), COX_FMT(str(c, "loadBalancer")), COX_FMT(str(c, "tls")));
	if (str(c, "sni").n)
		cox_buf_printf(t->out, " (SNI %.*s)", COX_FMT(str(c, "sni")));
	end(t);
	for (size_t i = 0; list && i < list->n; i++) {
		more(t);
		cox_buf_append_str(t->out, str(&list->items[i], "policy"));
		source(t, &list->items[i]);
		end(t);
	}
	compact(t, "limits", cox_json_get(c, COX_STR("circuitBreakers")));
	compact(t, "outlierDetection", cox_json_get(c, COX_STR("outlierDetection")));
	for (size_t i = 0; endpoints && i < endpoints->n && i < ENDPOINTS_SHOWN; i++)
		endpoint(t, &endpoints->items[i]);
	if (endpoints && endpoints->n > ENDPOINTS_SHOWN) {
		more(t);
		cox_buf_printf(t->out, "and %zu more endpoints\n", endpoints->n - ENDPOINTS_SHOWN);
	}
	if (endpoints == NULL && cox_str_eq_cstr(str(c, "type"), "EDS")) {
		more(t);
		put(t, BAD, COX_STR("no endpoints"));
		end(t);
	}
}

static void http(struct text *t, const struct cox_json *w)
{
	const struct cox_json *skipped = cox_json_get(w, COX_STR("skipped")), *action = cox_json_get(w, COX_STR("action"));
	step(t, "virtual host");
	cox_buf_printf(t->out, "%.*s (domain %.*s) of route configuration %.*s\n", COX_FMT(str(w, "virtualHost.name")),
	               COX_FMT(str(w, "virtualHost.domain")), COX_FMT(str(w, "routeConfiguration.name")));
	for (size_t i = 0; skipped && i < skipped->n; i++) {
		const struct cox_json *s = &skipped->items[i];
		step(t, i == 0 ? "not taken" : "");
		cox_buf_printf(t->out, "route %.*s %.*s: ", COX_FMT(str(s, "index")), COX_FMT(str(s, "name")));
		put(t, DIM, str(s, "why"));
		source(t, cox_json_get(s, COX_STR("source")));
		end(t);
	}
	if (cox_json_get(w, COX_STR("route")) == NULL)
		return;
	step(t, "route");
	cox_buf_printf(t->out, "%.*s ", COX_FMT(str(w, "route.index")));
	put(t, BOLD, str(w, "route.name"));
	cox_buf_printf(t->out, ": %.*s", COX_FMT(str(w, "route.by")));
	source(t, cox_json_at(w, "route.source"));
	end(t);
	for (size_t i = 0; action && i < action->n; i++) {
		char key[64];
		compact(t, cox_str_to_cstr(action->members[i].key, key, sizeof(key)), &action->members[i].value);
	}
}

static void walk(struct text *t, const struct cox_json *w)
{
	const struct cox_json *clusters = cox_json_get(w, COX_STR("clusters")), *unknown = cox_json_get(w, COX_STR("notEvaluated"));
	if (cox_json_get(w, COX_STR("listener"))) {
		step(t, "listener");
		put(t, BOLD, str(w, "listener.name"));
		if (str(w, "listener.via").n)
			cox_buf_printf(t->out, ", captured by %.*s", COX_FMT(str(w, "listener.via")));
		source(t, cox_json_at(w, "listener.source"));
		end(t);
	}
	if (cox_json_get(w, COX_STR("filterChain"))) {
		step(t, "filter chain");
		cox_buf_printf(t->out, "%.*s%s%.*s by %.*s: %.*s%s", COX_FMT(str(w, "filterChain.index")),
		               str(w, "filterChain.name").n ? " " : "", COX_FMT(str(w, "filterChain.name")),
		               COX_FMT(str(w, "filterChain.by")), COX_FMT(str(w, "filterChain.protocol")),
		               yes(w, "filterChain.requiresClientCertificate") ? ", requires a client certificate"
		               : yes(w, "filterChain.terminatesTls")           ? ", terminates TLS"
		                                                               : "");
		source(t, cox_json_at(w, "filterChain.source"));
		end(t);
	}
	if (cox_json_get(w, COX_STR("routeConfiguration")))
		http(t, w);
	for (size_t i = 0; clusters && i < clusters->n; i++)
		cluster(t, &clusters->items[i], clusters->n == 1);
	compact(t, "not evaluated: ", unknown);
}

static void result(struct text *t, const struct cox_json *a)
{
	bool good = cox_str_eq_cstr(str(a, "outcome"), "forward");
	step(t, "=>");
	put(t, good ? GOOD : BAD, str(a, "outcome"));
	if (str(a, "status").n)
		cox_buf_printf(t->out, " %.*s", COX_FMT(str(a, "status")));
	if (good)
		cox_buf_printf(t->out, " to %.*s", COX_FMT(str(a, "cluster")));
	if (str(a, "why").n)
		cox_buf_printf(t->out, ": %.*s", COX_FMT(str(a, "why")));
	end(t);
}

static void inbound(struct text *t, const struct cox_json *in)
{
	if (in == NULL)
		return;
	end(t);
	step(t, "at");
	cox_buf_printf(t->out, "%.*s", COX_FMT(str(in, "endpoint")));
	if (str(in, "pod").n)
		cox_buf_printf(t->out, ", pod %.*s", COX_FMT(str(in, "pod")));
	if (!yes(in, "hasProxy"))
		cox_buf_append_cstr(t->out, ": no proxy of the mesh; it gets what the client's proxy sends");
	end(t);
	if (!yes(in, "hasProxy"))
		return;
	step(t, "mTLS");
	cox_buf_append_str(t->out, str(in, "mtls.mode"));
	source(t, cox_json_at(in, "mtls.source"));
	end(t);
	walk(t, cox_json_get(in, COX_STR("walk")));
	result(t, cox_json_get(in, COX_STR("walk")));
}

void cox_explain_write(const struct cox_json *answer, bool color, struct cox_buf *out)
{
	struct text t = { out, color };
	const struct cox_json *notes = cox_json_get(answer, COX_STR("notes"));
	step(&t, "from");
	cox_buf_printf(out, "%.*s (%.*s, by its %s)\n", COX_FMT(str(answer, "from.proxy")), COX_FMT(str(answer, "from.kind")),
	               cox_str_eq_cstr(str(answer, "from.configuration"), "dump") ? "configuration dump" : "objects");
	step(&t, "to");
	cox_buf_printf(out, "%.*s://%.*s port %.*s", COX_FMT(str(answer, "to.scheme")), COX_FMT(str(answer, "to.host")),
	               COX_FMT(str(answer, "to.port")));
	cox_buf_printf(out, " at %.*s%s%.*s%s\n", COX_FMT(str(answer, "to.address").n ? str(answer, "to.address") : COX_STR("?")),
	               str(answer, "to.resolvedBy").n ? " (" : "", COX_FMT(str(answer, "to.resolvedBy")),
	               str(answer, "to.resolvedBy").n ? ")" : "");
	walk(&t, cox_json_get(answer, COX_STR("outbound")));
	result(&t, answer);
	inbound(&t, cox_json_get(answer, COX_STR("inbound")));
	for (size_t i = 0; notes && i < notes->n; i++) {
		step(&t, "note");
		cox_buf_append_str(out, notes->items[i].text);
		end(&t);
	}
}
