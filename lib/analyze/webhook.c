/* Webhooks of the control plane: injection that happens twice or not at all, and where an external control plane is. */
#include "analyze/analyze_priv.h"

#include "codec/fields.h"

#include <stdlib.h>

/* --- injection ------------------------------------------------------------------------------------------------ */

struct hook {
	const struct an_obj *config;
	const struct cox_json *hook;
	struct cox_str full; /* "config/hook" */
};
struct hooks {
	COX_VEC(struct hook) all;
	COX_VEC(struct cox_str) revisions;
};

static const char revision_label[] = "istio.io/rev";

static void add_revision(struct hooks *h, struct cox_str revision)
{
	for (size_t i = 0; i < h->revisions.n; i++)
		if (cox_str_eq(h->revisions.p[i], revision))
			return;
	cox_vec_push(&h->revisions, revision);
}

static size_t revisions_of_selector(struct hooks *h, const struct cox_json *selector)
{
	size_t n = 0;
	const struct cox_json *label = an_get(an_get(selector, "matchLabels"), revision_label);
	if (label)
		add_revision(h, an_text(label)), n++;
	AN_EACH(e, an_get(selector, "matchExpressions"))
	{
		if (!cox_str_eq_cstr(an_str(e, "key"), revision_label))
			continue;
		AN_EACH(value, an_get(e, "values"))
		add_revision(h, an_text(value)), n++;
	}
	return n;
}

static void collect(struct an_run *r, struct hooks *h)
{
	AN_EACH_OBJ(config, r, AN_MUTATING_WEBHOOK)
	{
		const struct cox_json *hooks = an_get(config->doc, "webhooks");
		bool is_ours = an_has_label(config, revision_label);
		if (is_ours)
			add_revision(h, an_label(config, revision_label));
		AN_EACH(hook, hooks)
		is_ours |= (revisions_of_selector(h, an_get(hook, "namespaceSelector")) +
		            revisions_of_selector(h, an_get(hook, "objectSelector"))) > 0 ||
		           cox_str_has_suffix(an_str(hook, "name"), COX_STR("istio.io"));
		AN_EACH(hook, hooks)
		if (is_ours)
			cox_vec_push(
			    &h->all,
			    ((struct hook){ config, hook, AN_PATH(r, "%.*s/%.*s", COX_FMT(config->name), COX_FMT(an_str(hook, "name"))) }));
	}
}

static struct cox_json *labels_make(struct an_run *r, const char *key, const char *value, const struct cox_str *revision)
{
	struct cox_json *o = cox_json_new_object(r->arena);
	if (value)
		(void)cox_json_set(r->arena, o, cox_str_of(key), cox_json_new_str(r->arena, cox_str_of(value)));
	if (revision)
		(void)cox_json_set(r->arena, o, cox_str_of(revision_label), cox_json_new_str(r->arena, *revision));
	return o;
}

/* With each combination of labels at most one webhook may act. */
static void check_overlap(struct an_run *r, const struct hooks *h, const struct cox_json *ns, const struct cox_json *pod)
{
	struct cox_str *others = COX_ARENA_ARRAY(r->arena, struct cox_str, h->all.n + 1);
	size_t *matching = COX_ARENA_ARRAY(r->arena, size_t, h->all.n + 1), n = 0;
	for (size_t i = 0; i < h->all.n; i++)
		if (an_label_selector_matches(an_get(h->all.p[i].hook, "namespaceSelector"), ns) &&
		    an_label_selector_matches(an_get(h->all.p[i].hook, "objectSelector"), pod))
			matching[n++] = i;
	for (size_t i = 0; i < n && n > 1; i++) {
		size_t k = 0;
		for (size_t j = 0; j < n; j++)
			if (j != i)
				others[k++] = h->all.p[matching[j]].full;
		const struct hook *hook = &h->all.p[matching[i]];
		an_report(
		    r, COX_AN_INVALID_WEBHOOK, hook->config, hook->hook, AN_PATH(r, "webhooks[%.*s]", COX_FMT(an_str(hook->hook, "name"))),
		    "acts on the same pods as %.*s: they may get two sidecars; make the selectors disjoint, or remove what is left of another "
		    "revision",
		    COX_FMT(an_join(r, others, k, ", ")));
	}
}

static void check_service(struct an_run *r, const struct hook *h)
{
	const struct cox_json *service = cox_json_at(h->hook, "clientConfig.service");
	if (service && !an_find(r, AN_SERVICE, an_str(service, "namespace"), an_str(service, "name")))
		an_report(
		    r, COX_AN_INVALID_WEBHOOK, h->config, service,
		    AN_PATH(r, "webhooks[%.*s].clientConfig.service", COX_FMT(an_str(h->hook, "name"))),
		    "there is no Service %.*s/%.*s: pods are not injected, and may not start; install the control plane, or remove the webhook",
		    COX_FMT(an_str(service, "namespace")), COX_FMT(an_str(service, "name")));
}

enum { REVISIONS_MAX = 20 }; /* combinations grow with the square; a cluster has two or three */

void an_webhooks(struct an_run *r)
{
	static const char *const ns_values[] = { NULL, "enabled", "disabled" }, *const pod_values[] = { NULL, "true", "false" };
	struct hooks h = { 0 };
	collect(r, &h);
	size_t revisions = cox_min_size(h.revisions.n, REVISIONS_MAX), n = 3 * (revisions + 1);
	for (size_t i = 0; i < n; i++)
		for (size_t k = 0; k < n; k++)
			check_overlap(
			    r, &h, labels_make(r, "istio-injection", ns_values[i % 3], i < 3 ? NULL : &h.revisions.p[i / 3 - 1]),
			    labels_make(r, "sidecar.istio.io/inject", pod_values[k % 3], k < 3 ? NULL : &h.revisions.p[k / 3 - 1]));
	for (size_t i = 0; i < h.all.n; i++)
		check_service(r, &h.all.p[i]);
	cox_vec_fini(&h.all);
	cox_vec_fini(&h.revisions);
}

/* --- an external control plane --------------------------------------------------------------------------------- */

/* The host of "https://host:port/path"; false: it is no URL. */
static bool host_of(struct cox_str url, struct cox_str *out)
{
	ptrdiff_t scheme = cox_str_search(url, COX_STR("://"));
	for (size_t i = 0; i < url.n; i++)
		if ((unsigned char)url.p[i] < 0x20 || url.p[i] == 0x7f || (scheme > 0 && url.p[i] == ' '))
			return false;
	if (scheme == 0)
		return false;
	struct cox_str rest = scheme < 0 ? COX_STR("") : cox_str_sub(url, (size_t)scheme + 3, url.n), host;
	(void)cox_str_next(&rest, '/', &host);
	ptrdiff_t bracket = cox_str_find(host, ']'), colon = cox_str_rfind(host, ':');
	if (host.n && host.p[0] == '[')
		host = bracket < 0 ? COX_STR("") : cox_str_sub(host, 1, (size_t)bracket - 1);
	else if (colon >= 0) {
		uint64_t port;
		struct cox_str digits = cox_str_sub(host, (size_t)colon + 1, host.n);
		if (digits.n && cox_str_to_u64(digits, &port) != COX_OK)
			return false;
		host = cox_str_sub(host, 0, (size_t)colon);
	}
	*out = host;
	return true;
}

static void check_address(struct an_run *r, const struct an_obj *config, const struct cox_json *hook)
{
	const struct cox_json *url = cox_json_at(hook, "clientConfig.url");
	struct cox_str name = an_str(hook, "name"), host = COX_STR("");
	struct cox_str path = AN_PATH(r, "webhooks[%.*s].clientConfig", COX_FMT(name));
	if (!url) {
		if (!cox_json_at(hook, "clientConfig.service"))
			an_report(r, COX_AN_EXTERNAL_CP_CONFIG, config, hook, path,
			          "has neither url nor service: nobody is asked; name the control plane");
	} else if (!host_of(an_text(url), &host))
		an_report(r, COX_AN_EXTERNAL_CP_CONFIG, config, url, path, "\"%.*s\" is no URL; write https://HOST:15017/...",
		          COX_FMT(an_text(url)));
	else if (host.n && !cox_format_check("ip", host))
		an_report(r, COX_AN_EXTERNAL_CP_ADDRESS, config, url, path,
		          "\"%.*s\" has an IP address; a hostname is better in production, for certificates and moves",
		          COX_FMT(an_text(url)));
}

void an_external_control_plane(struct an_run *r)
{
	AN_EACH_OBJ(config, r, AN_VALIDATING_WEBHOOK)
	if (cox_str_eq_cstr(config->name, "istiod-default-validator") || cox_str_has_prefix(config->name, COX_STR("istio-validator")))
		AN_EACH(hook, an_get(config->doc, "webhooks"))
	check_address(r, config, hook);
	AN_EACH_OBJ(config, r, AN_MUTATING_WEBHOOK)
	if (cox_str_has_prefix(config->name, COX_STR("istio-sidecar-injector")))
		AN_EACH(hook, an_get(config->doc, "webhooks"))
	check_address(r, config, hook);
}
