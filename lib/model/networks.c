#include "model/networks.h"
#include "codec/yaml.h"
#include "model/tables_priv.h"

#include <arpa/inet.h>

static const struct cox_field network_endpoints_fields[] = {
	F(network_endpoints, from_cidr, "fromCidr", STR, "Addresses in this range.", .one_of = 1, .one_of_required = 1, .pattern = "cidr"),
	F(network_endpoints, from_registry, "fromRegistry", STR, "All endpoints of this registry (a cluster's id).", .one_of = 1,
	  .one_of_required = 1),
};
static MESSAGE(network_endpoints, "NetworkEndpoints", "Which endpoints are on the network.");

static const struct cox_field network_gateway_spec_fields[] = {
	F(network_gateway_spec, registry_service_name, "registryServiceName", STR, "Service whose external addresses lead in.", .one_of = 1,
	  .one_of_required = 1, .pattern = "host"),
	F(network_gateway_spec, address, "address", STR, "IP address or name that leads in.", .one_of = 1, .one_of_required = 1,
	  .max_len = 253),
	F(network_gateway_spec, port, "port", I64, "Its port.", REQUIRED, .min = 1, .max = 65535),
	F(network_gateway_spec, locality, "locality", STR, "Where it is; localities are those of the endpoints behind it.",
	  .flags = COX_F_NO_EFFECT, .max_len = 2048),
};
static void gateway_check(const void *value, const char *path, struct cox_diags *d)
{
	const struct cox_network_gateway_spec *v = value;
	if (v->address.n && cox_format_check("ip", v->address) != NULL && cox_format_check("subdomain", v->address) != NULL)
		cox_diag_add(d, COX_SEV_WARNING, 0, path, "address: %.*s is neither an IP address nor a name: it leads nowhere",
		             COX_FMT(v->address));
}
static MESSAGE(network_gateway_spec, "NetworkGateway", "A gateway into the network.", .check = gateway_check);

static const struct cox_field network_fields[] = {
	F(network, endpoints, "endpoints", MSG, "Which endpoints are on it.", LIST, SUB(network_endpoints), .max_items = 1024),
	F(network, gateways, "gateways", MSG, "How other networks reach it.", LIST, SUB(network_gateway_spec), .max_items = 256),
};
static MESSAGE(network, "Network", "A network: its endpoints reach one another.");

static const struct cox_field mesh_networks_fields[] = {
	F(mesh_networks, networks, "networks", MSG_MAP, "Networks by name.", SUB(network), .max_items = 1024),
};
const struct cox_message cox_model_mesh_networks = { .name = "MeshNetworks",
	                                             .size_bytes = sizeof(struct cox_mesh_networks),
	                                             .fields = mesh_networks_fields,
	                                             .field_count = COX_LEN(mesh_networks_fields),
	                                             .doc = "The mesh's networks." };

enum cox_rc cox_mesh_networks_build(struct cox_str yaml, struct cox_arena *scratch, struct cox_diags *diags, struct cox_mesh_networks **out)
{
	size_t errors = diags->errors;
	struct cox_json *root = NULL;
	struct cox_err err = { 0 };
	int second_line;
	if (cox_yaml_one(scratch, yaml, COX_JSON_BYTES_MAX, &root, &second_line, &err) != COX_OK)
		cox_diag_add(diags, COX_SEV_ERROR, err.line, "", "%s", err.text);
	struct cox_mesh_networks *m = COX_ARENA_NEW(scratch, struct cox_mesh_networks);
	if (root && root->type != COX_JSON_NULL)
		m = cox_message_decode_borrowed(&cox_model_mesh_networks, root, "", scratch, diags);
	if (!m || diags->errors != errors)
		return COX_EINVAL;
	size_t bytes = cox_message_copy_bytes(&cox_model_mesh_networks, m);
	*out = cox_message_copy(&cox_model_mesh_networks, m, cox_alloc(bytes), bytes);
	return COX_OK;
}

/* --- which network ------------------------------------------------------------------------------------------------ */

/* Bytes of an address, 4 or 16; 0: it is none. */
static size_t ip_bytes(struct cox_str s, uint8_t out[16])
{
	char text[64];
	if (s.n >= sizeof(text))
		return 0;
	cox_str_to_cstr(s, text, sizeof(text));
	return inet_pton(AF_INET, text, out) == 1 ? 4 : inet_pton(AF_INET6, text, out) == 1 ? 16 : 0;
}

/* The length of the range if the address is in it, else -1. */
static int match_bits(struct cox_str range, const uint8_t *ip, size_t n)
{
	uint8_t base[16];
	ptrdiff_t slash = cox_str_find(range, '/');
	uint64_t bits = n * 8;
	if (ip_bytes(slash < 0 ? range : cox_str_sub(range, 0, (size_t)slash), base) != n)
		return -1;
	if (slash >= 0 && (cox_str_to_u64(cox_str_sub(range, (size_t)slash + 1, SIZE_MAX), &bits) != COX_OK || bits > n * 8))
		return -1;
	size_t whole = bits / 8, rest = bits % 8;
	if (memcmp(base, ip, whole) != 0 || (rest && ((base[whole] ^ ip[whole]) >> (8 - rest)) != 0))
		return -1;
	return (int)bits;
}

struct cox_str cox_mesh_networks_find(const struct cox_mesh_networks *m, struct cox_str address, struct cox_str cluster_id)
{
	uint8_t ip[16];
	size_t n = ip_bytes(address, ip);
	int best = -1;
	struct cox_str found = { 0 }, by_registry = { 0 };
	for (COX_EACH(struct cox_network, net, m->networks))
		for (COX_EACH(struct cox_network_endpoints, e, net->endpoints)) {
			int bits = n && e->from_cidr.n ? match_bits(e->from_cidr, ip, n) : -1;
			if (bits > best) {
				best = bits;
				found = net->key;
			}
			if (e->from_registry.n && cox_str_eq(e->from_registry, cluster_id) && !by_registry.n)
				by_registry = net->key;
		}
	return found.n ? found : by_registry;
}
