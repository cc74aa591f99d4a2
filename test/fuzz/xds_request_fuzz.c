/* The first byte picks the protocol, the rest is a request as a proxy sends it: what is read from it lies inside of it, and its node,
 * whatever it says, makes a proxy or an error that says why. covers: b1 b2 */
#include "envoy/transcode.h"
#include "model/proxy.h"
#include "xds/request.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Names are parts of the request, or copies in the arena: reading all of them finds those that are neither. */
static size_t read_all(const struct cox_xds_decoded *d)
{
	size_t sum = 0;
	for (size_t i = 0; i < d->type_url.n; i++)
		sum += (unsigned char)d->type_url.p[i];
	for (size_t i = 0; i < d->node.n; i++)
		sum += (unsigned char)d->node.p[i];
	return sum;
}

static void check_node(struct cox_str node, struct cox_arena *arena)
{
	struct cox_json *json = NULL;
	struct cox_proxy *proxy = NULL;
	struct cox_err err = { 0 };
	if (cox_envoy_to_json(cox_envoy_message_find(COX_STR("envoy.config.core.v3.Node")), node, 0, arena, &json, &err) != COX_OK) {
		if (!err.text[0])
			abort();
		return;
	}
	enum cox_rc rc = cox_proxy_build(json, &proxy, &err);
	if ((rc == COX_OK) != (proxy != NULL) || (rc != COX_OK && !err.text[0]))
		abort();
	if (proxy && (proxy->ips.n == 0 || proxy->ns.n == 0 || proxy->name.n == 0))
		abort();
	cox_proxy_unref(proxy);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct cox_arena arena = { 0 };
	struct cox_xds_decoded d = { 0 };
	struct cox_err err = { 0 };
	if (size == 0)
		return 0;
	enum cox_rc rc = cox_xds_request_decode(cox_str_make(data + 1, size - 1), data[0] & 1, &arena, &d, &err);
	if (rc != COX_OK && (!err.text[0] || (rc != COX_EPROTO && rc != COX_ELIMIT)))
		abort();
	if (rc == COX_OK && read_all(&d) != SIZE_MAX && d.node.n)
		check_node(d.node, &arena);
	cox_arena_fini(&arena);
	return 0;
}
