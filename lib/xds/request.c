#include "xds/request.h"

enum cox_rc cox_xds_request_decode(struct cox_str bytes, bool is_delta, struct cox_arena *arena, struct cox_xds_decoded *out,
                                   struct cox_err *err)
{
	struct cox_discovery_request r;
	COX_TRY(cox_discovery_request_read(bytes, is_delta, COX_XDS_NAMES_MAX, arena, &r, err));
	*out = (struct cox_xds_decoded){ .type_url = r.type_url,
		                         .error_code = r.error_code,
		                         .node = r.node,
		                         .request = { .type = cox_type_find(r.type_url),
		                                      .nonce = r.nonce,
		                                      .error = r.error,
		                                      .has_error = r.has_error,
		                                      .subscribe = r.names,
		                                      .subscribe_n = r.name_n,
		                                      .unsubscribe = r.unsubscribed,
		                                      .unsubscribe_n = r.unsubscribed_n,
		                                      .initial = r.initial,
		                                      .initial_n = r.initial_n,
		                                      .version = r.version } };
	return COX_OK;
}
