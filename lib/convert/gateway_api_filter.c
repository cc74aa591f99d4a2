/* gateway_api_filter - headers of filters as a VirtualService says them. */
#include "convert/gateway_api_priv.h"

static void pairs_write(struct ga *g, struct cox_json *ops, const char *key, const struct cox_gwapi_name_value *p, size_t n)
{
	struct cox_json *to = n ? convert_object_at(g->run, ops, key) : NULL;
	for (size_t i = 0; i < n; i++)
		if (!cox_json_get(to, p[i].name)) /* of equal names the first one counts */
			cox_json_set(g->a, to, p[i].name, cox_json_new_str(g->a, p[i].value));
}

static void ops_write(struct ga *g, struct cox_json *headers, const char *key, const struct cox_gwapi_header_filter *f)
{
	struct cox_json *ops = convert_object_at(g->run, headers, key);
	pairs_write(g, ops, "set", f->set.p, f->set.n);
	pairs_write(g, ops, "add", f->add.p, f->add.n);
	struct cox_json *remove = f->remove.n ? convert_array_at(g->run, ops, "remove") : NULL;
	for (size_t i = 0; i < f->remove.n; i++)
		convert_str_push(g->run, remove, f->remove.p[i]);
}

void ga_headers_write(struct ga *g, struct cox_json *to, const struct cox_gwapi_filter *filters, size_t n)
{
	const struct cox_gwapi_header_filter *request = NULL, *response = NULL;
	for (size_t i = 0; i < n; i++) {
		request = filters[i].request_headers ? filters[i].request_headers : request;
		response = filters[i].response_headers ? filters[i].response_headers : response;
	}
	if (!request && !response)
		return;
	struct cox_json *headers = convert_object_at(g->run, to, "headers");
	if (request)
		ops_write(g, headers, "request", request);
	if (response)
		ops_write(g, headers, "response", response);
}
