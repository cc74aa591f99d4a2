/* diff_hosts.c - what a changed route configuration means: hosts that lose or gain routes, destinations whose shares move. */
#include "tool/diff_priv.h"

static const struct cox_json *list_of(const struct cox_json *o, const char *member)
{
	const struct cox_json *v = cox_json_get(o, cox_str_of(member));
	return v && v->type == COX_JSON_ARRAY ? v : NULL;
}
static size_t count_of(const struct cox_json *list) { return list ? list->n : 0; }

static const struct cox_json *vhost_by_domain(const struct cox_json *config, struct cox_str domain)
{
	const struct cox_json *vhosts = list_of(config, "virtual_hosts");
	for (size_t i = 0; i < count_of(vhosts); i++) {
		const struct cox_json *d = list_of(&vhosts->items[i], "domains");
		for (size_t k = 0; k < count_of(d); k++)
			if (cox_str_eq(d->items[k].text, domain))
				return &vhosts->items[i];
	}
	return NULL;
}

static void host_add(struct diff_hosts *h, struct cox_json *into, struct cox_str config, struct cox_str domain, struct cox_str vhost)
{
	struct cox_json *o = cox_json_new_object(h->a);
	cox_json_set(h->a, o, COX_STR("host"), cox_json_new_str(h->a, domain));
	cox_json_set(h->a, o, COX_STR("routeConfiguration"), cox_json_new_str(h->a, config));
	cox_json_set(h->a, o, COX_STR("virtualHost"), cox_json_new_str(h->a, vhost));
	cox_json_push(h->a, into, o);
}

/* A virtual host that is gone takes its domains with it: the first stands for all, unless only some go. */
static void hosts_missing(struct diff_hosts *h, struct cox_str config, const struct cox_json *from, const struct cox_json *in,
                          struct cox_json *into)
{
	const struct cox_json *vhosts = list_of(from, "virtual_hosts");
	for (size_t i = 0; i < count_of(vhosts); i++) {
		const struct cox_json *d = list_of(&vhosts->items[i], "domains");
		for (size_t k = 0; k < count_of(d); k++)
			if (vhost_by_domain(in, d->items[k].text) == NULL)
				host_add(h, into, config, d->items[k].text, cox_json_str_at(&vhosts->items[i], "name"));
	}
}

/* --- shares --------------------------------------------------------------------------------------- */

/* "a 90 %, b 10 %", "redirect", "status 404". */
static struct cox_str destination_text(struct cox_arena *a, const struct cox_json *route)
{
	const struct cox_json *w = cox_json_at(route, "route.weighted_clusters.clusters");
	struct cox_buf b = { 0 };
	int64_t total = 0, n;
	for (size_t i = 0; i < count_of(w); i++)
		if (cox_json_get(&w->items[i], COX_STR("weight")) &&
		    cox_json_to_i64(cox_json_get(&w->items[i], COX_STR("weight")), &n) == COX_OK)
			total += n;
	for (size_t i = 0; i < count_of(w); i++) {
		const struct cox_json *weight = cox_json_get(&w->items[i], COX_STR("weight"));
		n = weight && cox_json_to_i64(weight, &n) == COX_OK ? n : 0;
		cox_buf_printf(&b, "%s%.*s %.4g %%", b.n ? ", " : "", COX_FMT(cox_json_str_at(&w->items[i], "name")),
		               total ? 100.0 * (double)n / (double)total : 0);
	}
	if (b.n == 0 && cox_json_get(route, COX_STR("redirect")))
		cox_buf_append_cstr(&b, "redirect");
	if (b.n == 0 && cox_json_get(route, COX_STR("direct_response")))
		cox_buf_printf(&b, "status %.*s",
		               COX_FMT(cox_json_at(route, "direct_response.status") ? cox_json_at(route, "direct_response.status")->text
		                                                                    : COX_STR("?")));
	if (b.n == 0)
		cox_buf_append_str(&b, cox_json_str_at(route, "route.cluster"));
	struct cox_str text = cox_arena_str(a, cox_buf_str(&b));
	cox_buf_fini(&b);
	return text;
}

/* The route with the same conditions: moved ones are the same route. */
static const struct cox_json *route_by_match(const struct cox_json *routes, const struct cox_json *match)
{
	for (size_t i = 0; i < count_of(routes); i++)
		if (cox_json_eq(cox_json_get(&routes->items[i], COX_STR("match")), match))
			return &routes->items[i];
	return NULL;
}

static void shift_add(struct diff_hosts *h, const struct cox_json *vhost, struct cox_str route, struct cox_str before, struct cox_str after)
{
	struct cox_json *o = cox_json_new_object(h->a);
	const struct cox_json *d = list_of(vhost, "domains");
	struct cox_str host = count_of(d) ? d->items[0].text : COX_STR("");
	for (size_t i = 0; i < h->shifts->n; i++) { /* the same in the route configuration of another port */
		const struct cox_json *s = &h->shifts->items[i];
		if (cox_str_eq(cox_json_str_at(s, "host"), host) && cox_str_eq(cox_json_str_at(s, "route"), route) &&
		    cox_str_eq(cox_json_str_at(s, "before"), before) && cox_str_eq(cox_json_str_at(s, "after"), after))
			return;
	}
	cox_json_set(h->a, o, COX_STR("host"), cox_json_new_str(h->a, host));
	cox_json_set(h->a, o, COX_STR("route"), cox_json_new_str(h->a, route));
	cox_json_set(h->a, o, COX_STR("before"), cox_json_new_str(h->a, before));
	cox_json_set(h->a, o, COX_STR("after"), cox_json_new_str(h->a, after));
	cox_json_push(h->a, h->shifts, o);
}

static void shifts(struct diff_hosts *h, const struct cox_json *before, const struct cox_json *after)
{
	const struct cox_json *old = list_of(before, "routes"), *now = list_of(after, "routes");
	for (size_t i = 0; i < count_of(now); i++) {
		const struct cox_json *was = route_by_match(old, cox_json_get(&now->items[i], COX_STR("match")));
		struct cox_str name = cox_json_str_at(&now->items[i], "name"), to = destination_text(h->a, &now->items[i]);
		struct cox_str from = was ? destination_text(h->a, was) : COX_STR("(no such route)");
		if (!cox_str_eq(from, to))
			shift_add(h, after, name, from, to);
	}
	for (size_t i = 0; i < count_of(old); i++)
		if (route_by_match(now, cox_json_get(&old->items[i], COX_STR("match"))) == NULL)
			shift_add(h, after, cox_json_str_at(&old->items[i], "name"), destination_text(h->a, &old->items[i]),
			          COX_STR("(no such route)"));
}

void diff_hosts_compare(struct diff_hosts *h, struct cox_str config, const struct cox_json *before, const struct cox_json *after)
{
	const struct cox_json *vhosts = list_of(after, "virtual_hosts");
	hosts_missing(h, config, before, after, h->lost);
	hosts_missing(h, config, after, before, h->gained);
	for (size_t i = 0; i < count_of(vhosts); i++) {
		const struct cox_json *d = list_of(&vhosts->items[i], "domains"), *was = NULL;
		for (size_t k = 0; k < count_of(d) && was == NULL; k++)
			was = vhost_by_domain(before, d->items[k].text);
		if (was && !cox_json_eq(was, &vhosts->items[i]))
			shifts(h, was, &vhosts->items[i]);
	}
}
