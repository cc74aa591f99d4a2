/* gateway_api_status - what Gateways and ListenerSets are told: conditions, listeners, addresses. */
#include "convert/gateway_api_priv.h"

#include "model/core.h"

struct cox_json *ga_condition_of(struct ga *g, struct cox_json *conditions, const struct cox_object *o, const char *type,
                                 const struct ga_fault *f, const char *good_reason, const char *good_message)
{
	bool is_good = !f || !f->reason;
	convert_condition(g->run, conditions, o, type, is_good, is_good ? good_reason : f->reason,
	                  is_good ? cox_str_of(good_message) : f->message);
	return conditions;
}

/* --- listeners --------------------------------------------------------------------------------------------- */

static void kinds_write(struct ga *g, struct cox_json *to, const struct ga_listener *l)
{
	struct cox_json *kinds = convert_array_at(g->run, to, "supportedKinds");
	for (int k = COX_KIND_HTTP_ROUTE; k <= COX_KIND_UDP_ROUTE; k++)
		if (l->kinds & GA_KIND_BIT(k)) {
			struct cox_json *kind = convert_object_push(g->run, kinds);
			convert_str_at(g->run, kind, "group", COX_STR(GA_GROUP));
			convert_str_at(g->run, kind, "kind", cox_kind_info((enum cox_kind)k)->name);
		}
}

/* What keeps a listener from serving; all is well: none. */
static struct ga_fault not_programmed(const struct ga_listener *l)
{
	const struct ga_fault *why[] = { &l->accepted, &l->conflict, &l->resolved, &l->gateway->accepted };
	for (size_t i = 0; i < COX_LEN(why); i++)
		if (why[i]->reason)
			return (struct ga_fault){ "Invalid", why[i]->message };
	if (l->gateway->bound.reason)
		return (struct ga_fault){ "Pending", l->gateway->bound.message };
	return (struct ga_fault){ 0 };
}

static bool is_invalid(const struct ga_listener *l) { return l->accepted.reason || l->conflict.reason || l->resolved.reason; }

static void listener_write(struct ga *g, struct cox_json *list, const struct ga_listener *l)
{
	struct cox_json *to = convert_object_push(g->run, list);
	convert_str_at(g->run, to, "name", l->spec->name);
	convert_i64_at(g->run, to, "attachedRoutes", (int64_t)l->attached_count);
	kinds_write(g, to, l);
	struct cox_json *conditions = convert_array_at(g->run, to, "conditions");
	struct ga_fault programmed = not_programmed(l);
	ga_condition_of(g, conditions, l->owner, "Accepted", l->accepted.reason ? &l->accepted : &l->conflict, "Accepted",
	                "The listener is accepted");
	if (l->conflict.reason)
		convert_condition(g->run, conditions, l->owner, "Conflicted", true, l->conflict.reason, l->conflict.message);
	else
		convert_condition(g->run, conditions, l->owner, "Conflicted", false, "NoConflicts",
		                  COX_STR("No other listener is in the way"));
	ga_condition_of(g, conditions, l->owner, "ResolvedRefs", &l->resolved, "ResolvedRefs", "All references are resolved");
	ga_condition_of(g, conditions, l->owner, "Programmed", &programmed, "Programmed", "The gateway's proxies get the listener");
}

/* Returns how many there are; *good: of them without a fault of their own. */
static size_t listeners_write(struct ga *g, struct cox_json *status, const struct cox_object *owner, size_t *good)
{
	size_t n = 0;
	struct cox_json *list = cox_json_new_array(g->a);
	*good = 0;
	for (size_t i = 0; i < g->listeners.n; i++) {
		const struct ga_listener *l = g->listeners.p[i];
		if (l->owner != owner)
			continue;
		listener_write(g, list, l);
		*good += !is_invalid(l);
		n++;
	}
	cox_json_set(g->a, status, COX_STR("listeners"), list);
	return n;
}

static void accepted_write(struct ga *g, struct cox_json *conditions, const struct cox_object *o, const struct ga_fault *own, size_t n,
                           size_t good)
{
	if (own->reason)
		ga_condition_of(g, conditions, o, "Accepted", own, "", "");
	else if (good < n)
		convert_condition(g->run, conditions, o, "Accepted", good > 0, "ListenersNotValid",
		                  COX_STR("Some listeners are not valid"));
	else
		ga_condition_of(g, conditions, o, "Accepted", NULL, "Accepted", "The object is accepted");
}

/* --- addresses ------------------------------------------------------------------------------------------------ */

static void address_write(struct ga *g, struct cox_json *list, bool is_host, struct cox_str value)
{
	struct cox_json *a = value.n ? convert_object_push(g->run, list) : NULL;
	if (!a)
		return;
	convert_str_at(g->run, a, "type", is_host ? COX_STR("Hostname") : COX_STR("IPAddress"));
	convert_str_at(g->run, a, "value", value);
}

/* A load balancer's addresses, else those within the cluster. */
static void addresses_write(struct ga *g, struct cox_json *status, const struct ga_gateway *gw)
{
	const struct cox_service *svc = gw->service ? COX_SPEC(cox_service, gw->service) : NULL;
	const struct cox_lb_status *lb = svc && svc->status ? svc->status->load_balancer : NULL;
	struct cox_json *list = cox_json_new_array(g->a);
	for (size_t i = 0; lb && i < lb->ingress.n; i++)
		address_write(g, list, !lb->ingress.p[i].ip.n, lb->ingress.p[i].ip.n ? lb->ingress.p[i].ip : lb->ingress.p[i].hostname);
	if (svc && !list->n)
		address_write(g, list, true, convert_host(g->run, gw->service->meta.name, gw->service->meta.ns));
	if (list->n)
		cox_json_set(g->a, status, COX_STR("addresses"), list);
}

static void gateway_status(struct ga *g, struct ga_gateway *gw)
{
	struct cox_json *status = cox_json_new_object(g->a);
	struct ga_fault programmed = gw->bound;
	bool takes_any_client = false;
	size_t good, n;
	addresses_write(g, status, gw);
	if (gw->set_count)
		convert_i64_at(g->run, status, "attachedListenerSets", (int64_t)gw->set_count);
	n = listeners_write(g, status, gw->o, &good);
	for (size_t i = 0; i < g->listeners.n; i++)
		takes_any_client |= g->listeners.p[i]->gateway == gw && g->listeners.p[i]->takes_any_client;
	if (gw->accepted.reason || (!good && !gw->set_count))
		programmed = (struct ga_fault){ "Invalid", gw->accepted.reason ? gw->accepted.message : COX_STR("no listener is valid") };
	struct cox_json *conditions = convert_array_at(g->run, status, "conditions");
	accepted_write(g, conditions, gw->o, &gw->accepted, n, good);
	ga_condition_of(g, conditions, gw->o, "Programmed", &programmed, "Programmed", "The gateway's proxies get its configuration");
	if (takes_any_client)
		convert_condition(g->run, conditions, gw->o, "InsecureFrontendValidationMode", true, "ConfigurationChanged",
		                  COX_STR("Clients without a valid certificate are let in (AllowInsecureFallback)"));
	convert_status(g->run, gw->o, status);
}

static void set_status(struct ga *g, const struct ga_set *s)
{
	struct cox_json *status = cox_json_new_object(g->a);
	size_t good, n = listeners_write(g, status, s->o, &good);
	struct ga_fault programmed = s->accepted.reason ? s->accepted : s->gateway->bound;
	if (!s->accepted.reason && !good)
		programmed = (struct ga_fault){ "Invalid", COX_STR("no listener is valid") };
	struct cox_json *conditions = convert_array_at(g->run, status, "conditions");
	accepted_write(g, conditions, s->o, &s->accepted, n, good);
	ga_condition_of(g, conditions, s->o, "Programmed", &programmed, "Programmed", "The gateway's proxies get the listeners");
	convert_status(g->run, s->o, status);
}

void ga_statuses(struct ga *g)
{
	for (size_t i = 0; i < g->gateways.n; i++)
		gateway_status(g, g->gateways.p[i]);
	for (size_t i = 0; i < g->sets.n; i++)
		set_status(g, g->sets.p[i]);
}
