/* The node of a proxy's first message, read into a struct cox_proxy (protocol facts, section 2). */
#include "model/object.h"
#include "model/proxy.h"

#include <arpa/inet.h>
#include <stdlib.h>

enum { NODE_IPS_MAX = 32, IP_TEXT_MAX = 64 }; /* a pod has one or two addresses, a machine a handful */

static bool is_ip(struct cox_str s)
{
	char text[IP_TEXT_MAX];
	unsigned char bytes[sizeof(struct in6_addr)];
	if (s.n == 0 || s.n >= sizeof(text))
		return false;
	cox_str_to_cstr(s, text, sizeof(text));
	return inet_pton(AF_INET, text, bytes) == 1 || inet_pton(AF_INET6, text, bytes) == 1;
}

/* Metadata of agents are texts, but numbers and booleans are taken too. */
static struct cox_str meta_text(const struct cox_proxy *p, const char *key)
{
	const struct cox_json *v = cox_json_get(p->metadata, cox_str_of(key));
	if (!v)
		return (struct cox_str){ 0 };
	if (v->type == COX_JSON_BOOL)
		return v->boolean ? COX_STR("true") : COX_STR("false");
	return v->type == COX_JSON_STRING || v->type == COX_JSON_NUMBER ? v->text : (struct cox_str){ 0 };
}

static bool meta_bool(const struct cox_proxy *p, const char *key)
{
	struct cox_str v = meta_text(p, key);
	return cox_str_eq_nocase(v, COX_STR("true")) || cox_str_eq(v, COX_STR("1"));
}

static enum cox_rc split_id(struct cox_proxy *p, struct cox_str parts[4], struct cox_err *err)
{
	struct cox_str rest = p->id, part;
	size_t n = 0;
	while (cox_str_next(&rest, '~', &part))
		if (n++ < 4)
			parts[n - 1] = part;
	if (n != 4)
		return cox_err_set(err, COX_EINVAL, "node.id", "\"%.*s\" has %zu parts, not type~ip~id~domain", COX_FMT(p->id), n);
	if (cox_str_eq(parts[0], COX_STR("sidecar")))
		p->type = COX_PROXY_SIDECAR;
	else if (cox_str_eq(parts[0], COX_STR("router")))
		p->type = COX_PROXY_ROUTER;
	else
		return cox_err_set(err, COX_EINVAL, "node.id", "proxy type \"%.*s\" is not served (sidecar, router)", COX_FMT(parts[0]));
	return COX_OK;
}

/* The metadata's addresses win over the one in the id. */
static enum cox_rc read_ips(struct cox_proxy *p, struct cox_str id_ip, struct cox_err *err)
{
	struct cox_str rest = meta_text(p, "INSTANCE_IPS"), part;
	struct cox_str *ips = COX_ARENA_ARRAY(&p->arena, struct cox_str, NODE_IPS_MAX);
	size_t n = 0;
	while (rest.n > 0 && n < NODE_IPS_MAX && cox_str_next(&rest, ',', &part)) {
		part = cox_str_trim(part);
		if (is_ip(part))
			ips[n++] = part;
	}
	if (n == 0 && is_ip(id_ip))
		ips[n++] = id_ip;
	if (n == 0)
		return cox_err_set(err, COX_EINVAL, "node.id", "no valid IP address in the id (\"%.*s\") or in metadata INSTANCE_IPS",
		                   COX_FMT(id_ip));
	p->ips.p = ips;
	p->ips.n = n;
	return COX_OK;
}

static enum cox_rc read_names(struct cox_proxy *p, struct cox_str id, struct cox_str domain, struct cox_err *err)
{
	p->dns_domain = domain;
	p->ns = meta_text(p, "NAMESPACE");
	if (p->ns.n == 0) {
		ptrdiff_t dot = cox_str_find(domain, '.');
		p->ns = dot < 0 ? domain : cox_str_sub(domain, 0, (size_t)dot);
	}
	ptrdiff_t dot = cox_str_rfind(id, '.');
	p->name = dot < 0 ? id : cox_str_sub(id, 0, (size_t)dot);
	if (p->name.n == 0 || p->ns.n == 0)
		return cox_err_set(err, COX_EINVAL, "node.id", "\"%.*s\" has no %s", COX_FMT(p->id), p->name.n == 0 ? "name" : "namespace");
	return COX_OK;
}

static void read_labels(struct cox_proxy *p)
{
	const struct cox_json *labels = cox_json_get(p->metadata, COX_STR("LABELS"));
	if (!labels || labels->type != COX_JSON_OBJECT || labels->n == 0)
		return;
	struct cox_kv *kvs = COX_ARENA_ARRAY(&p->arena, struct cox_kv, labels->n);
	size_t n = 0;
	for (size_t i = 0; i < labels->n; i++)
		if (labels->members[i].value.type == COX_JSON_STRING)
			kvs[n++] = (struct cox_kv){ labels->members[i].key, labels->members[i].value.text };
	qsort(kvs, n, sizeof(*kvs), cox_kv_cmp_qsort);
	p->labels.p = kvs;
	p->labels.n = n;
}

static void read_locality(struct cox_proxy *p, const struct cox_json *node)
{
	p->region = cox_arena_str(&p->arena, cox_json_str_at(node, "locality.region"));
	p->zone = cox_arena_str(&p->arena, cox_json_str_at(node, "locality.zone"));
	p->sub_zone = cox_arena_str(&p->arena, cox_json_str_at(node, "locality.sub_zone"));
	if (p->region.n > 0)
		return;
	struct cox_str label = cox_locality_of_labels(p->labels.p, p->labels.n, &p->arena), part;
	struct cox_str *into[] = { &p->region, &p->zone, &p->sub_zone };
	for (size_t i = 0; i < COX_LEN(into) && label.n > 0 && cox_str_next(&label, '/', &part); i++)
		*into[i] = part;
}

static void read_extensions(struct cox_proxy *p, const struct cox_json *node)
{
	const struct cox_json *list = cox_json_get(node, COX_STR("extensions"));
	if (!list || list->type != COX_JSON_ARRAY)
		return;
	p->has_vhds = list->n > 0;
	for (size_t i = 0; i < list->n && p->klass == COX_CLASS_UPSTREAM; i++)
		if (cox_str_has_prefix(cox_json_str_at(&list->items[i], "name"), COX_STR("istio.")))
			p->klass = COX_CLASS_ISTIO;
}

static void read_switches(struct cox_proxy *p)
{
	struct cox_str mode = meta_text(p, "INTERCEPTION_MODE");
	p->interception = cox_str_eq(mode, COX_STR("TPROXY")) ? COX_INTERCEPT_TPROXY
	                  : cox_str_eq(mode, COX_STR("NONE")) ? COX_INTERCEPT_NONE
	                                                      : COX_INTERCEPT_REDIRECT;
	p->has_sds = !cox_str_eq(meta_text(p, "COXSWAIN_SDS"), COX_STR("none"));
	p->dns_capture = meta_bool(p, "DNS_CAPTURE");
	p->dns_auto_allocate = meta_bool(p, "DNS_AUTO_ALLOCATE");
	p->http10 = meta_bool(p, "HTTP10");
	p->balances_inbound = meta_bool(p, "INBOUND_LISTENER_EXACT_BALANCE");
	p->balances_outbound = meta_bool(p, "OUTBOUND_LISTENER_EXACT_BALANCE");
	p->is_unprivileged = meta_bool(p, "UNPRIVILEGED_POD");
	p->has_access_log_service = cox_json_str_at(p->metadata, "PROXY_CONFIG.envoyAccessLogService.address").n > 0;
	uint64_t port;
	if (cox_str_to_u64(meta_text(p, "HTTP_PROXY_PORT"), &port) == COX_OK && port <= UINT16_MAX)
		p->http_proxy_port = (uint16_t)port;
	struct cox_str idle = meta_text(p, "IDLE_TIMEOUT");
	if (idle.n > 0 && cox_duration_parse(idle, &p->idle_timeout_ns.v) == COX_OK)
		p->idle_timeout_ns.set = true;
}

static void read_identity(struct cox_proxy *p)
{
	p->service_account = meta_text(p, "SERVICE_ACCOUNT");
	p->cluster_id = meta_text(p, "CLUSTER_ID");
	p->network = meta_text(p, "NETWORK");
	p->node_name = meta_text(p, "NODE_NAME");
	p->mesh_id = meta_text(p, "MESH_ID");
	p->version = meta_text(p, "ISTIO_VERSION");
	p->workload = meta_text(p, "WORKLOAD_NAME");
	if (p->network.n == 0)
		p->network = cox_kv_get(p->labels.p, p->labels.n, COX_STR("topology.istio.io/network"));
	p->canonical_name = cox_canonical_name(p->labels.p, p->labels.n, p->workload.n > 0 ? p->workload : p->name);
	p->canonical_revision = cox_canonical_revision(p->labels.p, p->labels.n);
}

enum cox_rc cox_proxy_build(const struct cox_json *node, struct cox_proxy **out, struct cox_err *err)
{
	struct cox_proxy *p = COX_NEW(struct cox_proxy);
	cox_ref_init(&p->ref);
	struct cox_str parts[4] = { 0 };
	/* Not the whole node: its extension list alone takes tens of KiB. */
	p->id = cox_arena_str(&p->arena, cox_json_str_at(node, "id"));
	const struct cox_json *metadata = cox_json_get(node, COX_STR("metadata"));
	p->metadata = metadata && metadata->type == COX_JSON_OBJECT ? cox_json_clone(&p->arena, metadata) : cox_json_new_object(&p->arena);
	enum cox_rc rc = split_id(p, parts, err);
	if (rc == COX_OK)
		rc = read_ips(p, parts[1], err);
	if (rc == COX_OK)
		rc = read_names(p, parts[2], parts[3], err);
	if (rc != COX_OK) {
		cox_proxy_unref(p);
		return rc;
	}
	read_labels(p);
	read_locality(p, node);
	read_extensions(p, node);
	read_switches(p);
	read_identity(p);
	*out = p;
	return COX_OK;
}

const struct cox_proxy *cox_proxy_ref(const struct cox_proxy *p)
{
	cox_ref_get(&((struct cox_proxy *)p)->ref);
	return p;
}

void cox_proxy_unref(const struct cox_proxy *p)
{
	struct cox_proxy *mine = (struct cox_proxy *)p;
	if (!mine || !cox_ref_put(&mine->ref))
		return;
	cox_arena_fini(&mine->arena);
	cox_free(mine);
}
