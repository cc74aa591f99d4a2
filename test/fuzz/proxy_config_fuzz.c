/* ProxyConfig from a pod: merged and decoded, written into a bootstrap, which is JSON whatever came in; and the mesh configuration. */
#include "agent/bootstrap.h"
#include "codec/json.h"
#include "model/mesh.h"

#include <stdlib.h>
#include <string.h>

static void check_bootstrap(const char *config, const char *annotation)
{
	const char *const env[] = { "POD_NAME=a", "POD_NAMESPACE=b", "INSTANCE_IP=10.0.0.1", config, NULL };
	struct cox_arena arena = { 0 };
	struct cox_buf text = { 0 }, note = { 0 };
	struct cox_err err = { 0 };
	struct cox_json *root;
	cox_buf_append_cstr(&note, "proxy.istio.io/config=");
	cox_buf_append_cstr(&note, annotation);
	struct cox_agent_bootstrap b = { .env = env,
		                         .type = COX_STR("sidecar"),
		                         .domain = COX_STR("cluster.local"),
		                         .annotations = cox_buf_str(&note),
		                         .xds_path = COX_STR("/x"),
		                         .sds_path = COX_STR("/s"),
		                         .admin_port = 1,
		                         .status_port = 2,
		                         .prometheus_port = 3,
		                         .health_port = 4 };
	if (cox_agent_bootstrap_build(&b, &text, &err) == COX_OK)
		COX_ASSERT(cox_json_parse(&arena, cox_buf_str(&text), &root, &err) == COX_OK);
	cox_buf_fini(&note);
	cox_buf_fini(&text);
	cox_arena_fini(&arena);
}

static void check_mesh(struct cox_str yaml)
{
	struct cox_arena arena = { 0 };
	struct cox_diags diags = { .arena = &arena };
	struct cox_mesh_config *mesh = NULL;
	if (cox_mesh_config_build(yaml, &arena, &diags, &mesh) == COX_OK) {
		cox_proxy_config_effective(mesh->default_config->raw, NULL, 0, COX_STR("r"), COX_STR("n"), NULL, 0, yaml, &arena, &diags);
		cox_free(mesh);
	}
	cox_arena_fini(&arena);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *config = malloc(size + sizeof("PROXY_CONFIG="));
	size_t half = size / 2;
	strcpy(config, "PROXY_CONFIG=");
	memcpy(config + 13, data, size);
	config[13 + size] = '\0';
	check_bootstrap(config, "");
	char *annotation = malloc(size - half + 1);
	memcpy(annotation, data + half, size - half);
	annotation[size - half] = '\0';
	config[13 + half] = '\0';
	check_bootstrap(config, annotation);
	check_mesh(cox_str_make((const char *)data, size));
	free(annotation);
	free(config);
	return 0;
}
