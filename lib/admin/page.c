/* page - the table of debug pages, and their way over HTTP. A page more is a row more. */
#include "admin/admin_priv.h"

#include <stdlib.h>

const char page_no_proxy_id[] = "You must provide a proxyID in the query string";
const char page_not_connected[] = "Proxy not connected to this Pilot instance. It may be connected to another instance.";
const char page_not_found[] = "404 page not found";

static void page_list(struct answer *w);
static void page_index(struct answer *w);

/* By name. */
static const struct admin_page pages[] = {
	{ "adsz", "streams now open: who, since when, what they watch; ?proxyID=pod.ns: one of them", page_ads, 0 },
	{ "authorizationz", "authorization policies by namespace", page_authorization, 0 },
	{ "cachez", "resources held, by type; ?sizes=true: their bytes; ?clear=true: everything is made anew once", page_cache, 0 },
	{ "certz", "the certificate authority: roots, chain, expiry, phase of a rotation; ?issued: what it issued", page_certs, 0 },
	{ "clusterz", "clusters whose endpoints are read", page_clusters, 0 },
	{ "config_dump", "?proxyID=pod.ns[&include_eds][&types=cds,lds][&as_sent]: what this proxy was sent, as Envoy's own dump shows it",
	  page_config_dump, PAGE_NAMESPACED },
	{ "configz", "configuration objects in force; ?all: Services, Pods and the like, too (never Secrets)", page_configs, 0 },
	{ "connections", "streams now open, in short", page_connections, 0 },
	{ "ecdsz", "?proxyID=pod.ns: extension configuration that this proxy was sent", page_ecds, 0 },
	{ "edsz", "?proxyID=pod.ns: endpoints that this proxy was sent", page_eds, PAGE_NAMESPACED },
	{ "endpointShardz", "endpoints by service, namespace and cluster", page_endpoints, 0 },
	{ "endpointz", "as endpointShardz", page_endpoints, 0 },
	{ "envoyfilterz", "for proxies that are patched alike, each patch of an EnvoyFilter and how many objects it changed", page_filters,
	  0 },
	{ "force_disconnect", "?proxyID=pod.ns: ends this proxy's stream", page_disconnect, PAGE_UNSAFE },
	{ "inject", "templates of the sidecar injector in force", page_inject, 0 },
	{ "instancesz", "for each proxy the services it is part of", page_instances, 0 },
	{ "list", "names of these pages", page_list, PAGE_ALIAS },
	{ "mcsz", "services of the Multi-Cluster Services API", page_mcs, 0 },
	{ "mesh", "the mesh configuration in force", page_mesh, 0 },
	{ "ndsz", "?proxyID=pod.ns: the name table that this proxy was sent", page_nds, PAGE_NAMESPACED },
	{ "networkz", "gateways between networks", page_networks, 0 },
	{ "push_status", "what is wrong with the configuration in force, by metric and object", page_push_status, 0 },
	{ "pushcontext", "policies and gateways between networks of the generation in force", page_push_context, 0 },
	{ "pushz", "the push engine's figures, and what the last pushes were for; ?proxyID=pod.ns: of this proxy", page_push, 0 },
	{ "registryz", "services", page_services, 0 },
	{ "resourcesz", "kinds that are watched", page_resources, 0 },
	{ "secretz", "which secrets proxies ask for, what they get, and why not the rest (never a key)", page_secrets, 0 },
	{ "sidecarz", "?proxyID=pod.ns: what this proxy's Sidecar lets it see", page_sidecar, 0 },
	{ "syncz", "what each proxy was sent and has acknowledged; ?namespace=ns: of one namespace", page_sync, 0 },
	{ "telemetryz", "telemetry policies by namespace; ?proxyID=pod.ns: those that apply to it", page_telemetry, 0 },
};
static const struct admin_page index_page = { "", "", page_index, 0 };

const struct admin_page *admin_page_find(const struct cox_admin *a, struct cox_str name)
{
	if (!name.n)
		return &index_page;
	for (size_t i = 0; i < COX_LEN(pages); i++)
		if (cox_str_eq_cstr(name, pages[i].name))
			return (pages[i].flags & PAGE_UNSAFE) && !a->opts.debug.is_unsafe_on ? NULL : &pages[i];
	return NULL;
}

/* Names as istioctl lists them, with the questions that Istio lists as pages of their own. */
static void page_list(struct answer *w)
{
	static const struct {
		const char *page, *name;
	} more[] = { { "adsz", "adsz?push=true" }, { "cachez", "cachez?clear=true" }, { "cachez", "cachez?sizes=true" } };
	w->out = cox_json_new_array(&w->arena);
	for (size_t i = 0; i < COX_LEN(pages); i++) {
		if ((pages[i].flags & PAGE_ALIAS) || !admin_page_find(w->a, cox_str_of(pages[i].name)))
			continue;
		cox_json_push(&w->arena, w->out, cox_json_new_str(&w->arena, cox_str_of(pages[i].name)));
		for (size_t k = 0; k < COX_LEN(more); k++)
			if (strcmp(more[k].page, pages[i].name) == 0 && (k || w->a->opts.debug.is_unsafe_on))
				cox_json_push(&w->arena, w->out, cox_json_new_str(&w->arena, cox_str_of(more[k].name)));
	}
}

/* No text from outside is in it. */
static void page_index(struct answer *w)
{
	struct cox_buf html = { 0 };
	cox_buf_append_cstr(&html, "<!DOCTYPE html><html><head><title>coxswaind debug pages</title></head><body><table>\n");
	for (size_t i = 0; i < COX_LEN(pages); i++) {
		const char *name = pages[i].name;
		if (admin_page_find(w->a, cox_str_of(name)))
			cox_buf_printf(&html, "<tr><td><a href=\"/debug/%s\">/debug/%s</a></td><td>%s</td></tr>\n", name, name,
			               pages[i].help);
	}
	cox_buf_append_cstr(&html, "</table><p>?pretty makes JSON easier to read.</p></body></html>\n");
	w->content_type = "text/html; charset=utf-8";
	w->text = cox_arena_str(&w->arena, cox_buf_str(&html));
	cox_buf_fini(&html);
}

bool page_find_proxy(struct answer *w, struct cox_xds_stream_info *out)
{
	struct cox_str id = w->params[PARAM_PROXY];
	if (!id.n)
		answer_say(w, 400, page_no_proxy_id);
	else if (cox_xds_server_find(w->a->opts.xds, id, w->only_ns, out) != COX_OK)
		answer_say(w, 404, page_not_connected);
	else
		return true;
	return false;
}

struct snapshot_call {
	struct cox_admin *a;
	const struct cox_snapshot *snapshot;
};
static void take_snapshot(void *arg)
{
	struct snapshot_call *c = arg;
	const struct cox_snapshot *s = cox_push_snapshot(c->a->opts.push);
	c->snapshot = s ? cox_snapshot_ref(s) : NULL;
}

const struct cox_snapshot *page_snapshot(struct answer *w)
{
	struct snapshot_call c = { .a = w->a };
	cox_loop_call(w->a->opts.config_loop, take_snapshot, &c);
	if (!c.snapshot)
		answer_say(w, 503, "sources are not complete yet");
	return c.snapshot;
}

/* --- over HTTP ----------------------------------------------------------------------------------------------------- */

static enum cox_rc next_part(void *ctx, struct cox_buf *part)
{
	struct answer *w = ctx;
	while (!w->is_over && !part->n)
		answer_next(w, part);
	return part->n ? COX_OK : COX_ENOTFOUND;
}
static void free_answer(void *ctx) { answer_free(ctx); }

static void reply(struct answer *w, struct cox_httpd_request *r)
{
	if (w->more) {
		cox_httpd_reply_stream(r, w->status, "application/json", next_part, w, free_answer);
		return;
	}
	struct cox_buf out = { 0 };
	answer_next(w, &out);
	cox_httpd_reply_buf_take(r, w->status, w->out ? "application/json" : w->content_type, &out);
	answer_free(w);
}

void admin_on_debug(void *ctx, struct cox_httpd_request *r)
{
	struct cox_admin *a = ctx;
	struct answer *w = answer_new(a);
	struct cox_str path = cox_httpd_path(r);
	const struct admin_page *page = admin_page_find(a, cox_str_sub(path, cox_min_size(sizeof("/debug/") - 1, path.n), path.n));
	struct admin_caller who;
	admin_access_ask(a, r, &w->arena, &who);
	enum cox_rc rc = admin_access_check(a, &who, page ? page->flags : 0, &w->arena, &w->only_ns);
	for (size_t i = 0; i < PARAM_COUNT; i++) {
		w->has_param[i] = cox_httpd_has_query(r, admin_param_names[i]);
		w->params[i] = cox_arena_str(&w->arena, cox_httpd_query(r, admin_param_names[i]));
	}
	if (rc == COX_EAUTH)
		answer_say(w, 401, "authentication required");
	else if (rc != COX_OK)
		answer_say(w, 403, "not for this identity");
	else if (!page)
		answer_say(w, 404, page_not_found);
	else
		page->open(w);
	reply(w, r);
}
