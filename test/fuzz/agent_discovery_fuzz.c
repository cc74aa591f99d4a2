/* What the agent reads of others: secret requests of Envoy, discovery responses, trust bundles, the CA's answer. The first byte says which.
 */
#include "agent/discovery.h"
#include "agent/file_secrets.h"
#include "agent/trust.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static bool is_inside(struct cox_str part, struct cox_str whole)
{
	return part.n == 0 || (part.p >= whole.p && part.p + part.n <= whole.p + whole.n);
}

static void fuzz_trust(struct cox_str text)
{
	struct cox_agent_trust *t = cox_agent_trust_new();
	struct cox_buf roots = { 0 };
	struct cox_err err = { 0 };
	if (cox_agent_trust_set_bundle(t, text, &err) == COX_OK) {
		cox_agent_trust_write(t, &roots);
		COX_ASSERT(roots.n != 0 && cox_agent_trust_info(t).has_bundle);
	} else {
		COX_ASSERT(err.text[0] != 0 && !cox_agent_trust_info(t).has_bundle);
	}
	(void)!cox_agent_trust_set_mesh(t, text, NULL);
	(void)!cox_agent_trust_set_issued(t, text, NULL);
	cox_agent_trust_write(t, &roots);
	cox_buf_fini(&roots);
	cox_agent_trust_free(&t);
}

static void fuzz_request(struct cox_str text, bool is_delta, struct cox_arena *arena)
{
	struct cox_discovery_request r;
	struct cox_str path, key;
	COX_ASSERT(is_inside(cox_discovery_request_node(text, is_delta), text));
	if (cox_discovery_request_read(text, is_delta, COX_AGENT_NAMES_MAX, arena, &r, NULL) != COX_OK)
		return;
	COX_ASSERT(r.name_n <= COX_AGENT_NAMES_MAX && is_inside(r.type_url, text) && is_inside(r.nonce, text) && is_inside(r.error, text));
	for (size_t i = 0; i < r.name_n; i++)
		(void)!cox_agent_file_secret_parse(r.names[i], &path, &key, NULL);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct cox_arena arena = { 0 };
	const struct cox_str *chain;
	size_t count;
	if (n == 0)
		return 0;
	struct cox_str text = cox_str_make(data + 1, n - 1);
	struct cox_agent_response a;
	switch (data[0] % 6) {
	case 0: fuzz_request(text, false, &arena); break;
	case 1: fuzz_request(text, true, &arena); break;
	case 2:
	case 3:
		if (cox_agent_response_read(text, data[0] % 2, &a, NULL) == COX_OK)
			COX_ASSERT(is_inside(a.first, text) && is_inside(a.type_url, text) && (a.resource_n != 0 || a.first.n == 0));
		break;
	case 4: fuzz_trust(text); break;
	default:
		if (cox_agent_csr_response_read(text, &arena, &chain, &count, NULL) == COX_OK)
			COX_ASSERT(count >= 2 && count <= COX_AGENT_ROOTS_MAX && is_inside(chain[count - 1], text));
	}
	cox_arena_fini(&arena);
	return 0;
}
