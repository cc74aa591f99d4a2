#include "model/wasm_plugin.h"
#include "model/policy_priv.h"

#include <string.h>

/* --- WebAssembly, in both kinds --- */

static const struct cox_field wasm_env_fields[] = {
	F(wasm_env, name, "name", STR, "Name of the variable.", REQUIRED, .pattern = "nonEmpty", .max_len = 256),
	F(wasm_env, value_from, "valueFrom", ENUM, "INLINE: `value`; HOST: the proxy's own variable.", ENUM("INLINE", "HOST")),
	F(wasm_env, value, "value", STR, "The value, with INLINE.", .max_len = 2048),
};
static void wasm_env_check(const void *value, const char *path, struct cox_diags *d)
{
	const struct cox_wasm_env *v = value;
	if (v->value_from == COX_WASM_VALUE_HOST && v->value.n)
		cox_diag_add(d, COX_SEV_ERROR, 0, path, "value may be set only with valueFrom INLINE");
}
static MESSAGE(wasm_env, "EnvVar", "An environment variable of the code.", .check = wasm_env_check,
               RULES({ "!has(self.value) || !has(self.valueFrom) || self.valueFrom == 'INLINE'",
                       "value may be set only with valueFrom INLINE" }));

static const struct cox_field wasm_vm_fields[] = {
	F(wasm_vm, env, "env", MSG, "Environment variables.", LIST, SUB(wasm_env), .max_items = 256, .list_key = "name"),
};
static MESSAGE(wasm_vm, "VmConfig", "Where the code runs.");

#define URL_RULE                                                                                             \
	{                                                                                                    \
		"self.matches('^((file|http|https|oci):|/)') || !self.matches('^[a-zA-Z][a-zA-Z0-9+.-]*:')", \
		    "the scheme must be one of http, https, file, oci"                                       \
	}
/* `at` is empty, or "wasm." where the message stands inside of the kind's own. */
#define WASM_FIELDS(of, at)                                                                                                            \
	F(of, at url, "url", STR, "Where the code is: oci://, https://, http:// or file://; without a scheme oci.", REQUIRED,          \
	  .pattern = "wasmUrl", RULES(URL_RULE)),                                                                                      \
	    F(of, at sha256, "sha256", STR, "Checksum of the code or image.", .pattern = "sha256"),                                    \
	    F(of, at image_pull_policy, "imagePullPolicy", ENUM, "Whether a cached image is used.",                                    \
	      ENUM("UNSPECIFIED_POLICY", "IfNotPresent", "Always")),                                                                   \
	    F(of, at image_pull_secret, "imagePullSecret", STR, "Secret of this namespace for the registry.", .max_len = 253),         \
	    F(of, at verification_key, "verificationKey", STR, "Public key that the code is checked with.", .flags = COX_F_NO_EFFECT), \
	    F(of, at plugin_config, "pluginConfig", RAW, "Settings that the code gets.", .pattern = "object"),                         \
	    F(of, at plugin_name, "pluginName", STR, "Name of the plugin inside of the code.", .max_len = 256),                        \
	    F(of, at fail_strategy, "failStrategy", ENUM, "What becomes of requests when the code fails.",                             \
	      ENUM("FAIL_CLOSE", "FAIL_OPEN", "FAIL_RELOAD")),                                                                         \
	    F(of, at vm_config, "vmConfig", MSG, "Where the code runs.", SUB(wasm_vm)),                                                \
	    F(of, at type, "type", ENUM, "HTTP or network filter; HTTP by default.", ENUM("UNSPECIFIED_PLUGIN_TYPE", "HTTP", "NETWORK"))

static const struct cox_field wasm_config_fields[] = { WASM_FIELDS(wasm_config, ) };
static MESSAGE(wasm_config, "WasmConfig", "WebAssembly.");

#define PRIORITY(of) \
	F(of, priority, "priority", I64, "Order within the phase: higher comes first.", .min = -2147483648.0, .max = 2147483647.0)
#define MATCH(of) F(of, match, "match", MSG, "Traffic: one of these; all by default.", LIST, SUB(traffic_selector))

/* --- WasmPlugin --- */

static const struct cox_field wasm_plugin_fields[] = {
	TARGET_FIELDS(wasm_plugin),
	WASM_FIELDS(wasm_plugin, wasm.),
	F(wasm_plugin, phase, "phase", ENUM, "Where in the filter chain.", ENUM("UNSPECIFIED_PHASE", "AUTHN", "AUTHZ", "STATS")),
	PRIORITY(wasm_plugin),
	MATCH(wasm_plugin),
};
static void wasm_plugin_check(const void *value, const char *path, struct cox_diags *d)
{
	const struct cox_wasm_plugin *v = value;
	cox_model_target_check(&v->target, path, d);
}
static MESSAGE(wasm_plugin, "WasmPluginSpec", "WebAssembly in proxies.", .check = wasm_plugin_check, RULES(TARGET_RULE));

static const struct cox_field wasm_plugin_object_fields[] = {
	F(wasm_plugin_object, spec, "spec", MSG, "WebAssembly in proxies.", REQUIRED, SUB(wasm_plugin)),
};
static void wasm_plugin_object_check(const void *value, const char *path, struct cox_diags *d)
{
	(void)value, (void)path;
	/* Goes when they are translated. */
	cox_diag_add(d, COX_SEV_WARNING, 0, "spec", "has no effect: this release checks WasmPlugins but gives none to proxies");
}
OBJECT(wasm_plugin, wasm_plugin_object, "WasmPlugin", "WebAssembly that proxies run on traffic.", .open = true,
       .check = wasm_plugin_object_check);

/* --- TrafficExtension --- */

static const struct cox_field lua_config_fields[] = {
	F(lua_config, inline_code, "inlineCode", STR, "The code: functions envoy_on_request, envoy_on_response.", REQUIRED,
	  .pattern = "nonEmpty", .max_len = 65536),
};
static MESSAGE(lua_config, "LuaConfig", "Lua.");

static const struct cox_field traffic_extension_fields[] = {
	TARGET_SELECTOR(traffic_extension),
	TARGET_REFS(traffic_extension),
	F(traffic_extension, phase, "phase", ENUM, "Where in the filter chain.", ENUM("UNSPECIFIED", "AUTHN", "AUTHZ", "STATS")),
	PRIORITY(traffic_extension),
	MATCH(traffic_extension),
	F(traffic_extension, wasm, "wasm", MSG, "WebAssembly.", SUB(wasm_config), .one_of = 1, .one_of_required = 1),
	F(traffic_extension, lua, "lua", MSG, "Lua.", SUB(lua_config), .one_of = 1, .one_of_required = 1),
};
static void traffic_extension_check(const void *value, const char *path, struct cox_diags *d)
{
	const struct cox_traffic_extension *v = value;
	cox_model_target_check(&v->target, path, d);
}
static MESSAGE(traffic_extension, "TrafficExtensionSpec", "Code in proxies.", .check = traffic_extension_check,
               RULES({ "!(has(self.selector) && has(self.targetRefs))", "at most one of selector, targetRefs may be set" },
                     { "has(self.wasm) != has(self.lua)", "one of wasm, lua must be set" }));

static const struct cox_field traffic_extension_object_fields[] = {
	F(traffic_extension_object, spec, "spec", MSG, "Code in proxies.", REQUIRED, SUB(traffic_extension)),
};
static void traffic_extension_object_check(const void *value, const char *path, struct cox_diags *d)
{
	(void)value, (void)path;
	/* Goes when they are translated. */
	cox_diag_add(d, COX_SEV_WARNING, 0, "spec", "has no effect: this release checks TrafficExtensions but gives none to proxies");
}
OBJECT(traffic_extension, traffic_extension_object, "TrafficExtension", "Code that proxies run on traffic: WebAssembly or Lua.",
       .open = true, .check = traffic_extension_object_check);
