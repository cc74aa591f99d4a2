/* gateway_api_deploy - what is deployed for a Gateway that names no running Service: ServiceAccount, Deployment, Service, and where its
 * parameters ask for them HorizontalPodAutoscaler and PodDisruptionBudget. Names, labels and owners as istiod's, so that either takes the
 * other's over. The pods' own content is the injector's (template "gateway"). */
#include "convert/gateway_api_priv.h"

#include "codec/yaml.h"
#include "model/core.h"

#define MANAGED_LABEL "gateway.istio.io/managed"
#define CLASS_LABEL GA_GROUP "/gateway-class-name"
#define STATUS_PORT 15021

/* --- overlays ---------------------------------------------------------------------------------------------- */

static struct cox_json *of_name(struct cox_json *list, const struct cox_json *like)
{
	const struct cox_json *name = cox_json_get(like, COX_STR("name"));
	for (size_t i = 0; name && i < list->n; i++) {
		const struct cox_json *own = cox_json_get(&list->items[i], COX_STR("name"));
		if (own && own->type == COX_JSON_STRING && name->type == COX_JSON_STRING && cox_str_eq(own->text, name->text))
			return &list->items[i];
	}
	return NULL;
}

static void member_remove(struct cox_json *o, struct cox_str key)
{
	size_t kept = 0;
	for (size_t i = 0; i < o->n; i++)
		if (!cox_str_eq(o->members[i].key, key))
			o->members[kept++] = o->members[i];
	o->n = kept;
}

/* `over` onto `to`: objects member by member, lists of named things (containers, ports, volumes) by name, all else as a whole; null takes a
 * member away. */
static void overlay(struct ga *g, struct cox_json *to, const struct cox_json *over)
{
	for (size_t i = 0; i < over->n; i++) {
		struct cox_str key = over->members[i].key;
		const struct cox_json *v = &over->members[i].value;
		struct cox_json *was = (struct cox_json *)cox_json_get(to, key);
		if (v->type == COX_JSON_NULL) {
			member_remove(to, key);
		} else if (was && was->type == COX_JSON_OBJECT && v->type == COX_JSON_OBJECT) {
			overlay(g, was, v);
		} else if (was && was->type == COX_JSON_ARRAY && v->type == COX_JSON_ARRAY) {
			struct cox_json *list = cox_json_clone(g->a, was);
			bool is_named = v->n > 0;
			for (size_t k = 0; k < v->n; k++)
				is_named &= v->items[k].type == COX_JSON_OBJECT && cox_json_get(&v->items[k], COX_STR("name"));
			if (!is_named)
				list = cox_json_new_array(g->a);
			for (size_t k = 0; k < v->n; k++) {
				struct cox_json *same = is_named ? of_name(list, &v->items[k]) : NULL;
				if (same)
					overlay(g, same, &v->items[k]);
				else
					cox_json_push(g->a, list, &v->items[k]);
			}
			cox_json_set(g->a, to, key, list);
		} else {
			cox_json_set(g->a, to, key, v);
		}
	}
}

static const char *const parts[] = { "serviceAccount", "deployment", "service", "horizontalPodAutoscaler", "podDisruptionBudget" };
static void invalid_parameters(struct ga_gateway *gw, struct cox_str message)
{
	gw->accepted = (struct ga_fault){ "InvalidParameters", message };
}

static bool part_read(struct ga *g, struct ga_gateway *gw, const struct cox_kv *kv)
{
	struct cox_str map = gw->spec->infrastructure->parameters->name;
	struct cox_json *doc = NULL;
	struct cox_err err = { 0 };
	size_t part = 0;
	int second_line = 0;
	while (part < GA_PART_COUNT && !cox_str_eq_cstr(kv->key, parts[part]))
		part++;
	if (part == GA_PART_COUNT) {
		invalid_parameters(
		    gw, cox_arena_printf(g->a, "ConfigMap %.*s: %.*s is nothing that is deployed", COX_FMT(map), COX_FMT(kv->key)));
		return false;
	}
	bool is_read = cox_yaml_one(g->a, kv->value, COX_JSON_BYTES_MAX, &doc, &second_line, &err) == COX_OK;
	if (!is_read || (doc && doc->type != COX_JSON_OBJECT && doc->type != COX_JSON_NULL)) {
		invalid_parameters(gw, cox_arena_printf(g->a, "ConfigMap %.*s: %.*s: %s", COX_FMT(map), COX_FMT(kv->key),
		                                        is_read ? "is no object" : err.text));
		return false;
	}
	gw->params[part] = doc && doc->type == COX_JSON_OBJECT ? doc : cox_json_new_object(g->a);
	return true;
}

/* A ConfigMap of the Gateway's namespace. */
void ga_params_read(struct ga *g, struct ga_gateway *gw)
{
	const struct cox_gwapi_ref *ref = gw->spec->infrastructure ? gw->spec->infrastructure->parameters : NULL;
	if (!ref)
		return;
	if (ref->group.v.n || !cox_str_eq_cstr(ref->kind.v, "ConfigMap")) {
		invalid_parameters(gw, COX_STR("spec.infrastructure.parametersRef must be a ConfigMap"));
		return;
	}
	const struct cox_object *o = convert_find(g->run, COX_KIND_CONFIG_MAP, gw->o->meta.ns, ref->name);
	if (!o) {
		invalid_parameters(
		    gw, cox_arena_printf(g->a, "spec.infrastructure.parametersRef: there is no ConfigMap %.*s", COX_FMT(ref->name)));
		return;
	}
	for (COX_EACH(struct cox_kv, kv, COX_SPEC(cox_config_map, o)->data))
		if (!part_read(g, gw, kv))
			return;
}

/* --- documents --------------------------------------------------------------------------------------------- */

struct deployment {
	struct ga *g;
	struct ga_gateway *gw;
	struct cox_str name, account;
	struct cox_json *docs;
};

static void pairs_write(struct ga *g, struct cox_json *to, const struct cox_kv *p, size_t n, bool is_annotation)
{
	for (size_t i = 0; i < n; i++) {
		if (is_annotation && cox_str_has_prefix(p[i].key, COX_STR("gateway.istio.io/")))
			continue; /* about the Gateway itself */
		cox_json_set(g->a, to, p[i].key, cox_json_new_str(g->a, p[i].value));
	}
}

/* What the Gateway asks its infrastructure to bear; where it says nothing of it, what it bears itself. */
static void infrastructure_write(struct deployment *d, struct cox_json *meta)
{
	const struct cox_gwapi_infrastructure *i = d->gw->spec->infrastructure;
	const struct cox_meta *own = &d->gw->o->meta;
	struct cox_json *labels = convert_object_at(d->g->run, meta, "labels");
	pairs_write(d->g, labels, i ? i->labels.p : own->labels.p, i ? i->labels.n : own->labels.n, false);
	convert_str_at(d->g->run, labels, GA_NAME_LABEL, own->name);
	convert_str_at(d->g->run, labels, CLASS_LABEL, d->gw->spec->class_name);
	struct cox_json *annotations = convert_object_at(d->g->run, meta, "annotations");
	pairs_write(d->g, annotations, i ? i->annotations.p : own->annotations.p, i ? i->annotations.n : own->annotations.n, true);
}

static struct cox_json *doc_new(struct deployment *d, const char *version, const char *kind, struct cox_str name, struct cox_json **spec)
{
	struct ga *g = d->g;
	struct cox_json *doc = convert_object_push(g->run, d->docs);
	convert_str_at(g->run, doc, "apiVersion", cox_str_of(version));
	convert_str_at(g->run, doc, "kind", cox_str_of(kind));
	struct cox_json *meta = convert_object_at(g->run, doc, "metadata");
	convert_str_at(g->run, meta, "name", name);
	convert_str_at(g->run, meta, "namespace", d->gw->o->meta.ns);
	infrastructure_write(d, meta);
	convert_str_at(g->run, (struct cox_json *)cox_json_get(meta, COX_STR("labels")), MANAGED_LABEL, COX_STR(GA_MANAGED));
	/* With the Gateway goes what was deployed for it. */
	struct cox_json *owner = convert_object_push(g->run, convert_array_at(g->run, meta, "ownerReferences"));
	convert_str_at(g->run, owner, "apiVersion", COX_STR(GA_GROUP "/v1"));
	convert_str_at(g->run, owner, "kind", COX_STR("Gateway"));
	convert_str_at(g->run, owner, "name", d->gw->o->meta.name);
	convert_str_at(g->run, owner, "uid", d->gw->o->meta.uid);
	doc = &d->docs->items[d->docs->n - 1];
	if (spec)
		*spec = convert_object_at(g->run, doc, "spec");
	return &d->docs->items[d->docs->n - 1];
}

static void overlay_last(struct deployment *d, size_t part)
{
	if (d->gw->params[part])
		overlay(d->g, &d->docs->items[d->docs->n - 1], d->gw->params[part]);
}

static void template_write(struct deployment *d, struct cox_json *pod)
{
	struct convert_run *run = d->g->run;
	struct cox_json *meta = convert_object_at(run, pod, "metadata");
	infrastructure_write(d, meta);
	struct cox_json *labels = (struct cox_json *)cox_json_get(meta, COX_STR("labels"));
	convert_str_at(run, labels, "sidecar.istio.io/inject", COX_STR("true"));
	convert_str_at(run, labels, "service.istio.io/canonical-name", d->name);
	convert_str_at(run, labels, "service.istio.io/canonical-revision", COX_STR("latest"));
	struct cox_json *annotations = (struct cox_json *)cox_json_get(meta, COX_STR("annotations"));
	convert_str_at(run, annotations, "inject.istio.io/templates", COX_STR("gateway"));
	convert_str_at(run, annotations, "prometheus.io/path", COX_STR("/stats/prometheus"));
	convert_str_at(run, annotations, "prometheus.io/port", COX_STR("15020"));
	convert_str_at(run, annotations, "prometheus.io/scrape", COX_STR("true"));
	struct cox_json *spec = convert_object_at(run, pod, "spec");
	convert_str_at(run, spec, "serviceAccountName", d->account);
	/* Listeners of ports below 1024 are bound as a user without rights. */
	struct cox_json *sysctl =
	    convert_object_push(run, convert_array_at(run, convert_object_at(run, spec, "securityContext"), "sysctls"));
	convert_str_at(run, sysctl, "name", COX_STR("net.ipv4.ip_unprivileged_port_start"));
	convert_str_at(run, sysctl, "value", COX_STR("0"));
	struct cox_json *c = convert_object_push(run, convert_array_at(run, spec, "containers"));
	convert_str_at(run, c, "name", COX_STR("istio-proxy"));
	convert_str_at(run, c, "image", COX_STR("auto")); /* the injector's */
	struct cox_json *port = convert_object_push(run, convert_array_at(run, c, "ports"));
	convert_str_at(run, port, "name", COX_STR("status-port"));
	convert_i64_at(run, port, "containerPort", STATUS_PORT);
	convert_str_at(run, port, "protocol", COX_STR("TCP"));
}

/* No number of replicas: whoever scales it sets that. */
static void deployment_write(struct deployment *d)
{
	struct cox_json *spec;
	doc_new(d, "apps/v1", "Deployment", d->name, &spec);
	struct cox_json *selector = convert_object_at(d->g->run, convert_object_at(d->g->run, spec, "selector"), "matchLabels");
	convert_str_at(d->g->run, selector, GA_NAME_LABEL, d->gw->o->meta.name);
	template_write(d, convert_object_at(d->g->run, spec, "template"));
	overlay_last(d, GA_PART_DEPLOYMENT);
}

static bool has_port(const struct cox_json *ports, int64_t number)
{
	for (size_t i = 0; i < ports->n; i++) {
		int64_t v;
		if (cox_json_to_i64(cox_json_get(&ports->items[i], COX_STR("port")), &v) == COX_OK && v == number)
			return true;
	}
	return false;
}

static void port_write(struct deployment *d, struct cox_json *ports, struct cox_str name, int64_t number, struct cox_str protocol)
{
	char *lower = cox_arena_alloc(d->g->a, protocol.n + 1);
	for (size_t i = 0; i < protocol.n; i++)
		lower[i] = (char)(protocol.p[i] >= 'A' && protocol.p[i] <= 'Z' ? protocol.p[i] | 0x20 : protocol.p[i]);
	struct cox_str app = { lower, protocol.n };
	struct cox_json named = { .type = COX_JSON_OBJECT };
	cox_json_set(d->g->a, &named, COX_STR("name"), cox_json_new_str(d->g->a, name));
	if (of_name(ports, &named) || name.n > 63 || cox_format_check("dns1123", name))
		name = cox_arena_printf(d->g->a, "%.*s-%lld", COX_FMT(app), (long long)number);
	struct cox_json *p = convert_object_push(d->g->run, ports);
	convert_str_at(d->g->run, p, "name", name);
	convert_i64_at(d->g->run, p, "port", number);
	convert_str_at(d->g->run, p, "protocol", COX_STR("TCP"));
	convert_str_at(d->g->run, p, "appProtocol", app);
}

static void service_write(struct deployment *d)
{
	struct cox_json *spec;
	struct cox_str type =
	    cox_kv_get(d->gw->o->meta.annotations.p, d->gw->o->meta.annotations.n, COX_STR("networking.istio.io/service-type"));
	doc_new(d, "v1", "Service", d->name, &spec);
	convert_str_at(d->g->run, spec, "type", type.n ? type : COX_STR("LoadBalancer"));
	convert_str_at(d->g->run, spec, "ipFamilyPolicy", COX_STR("PreferDualStack"));
	for (COX_EACH(struct cox_gwapi_address, a, d->gw->spec->addresses))
		if (!type.n && !cox_json_get(spec, COX_STR("loadBalancerIP")))
			convert_str_at(d->g->run, spec, "loadBalancerIP", a->value);
	struct cox_json *ports = cox_json_new_array(d->g->a);
	port_write(d, ports, COX_STR("status-port"), STATUS_PORT, COX_STR("TCP"));
	for (size_t i = 0; i < d->g->listeners.n; i++) {
		const struct ga_listener *l = d->g->listeners.p[i];
		if (l->gateway == d->gw && l->protocol != GA_OTHER && l->spec->port.v > 0 && !has_port(ports, l->spec->port.v))
			port_write(d, ports, l->spec->name, l->spec->port.v, l->spec->protocol);
	}
	cox_json_set(d->g->a, spec, COX_STR("ports"), ports);
	convert_str_at(d->g->run, convert_object_at(d->g->run, spec, "selector"), GA_NAME_LABEL, d->gw->o->meta.name);
	overlay_last(d, GA_PART_SERVICE);
}

static void scaler_write(struct deployment *d)
{
	struct cox_json *spec;
	if (!d->gw->params[GA_PART_HPA])
		return;
	doc_new(d, "autoscaling/v2", "HorizontalPodAutoscaler", d->name, &spec);
	struct cox_json *target = convert_object_at(d->g->run, spec, "scaleTargetRef");
	convert_str_at(d->g->run, target, "apiVersion", COX_STR("apps/v1"));
	convert_str_at(d->g->run, target, "kind", COX_STR("Deployment"));
	convert_str_at(d->g->run, target, "name", d->name);
	overlay_last(d, GA_PART_HPA);
}

static void budget_write(struct deployment *d)
{
	struct cox_json *spec;
	if (!d->gw->params[GA_PART_PDB])
		return;
	doc_new(d, "policy/v1", "PodDisruptionBudget", d->name, &spec);
	convert_str_at(d->g->run, convert_object_at(d->g->run, convert_object_at(d->g->run, spec, "selector"), "matchLabels"),
	               GA_NAME_LABEL, d->gw->o->meta.name);
	overlay_last(d, GA_PART_PDB);
}

/* --- which ---------------------------------------------------------------------------------------------------- */

struct cox_str ga_deployment_name(struct ga *g, const struct ga_gateway *gw)
{
	const struct cox_meta *m = &gw->o->meta;
	struct cox_str own = cox_kv_get(m->annotations.p, m->annotations.n, COX_STR("gateway.istio.io/name-override"));
	return own.n ? own : cox_arena_printf(g->a, "%.*s-%.*s", COX_FMT(m->name), COX_FMT(gw->spec->class_name));
}

/* Gateways of class istio-remote stand in another cluster; a Hostname is that of a Service that somebody runs. */
static bool is_deployed(const struct ga_gateway *gw)
{
	for (COX_EACH(struct cox_gwapi_address, a, gw->spec->addresses))
		if (a->type.n && !cox_str_eq_cstr(a->type, "IPAddress"))
			return false;
	return !gw->is_remote;
}

void ga_deployments(struct ga *g)
{
	for (size_t i = 0; i < g->gateways.n; i++) {
		struct ga_gateway *gw = g->gateways.p[i];
		struct deployment d = { .g = g, .gw = gw, .name = ga_deployment_name(g, gw), .docs = cox_json_new_array(g->a) };
		const struct cox_meta *m = &gw->o->meta;
		if (!is_deployed(gw) || !m->uid.n || gw->accepted.reason)
			continue;
		struct cox_str account = cox_kv_get(m->annotations.p, m->annotations.n, COX_STR("gateway.istio.io/service-account"));
		d.account = account.n ? account : d.name;
		if (!account.n) {
			doc_new(&d, "v1", "ServiceAccount", d.account, NULL);
			overlay_last(&d, GA_PART_ACCOUNT);
		}
		deployment_write(&d);
		service_write(&d);
		scaler_write(&d);
		budget_write(&d);
		convert_deploy(g->run, gw->o, d.docs);
	}
}
