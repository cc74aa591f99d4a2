#include "model/mesh_priv.h"

#include <stdio.h>

static bool is_one_of(struct cox_str s, const char *const *list)
{
	for (; *list; list++)
		if (cox_str_eq_cstr(s, *list))
			return true;
	return false;
}

static const struct cox_provider *provider_find(const struct cox_mesh_config *m, struct cox_str name)
{
	for (COX_EACH(struct cox_provider, p, m->extension_providers))
		if (cox_str_eq(p->name, name))
			return p;
	return NULL;
}

/* Who uses a provider of this kind. Those that nothing uses yet are said, so that nobody waits for an effect. */
static void check_providers(const struct cox_mesh_config *m, struct cox_diags *d)
{
	static const char *const used[] = { "prometheus", "envoyFileAccessLog", NULL };
	static const char *const gone[] = { "lightstep", "stackdriver", "opencensus", NULL };
	for (size_t i = 0; i < m->extension_providers.n; i++) {
		const struct cox_provider *p = &m->extension_providers.p[i];
		char path[64];
		snprintf(path, sizeof(path), "extensionProviders[%zu]", i);
		if (!p->kind.n)
			cox_diag_add(d, COX_SEV_WARNING, 0, path, "provider %.*s is of no kind that is known", COX_FMT(p->name));
		else if (is_one_of(p->kind, gone))
			cox_diag_add(d, COX_SEV_WARNING, 0, path, "Envoy has nothing for %.*s any more; use opentelemetry",
			             COX_FMT(p->kind));
		else if (!is_one_of(p->kind, used))
			cox_diag_add(d, COX_SEV_WARNING, 0, path, "nothing uses providers of kind %.*s yet: no effect", COX_FMT(p->kind));
		if (provider_find(m, p->name) != p)
			cox_diag_add(d, COX_SEV_WARNING, 0, path, "there is another provider %.*s before it: no effect", COX_FMT(p->name));
	}
}

static void check_names(const struct cox_mesh_config *m, const struct cox_str *names, size_t n, const char *field, const char *kind,
                        struct cox_diags *d)
{
	static const char *const built_in[] = { "prometheus", "envoy", NULL };
	for (size_t i = 0; i < n; i++) {
		const struct cox_provider *p = provider_find(m, names[i]);
		char path[64];
		snprintf(path, sizeof(path), "defaultProviders.%s[%zu]", field, i);
		if (!p && !is_one_of(names[i], built_in))
			cox_diag_add(d, COX_SEV_WARNING, 0, path, "there is no provider %.*s in extensionProviders", COX_FMT(names[i]));
		else if (p && (!kind || !cox_str_eq_cstr(p->kind, kind)))
			cox_diag_add(d, COX_SEV_WARNING, 0, path, "provider %.*s is of kind %.*s, which nothing uses here: no effect",
			             COX_FMT(names[i]), COX_FMT(p->kind));
	}
}

/* istiod reads configuration over MCP (xds://), from a directory or from the cluster. Ours come by flags: a directory is --configDir. */
static void check_sources(const struct cox_mesh_config *m, struct cox_diags *d)
{
	for (size_t i = 0; i < m->config_sources.n; i++) {
		struct cox_str address = m->config_sources.p[i].address;
		char path[64];
		snprintf(path, sizeof(path), "configSources[%zu].address", i);
		if (cox_str_has_prefix(address, COX_STR("k8s://")))
			continue; /* what is read anyway */
		if (cox_str_has_prefix(address, COX_STR("fs://")))
			cox_diag_add(d, COX_SEV_WARNING, 0, path, "a directory is read with --configDir: no effect here");
		else
			cox_diag_add(d, COX_SEV_WARNING, 0, path,
			             "\"%.*s\" is not read: the cluster (k8s://) and, with --configDir, a directory are", COX_FMT(address));
	}
}

void cox_mesh_findings(const struct cox_mesh_config *m, struct cox_diags *d)
{
	const struct cox_default_providers *p = m->default_providers;
	check_providers(m, d);
	if (p) {
		check_names(m, p->metrics.p, p->metrics.n, "metrics", "prometheus", d);
		check_names(m, p->access_logging.p, p->access_logging.n, "accessLogging", "envoyFileAccessLog", d);
		check_names(m, p->tracing.p, p->tracing.n, "tracing", NULL, d);
	}
	check_sources(m, d);
	if (m->enable_envoy_access_log_service && !(m->default_config && m->default_config->access_log_service))
		cox_diag_add(d, COX_SEV_WARNING, 0, "enableEnvoyAccessLogService",
		             "counts for proxies whose ProxyConfig has envoyAccessLogService; defaultConfig has none");
	if (m->service_settings.n)
		cox_diag_add(d, COX_SEV_WARNING, 0, "serviceSettings", "one cluster is served: every service is local to it already");
	if (m->service_scope_configs.n)
		cox_diag_add(d, COX_SEV_WARNING, 0, "serviceScopeConfigs", "one cluster is served: every service is local to it already");
	for (size_t i = 0; i < m->ca_certificates.n; i++) {
		char path[64];
		snprintf(path, sizeof(path), "caCertificates[%zu]", i);
		if (!m->ca_certificates.p[i].pem.n && !m->ca_certificates.p[i].spiffe_bundle_url.n)
			cox_diag_add(d, COX_SEV_WARNING, 0, path, "without pem or spiffeBundleUrl: no effect");
	}
}
