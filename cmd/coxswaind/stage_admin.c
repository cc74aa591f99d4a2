#include "stage_admin.h"
#include "env.h"
#include "stage_serve.h"
#include "stage_webhook.h"

#include "base/log.h"

static struct cox_json *inject_templates(void *ctx, struct cox_arena *arena) { return webhook_dump(ctx, arena); }

static struct cox_admin_debug debug_of_env(void)
{
	return (struct cox_admin_debug){ .is_off_on_http = !env_bool(ENV_ENABLE_DEBUG_ON_HTTP),
		                         .any_identity = !env_bool(ENV_ENABLE_DEBUG_ENDPOINT_AUTH),
		                         .allowed_namespaces = env_text(ENV_DEBUG_ENDPOINT_AUTH_ALLOWED_NAMESPACES),
		                         .is_unsafe_on = env_bool(ENV_UNSAFE_ENABLE_ADMIN_ENDPOINTS) };
}

enum cox_rc start_admin(struct daemon *d, struct cox_err *err)
{
	struct cox_addr addrs[2];
	uint16_t ports[3];
	char text[320];
	size_t n = 0;
	if (d->flags.has_http)
		addrs[n++] = d->flags.http;
	if (d->flags.has_monitoring)
		addrs[n++] = d->flags.monitoring;
	COX_TRY(cox_admin_open(&(struct cox_admin_options){ .config_loop = d->loop,
	                                                    .registry = d->registry,
	                                                    .push = d->push,
	                                                    .xds = d->xds,
	                                                    .ca = d->ca,
	                                                    .ledger = d->ledger,
	                                                    .authn = serve_authn(d),
	                                                    .debug = debug_of_env(),
	                                                    .inject = inject_templates,
	                                                    .inject_ctx = d,
	                                                    .version = COX_STR(COX_VERSION),
	                                                    .addrs = addrs,
	                                                    .addr_count = n,
	                                                    .ctrlz = d->flags.has_ctrlz ? &d->flags.ctrlz : NULL },
	                       &d->admin, ports, err));
	for (size_t i = 0; i < n; i++) {
		addrs[i].port = ports[i];
		cox_log(COX_LOG_INFO, "admin", "listening addr=%s", cox_addr_format(&addrs[i], text, sizeof(text)));
	}
	if (d->flags.has_ctrlz && ports[n]) {
		d->flags.ctrlz.port = ports[n];
		cox_log(COX_LOG_INFO, "admin", "ControlZ listening addr=%s", cox_addr_format(&d->flags.ctrlz, text, sizeof(text)));
	}
	return COX_OK;
}

void stop_admin(struct daemon *d) { cox_admin_close(&d->admin); }
