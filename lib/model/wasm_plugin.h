/*
 * wasm_plugin - WasmPlugin and TrafficExtension (extensions.istio.io): code that proxies run, WebAssembly or Lua.
 */
#ifndef COX_MODEL_WASM_PLUGIN_H
#define COX_MODEL_WASM_PLUGIN_H

#include "model/policy_target.h"

enum cox_wasm_pull { COX_WASM_PULL_UNSPECIFIED, COX_WASM_PULL_IF_NOT_PRESENT, COX_WASM_PULL_ALWAYS };
enum cox_wasm_fail { COX_WASM_FAIL_CLOSE, COX_WASM_FAIL_OPEN, COX_WASM_FAIL_RELOAD };
enum cox_wasm_type { COX_WASM_TYPE_UNSPECIFIED, COX_WASM_TYPE_HTTP, COX_WASM_TYPE_NETWORK };
enum cox_extension_phase { COX_PHASE_UNSPECIFIED, COX_PHASE_AUTHN, COX_PHASE_AUTHZ, COX_PHASE_STATS };

enum cox_wasm_value_from { COX_WASM_VALUE_INLINE, COX_WASM_VALUE_HOST };
struct cox_wasm_env {
	struct cox_str name, value;
	int value_from; /* enum cox_wasm_value_from */
};
struct cox_wasm_vm {
	COX_LIST(struct cox_wasm_env) env;
};
struct cox_wasm_config {
	struct cox_str url, sha256, image_pull_secret, verification_key, plugin_name;
	struct cox_str plugin_config;               /* JSON */
	int image_pull_policy, fail_strategy, type; /* the enums above */
	const struct cox_wasm_vm *vm_config;
};

struct cox_wasm_plugin {
	struct cox_policy_target target;
	struct cox_wasm_config wasm;
	int phase;                   /* enum cox_extension_phase */
	struct cox_opt_i64 priority; /* higher comes first */
	COX_LIST(struct cox_traffic_selector) match;
};
struct cox_wasm_plugin_object {
	const struct cox_wasm_plugin *spec;
};

struct cox_lua_config {
	struct cox_str inline_code;
};
struct cox_traffic_extension {
	struct cox_policy_target target; /* without `ref` */
	const struct cox_wasm_config *wasm;
	const struct cox_lua_config *lua; /* exactly one of the two */
	int phase;
	struct cox_opt_i64 priority;
	COX_LIST(struct cox_traffic_selector) match;
};
struct cox_traffic_extension_object {
	const struct cox_traffic_extension *spec;
};

#endif
