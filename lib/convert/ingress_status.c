/* ingress_status - where the gateway is reached from outside: its Service's load balancer, or the nodes of its pods. As istiod does it. */
#include "convert/ingress_priv.h"

#include "model/core.h"

#include <stdlib.h>

typedef COX_VEC(struct cox_str) addresses;

static void add(addresses *to, struct cox_str address)
{
	for (size_t i = 0; i < to->n; i++)
		if (cox_str_eq(to->p[i], address))
			return;
	if (address.n)
		cox_vec_push(to, address);
}

static void add_service(struct convert_run *run, struct cox_str name, addresses *to)
{
	const struct cox_object *o = convert_find(run, COX_KIND_SERVICE, convert_root_ns(run), name);
	const struct cox_service *svc = o ? COX_SPEC(cox_service, o) : NULL;
	if (!svc || !svc->spec)
		return;
	if (cox_str_eq_cstr(svc->spec->type, "ExternalName")) {
		add(to, svc->spec->external_name);
		return;
	}
	const struct cox_lb_status *lb = svc->status ? svc->status->load_balancer : NULL;
	for (size_t i = 0; lb && i < lb->ingress.n; i++)
		add(to, lb->ingress.p[i].ip.n ? lb->ingress.p[i].ip : lb->ingress.p[i].hostname);
	for (COX_EACH(struct cox_str, ip, svc->spec->external_ips))
		add(to, *ip);
}

static void add_node(struct convert_run *run, struct cox_str name, addresses *to)
{
	const struct cox_object *o = convert_find(run, COX_KIND_NODE, (struct cox_str){ 0 }, name);
	const struct cox_node_status *status = o ? COX_SPEC(cox_node, o)->status : NULL;
	for (size_t i = 0; status && i < status->addresses.n; i++)
		if (cox_str_eq_cstr(status->addresses.p[i].type, "ExternalIP"))
			add(to, status->addresses.p[i].address);
}

/* Without a Service: gateways that listen on their nodes. */
static void add_pods(struct convert_run *run, addresses *to)
{
	const struct cox_object *const *pods;
	size_t n = convert_list(run, COX_KIND_POD, &pods);
	struct cox_str selector = ingress_selector(run);
	for (size_t i = 0; i < n; i++) {
		const struct cox_pod *pod = COX_SPEC(cox_pod, pods[i]);
		const struct cox_meta *m = &pods[i]->meta;
		if (cox_str_eq(m->ns, convert_root_ns(run)) &&
		    cox_str_eq(cox_kv_get(m->labels.p, m->labels.n, COX_STR("istio")), selector) && pod->spec && pod->status &&
		    cox_str_eq_cstr(pod->status->phase, "Running"))
			add_node(run, pod->spec->node_name, to);
	}
}

static bool is_ip(struct cox_str s)
{
	bool is_v4 = s.n > 0;
	for (size_t i = 0; i < s.n; i++) {
		if (s.p[i] == ':')
			return true;
		is_v4 &= s.p[i] == '.' || (s.p[i] >= '0' && s.p[i] <= '9');
	}
	return is_v4;
}

void ingress_statuses_convert(struct convert_run *run, const struct ingress_one *all, size_t n)
{
	addresses to = { 0 };
	struct cox_str service = convert_mesh(run)->ingress_service.v;
	if (service.n)
		add_service(run, service, &to);
	else
		add_pods(run, &to);
	if (to.n > 1)
		qsort(to.p, to.n, sizeof(*to.p), cox_str_cmp_qsort);
	struct cox_json *status = cox_json_new_object(convert_arena(run));
	struct cox_json *lb = convert_object_at(run, status, "loadBalancer");
	struct cox_json *list = to.n ? convert_array_at(run, lb, "ingress") : NULL;
	for (size_t i = 0; i < to.n; i++)
		convert_str_at(run, convert_object_push(run, list), is_ip(to.p[i]) ? "ip" : "hostname", to.p[i]);
	for (size_t i = 0; i < n; i++)
		convert_status(run, all[i].o, status);
	cox_vec_fini(&to);
}
