#include "flags.h"
#include "env.h"

#include "base/log.h"
#include "codec/fields.h"
#include "kube/file.h"

#include <stdio.h>

enum kind { TEXT, ADDR, DURATION, INTEGER, NUMBER, SWITCH, IGNORED };
struct flag {
	const char *name, *shorthand;
	enum kind kind;
	size_t offset, has_offset; /* has_offset: of an address' "is set" */
	const char *help;
};
#define AT(member) offsetof(struct flags, member)
static const struct flag table[] = {
	{ "kubeconfig", NULL, TEXT, AT(kubeconfig), 0, "kubeconfig file; without it and without --configDir: the pod's service account" },
	{ "configDir", NULL, TEXT, AT(config_dir), 0, "directory of YAML in place of a kube-apiserver" },
	{ "caDir", NULL, TEXT, AT(ca_dir), 0, "with --configDir: where the CA keeps its root; without it a root ends with the process" },
	{ "grpcAddr", NULL, ADDR, AT(grpc), AT(has_grpc), "xDS in clear text (:15010; empty: off)" },
	{ "secureGRPCAddr", NULL, ADDR, AT(secure_grpc), AT(has_secure_grpc), "xDS and certificates over TLS (:15012; empty: off)" },
	{ "httpsAddr", NULL, ADDR, AT(https), AT(has_https), "admission webhooks (:15017, with --configDir off; empty: off)" },
	{ "httpAddr", NULL, ADDR, AT(http), AT(has_http), "/ready and /debug (:8080; empty: off)" },
	{ "monitoringAddr", NULL, ADDR, AT(monitoring), AT(has_monitoring), "/metrics, /version and /debug (:15014; empty: off)" },
	{ "meshConfig", NULL, TEXT, AT(mesh_config), 0, "file with the mesh configuration, in force until ConfigMap istio is there" },
	{ "networksConfig", NULL, TEXT, AT(networks_config), 0, "file with meshNetworks, in force until ConfigMap istio has them" },
	{ "tlsCertFile", NULL, TEXT, AT(tls_cert_file), 0, "certificate to serve with in place of one by our CA; watched" },
	{ "tlsKeyFile", NULL, TEXT, AT(tls_key_file), 0, "its key" },
	{ "caCertFile", NULL, TEXT, AT(ca_cert_file), 0, "more roots for client certificates" },
	{ "domain", NULL, TEXT, AT(domain), 0, "DNS domain of the cluster (cluster.local)" },
	{ "clusterID", NULL, TEXT, AT(cluster_id), 0, "name of this cluster (CLUSTER_ID, Kubernetes)" },
	{ "namespace", "n", TEXT, AT(ns), 0, "namespace of the control plane (POD_NAMESPACE, istio-system)" },
	{ "revision", NULL, TEXT, AT(revision), 0, "revision of this control plane (REVISION, default)" },
	{ "keepaliveMaxServerConnectionAge", NULL, DURATION, AT(max_age_ms), 0,
	  "connections are asked to come anew after this time, with jitter (never)" },
	{ "shutdownDuration", NULL, DURATION, AT(shutdown_ms), 0, "how long streams may drain at the end (10s)" },
	{ "streamLoops", NULL, INTEGER, AT(stream_loops), 0, "threads that serve proxies (1)" },
	{ "kubernetesApiQPS", NULL, NUMBER, AT(kube_qps), 0, "requests a second to the kube-apiserver (80)" },
	{ "kubernetesApiBurst", NULL, INTEGER, AT(kube_burst), 0, "and at once (160)" },
	{ "kubernetesListLimit", NULL, INTEGER, AT(list_limit), 0, "objects a page in lists (500)" },
	{ "memoryLimit", NULL, TEXT, AT(memory_limit), 0,
	  "memory beyond which new proxies are refused (COXSWAIN_MEMORY_LIMIT; 9/10 of the cgroup's limit; 0: none)" },
	{ "snapshotDir", NULL, TEXT, AT(snapshot_dir), 0,
	  "the last known objects are kept here (no Secrets), for a start while the kube-apiserver is down (COXSWAIN_SNAPSHOT_DIR)" },
	{ "log_output_level", NULL, TEXT, AT(log_levels), 0, "default:info, or module:level,..." },
	{ "log_as_json", NULL, SWITCH, AT(log_json), 0, "log lines as JSON" },
	{ "registries", NULL, IGNORED, 0, 0, "always Kubernetes" },
	{ "profile", NULL, IGNORED, 0, 0, "Go profiling" },
	{ "ctrlz_port", NULL, INTEGER, AT(ctrlz_port), 0, "port of ControlZ, for loopback peers (9876; 0: any; -1: off)" },
	{ "ctrlz_address", NULL, TEXT, AT(ctrlz_address), 0, "its address (localhost)" },
};

static void *place(struct flags *f, size_t offset) { return (char *)f + offset; }

static const struct flag *find(struct cox_str name)
{
	for (size_t i = 0; i < COX_LEN(table); i++)
		if (cox_str_eq_cstr(name, table[i].name) || (table[i].shorthand && cox_str_eq_cstr(name, table[i].shorthand)))
			return &table[i];
	return NULL;
}

static enum cox_rc bad(struct cox_err *err, const struct flag *f, struct cox_str value, const char *want)
{
	return cox_err_set(err, COX_EINVAL, NULL, "--%s: \"%.*s\" is not %s", f->name, COX_FMT(value), want);
}

static enum cox_rc set_addr(const struct flag *f, struct cox_str value, struct flags *out, struct cox_err *err)
{
	bool *has = place(out, f->has_offset);
	*has = value.n > 0;
	return value.n ? cox_addr_parse(value, place(out, f->offset), err) : COX_OK;
}

static enum cox_rc set_value(const struct flag *f, const char *text, struct flags *out, struct cox_err *err)
{
	struct cox_str value = cox_str_of(text);
	int64_t ns;
	switch (f->kind) {
	case TEXT: *(const char **)place(out, f->offset) = text; return COX_OK;
	case ADDR: return set_addr(f, value, out, err);
	case DURATION:
		if (cox_duration_parse(value, &ns) != COX_OK || ns < 0)
			return bad(err, f, value, "a duration such as 30m");
		*(int64_t *)place(out, f->offset) = ns / 1000000;
		return COX_OK;
	case INTEGER: return cox_str_to_i64(value, place(out, f->offset)) == COX_OK ? COX_OK : bad(err, f, value, "an integer");
	case NUMBER: return cox_str_to_f64(value, place(out, f->offset)) == COX_OK ? COX_OK : bad(err, f, value, "a number");
	case SWITCH: *(bool *)place(out, f->offset) = !cox_str_eq(value, COX_STR("false")); return COX_OK;
	case IGNORED:
		if (value.n)
			cox_log(COX_LOG_WARN, "flags", "flag without effect flag=--%s why=\"%s\"", f->name, f->help);
		return COX_OK;
	}
	return COX_OK;
}

static enum cox_rc set_ctrlz(struct flags *f, struct cox_err *err)
{
	char text[160];
	if (f->ctrlz_port > UINT16_MAX)
		return cox_err_set(err, COX_EINVAL, NULL, "--ctrlz_port must be at most %d", UINT16_MAX);
	f->has_ctrlz = f->ctrlz_port >= 0;
	/* "*" would be every address, and loopback peers alone are answered. */
	bool is_local = strcmp(f->ctrlz_address, "localhost") == 0 || strcmp(f->ctrlz_address, "*") == 0;
	snprintf(text, sizeof(text), "%s:%d", is_local ? "127.0.0.1" : f->ctrlz_address, (int)f->ctrlz_port);
	return f->has_ctrlz ? cox_addr_parse(cox_str_of(text), &f->ctrlz, err) : COX_OK;
}

static enum cox_rc check(const struct flags *f, struct cox_err *err)
{
	if (f->kubeconfig && f->config_dir)
		return cox_err_set(err, COX_EINVAL, NULL, "--kubeconfig and --configDir exclude each other");
	if (!f->tls_cert_file != !f->tls_key_file)
		return cox_err_set(err, COX_EINVAL, NULL, "--tlsCertFile and --tlsKeyFile are given together");
	if (f->ca_cert_file && !f->tls_cert_file)
		return cox_err_set(err, COX_EINVAL, NULL, "--caCertFile is used with --tlsCertFile and --tlsKeyFile only");
	if (f->stream_loops < 1 || f->stream_loops > 64)
		return cox_err_set(err, COX_EINVAL, NULL, "--streamLoops must be 1 to 64");
	if (f->list_limit < 1 || f->list_limit > 100000)
		return cox_err_set(err, COX_EINVAL, NULL, "--kubernetesListLimit must be 1 to 100000");
	if (f->kube_qps <= 0 || f->kube_burst < 1)
		return cox_err_set(err, COX_EINVAL, NULL, "--kubernetesApiQPS and --kubernetesApiBurst must be positive");
	return COX_OK;
}

enum cox_rc flags_parse(int argc, char **argv, struct flags *out, struct cox_err *err)
{
	*out = (struct flags){ .domain = "cluster.local",
		               .cluster_id = env_cstr(ENV_CLUSTER_ID),
		               .ns = env_cstr(ENV_POD_NAMESPACE),
		               .revision = env_cstr(ENV_REVISION),
		               .shutdown_ms = 10000,
		               .ctrlz_address = "localhost",
		               .ctrlz_port = 9876,
		               .stream_loops = 1,
		               .kube_qps = 80,
		               .kube_burst = 160,
		               .list_limit = 500,
		               .has_grpc = true,
		               .has_secure_grpc = true,
		               .has_https = true,
		               .has_http = true,
		               .has_monitoring = true };
	COX_TRY(cox_addr_parse(COX_STR(":15010"), &out->grpc, err));
	COX_TRY(cox_addr_parse(COX_STR(":15012"), &out->secure_grpc, err));
	COX_TRY(cox_addr_parse(COX_STR(":15017"), &out->https, err));
	COX_TRY(cox_addr_parse(COX_STR(":8080"), &out->http, err));
	COX_TRY(cox_addr_parse(COX_STR(":15014"), &out->monitoring, err));
	bool said_https = false;
	for (int i = 1; i < argc; i++) {
		struct cox_str arg = cox_str_of(argv[i]);
		if (!cox_str_has_prefix(arg, COX_STR("-")))
			return cox_err_set(err, COX_EINVAL, NULL, "\"%s\" is no flag", argv[i]);
		ptrdiff_t eq = cox_str_find(arg, '=');
		size_t dashes = cox_str_has_prefix(arg, COX_STR("--")) ? 2 : 1;
		const struct flag *f = find(cox_str_sub(arg, dashes, (eq < 0 ? arg.n : (size_t)eq) - dashes));
		if (!f)
			return cox_err_set(err, COX_EINVAL, NULL, "there is no flag %s; see coxswaind discovery --help", argv[i]);
		const char *value = eq >= 0 ? argv[i] + eq + 1 : f->kind == SWITCH ? "true" : i + 1 < argc ? argv[++i] : NULL;
		if (!value)
			return cox_err_set(err, COX_EINVAL, NULL, "--%s needs a value", f->name);
		COX_TRY(set_value(f, value, out, err));
		said_https |= strcmp(f->name, "httpsAddr") == 0;
	}
	/* Charts name a file that is there only where another cluster than the pod's is served. */
	const char *elsewhere = env_given(ENV_KUBECONFIG);
	if (!out->kubeconfig && !out->config_dir && elsewhere && cox_kube_file_stamp(elsewhere) != 0)
		out->kubeconfig = elsewhere;
	/* No kube-apiserver, no reviews. */
	if (out->config_dir && !said_https)
		out->has_https = false;
	COX_TRY(set_ctrlz(out, err));
	return check(out, err);
}

void flags_print(void)
{
	puts("usage: coxswaind discovery [FLAGS]\n");
	for (size_t i = 0; i < COX_LEN(table); i++)
		printf("  --%-32s %s\n", table[i].name, table[i].help);
}
