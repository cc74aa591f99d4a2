/* cox-agent: what lives in the pod beside Envoy. Flags and start-up only; the work is in lib/agent. */
#include "cmd.h"

#include "agent/config.h"
#include "agent/proxy.h"
#include "base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <malloc.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

extern char **environ;

static const char usage_text[] =
    "usage: cox-agent init [flags]             program traffic capture in this network namespace\n"
    "       cox-agent proxy sidecar|router [flags]   run Envoy\n"
    "       cox-agent version\n"
    "\n"
    "       cox-agent wait [flags]             until the proxy is ready\n"
    "       cox-agent request METHOD PATH      ask Envoy's administration port\n"
    "       (pilot-agent's names too: istio-iptables, istio-clean-iptables)\n"
    "\n"
    "init:  -p 15001 -z 15006 -e 15008 -u 1337 -g 1337 -m REDIRECT -i CIDRS|* -x CIDRS -b PORTS|* -d PORTS -q PORTS -o PORTS\n"
    "       -k INTERFACES -c INTERFACES   as in istio-iptables\n"
    "       -t MARK -r TABLE       with -m TPROXY (1337, 133)\n"
    "       --redirect-dns         questions to the pod's name servers go to the agent; --capture-all-dns: those to any server\n"
    "       --resolv-conf FILE     who they are; --drop-invalid   drop packets of no connection\n"
    "       --native-nftables, --backend auto|iptables|nft    auto: nft where there is no iptables\n"
    "       --clean                take everything away again (istio-clean-iptables)\n"
    "       --run-validation       look whether connections are captured (as the proxy's user); exit status 126: they are not\n"
    "       --skip-rule-apply      program nothing: a CNI plug-in did\n"
    "       -n, --dry-run          print the rules, change nothing (-6: those of IPv6)\n"
    "\n"
    "wait:  --timeoutSeconds 60 --requestTimeoutMillis 500 --periodMillis 500 --url http://localhost:15021/healthz/ready\n"
    "request: --debug-port 15000\n"
    "\n"
    "proxy: --discovery HOST:PORT  --domain cluster.local  --envoy PROGRAM  --uid 1337 --gid 1337  --config-dir /etc/istio/proxy\n"
    "       --pod-info-dir /etc/istio/pod  --concurrency N  --proxy-log-level warning  --log-level info  --log_as_json\n"
    "       --admin-port 15000 --status-port 15020 --prometheus-port 15090 --health-port 15021 --tap-port 15004  --status-address ADDRESS\n"
    "       --bootstrap-only     print the bootstrap and end\n"
    "       --identity auto|none   certificates for Envoy; none: a lab without TLS   --secrets-dir /var/run/secrets\n"
    "       environment: POD_NAME POD_NAMESPACE INSTANCE_IP SERVICE_ACCOUNT NODE_NAME PROXY_CONFIG ISTIO_META_* ISTIO_METAJSON_*\n"
    "                    EXIT_ON_ZERO_ACTIVE_CONNECTIONS MINIMUM_DRAIN_DURATION ENVOY_BIN DISABLE_ENVOY PILOT_ENABLE_CA_CRL\n"
    "                    CA_ADDR CA_ROOT_CA XDS_ROOT_CA ISTIOD_SAN TRUST_DOMAIN SECRET_TTL SECRET_GRACE_PERIOD_RATIO[_JITTER] JWT_POLICY\n"
    "                    ECC_SIGNATURE_ALGORITHM ECC_CURVE WORKLOAD_RSA_KEY_SIZE PKCS8_KEY PROV_CERT OUTPUT_CERTS FILE_MOUNTED_CERTS\n"
    "                    PILOT_CERT_PROVIDER WORKLOAD_IDENTITY_SOCKET_FILE CA_HEADER_* XDS_HEADER_* COXSWAIN_ROTATION_JITTER\n"
    "                    CREDENTIAL_FETCHER_TYPE=JWT|Exec CREDENTIAL_FETCHER_COMMAND (prints a token)\n";

int cmd_fail(const struct cox_err *err)
{
	char text[600];
	fprintf(stderr, "cox-agent: %s\n", cox_err_describe(err, text, sizeof(text)));
	return 1;
}

int cmd_usage(const char *problem)
{
	if (problem)
		fprintf(stderr, "cox-agent: %s\n\n", problem);
	fputs(usage_text, problem ? stderr : stdout);
	return problem ? 2 : 0;
}

bool cmd_number(const char *text, uint64_t max, uint64_t *out)
{
	uint64_t v;
	if (cox_str_to_u64(cox_str_of(text), &v) != COX_OK || v > max)
		return false;
	*out = v;
	return true;
}

bool cmd_port(const char *text, uint16_t *out)
{
	uint64_t v;
	if (!cmd_number(text, 65535, &v) || v == 0)
		return false;
	*out = (uint16_t)v;
	return true;
}

/* --- proxy -------------------------------------------------------------------------------- */

enum {
	OPT_DISCOVERY = 256,
	OPT_DOMAIN,
	OPT_ENVOY,
	OPT_UID,
	OPT_GID,
	OPT_CONFIG_DIR,
	OPT_POD_INFO_DIR,
	OPT_CONCURRENCY,
	OPT_PROXY_LOG,
	OPT_COMPONENT_LOG,
	OPT_RESOLV_CONF,
	OPT_LOG,
	OPT_ADMIN_PORT,
	OPT_STATUS_PORT,
	OPT_PROMETHEUS_PORT,
	OPT_HEALTH_PORT,
	OPT_TAP_PORT,
	OPT_STATUS_ADDRESS,
	OPT_BOOTSTRAP_ONLY,
	OPT_IDENTITY,
	OPT_SECRETS_DIR,
	OPT_LOG_JSON,
};

static const struct option proxy_options[] = {
	{ "discovery", required_argument, NULL, OPT_DISCOVERY },
	{ "domain", required_argument, NULL, OPT_DOMAIN },
	{ "envoy", required_argument, NULL, OPT_ENVOY },
	{ "uid", required_argument, NULL, OPT_UID },
	{ "gid", required_argument, NULL, OPT_GID },
	{ "config-dir", required_argument, NULL, OPT_CONFIG_DIR },
	{ "pod-info-dir", required_argument, NULL, OPT_POD_INFO_DIR },
	{ "concurrency", required_argument, NULL, OPT_CONCURRENCY },
	{ "proxy-log-level", required_argument, NULL, OPT_PROXY_LOG },
	{ "proxyLogLevel", required_argument, NULL, OPT_PROXY_LOG },
	{ "proxyComponentLogLevel", required_argument, NULL, OPT_COMPONENT_LOG },
	{ "resolv-conf", required_argument, NULL, OPT_RESOLV_CONF },
	{ "log-level", required_argument, NULL, OPT_LOG },
	{ "log_output_level", required_argument, NULL, OPT_LOG },
	{ "admin-port", required_argument, NULL, OPT_ADMIN_PORT },
	{ "status-port", required_argument, NULL, OPT_STATUS_PORT },
	{ "prometheus-port", required_argument, NULL, OPT_PROMETHEUS_PORT },
	{ "health-port", required_argument, NULL, OPT_HEALTH_PORT },
	{ "tap-port", required_argument, NULL, OPT_TAP_PORT },
	{ "status-address", required_argument, NULL, OPT_STATUS_ADDRESS },
	{ "bootstrap-only", no_argument, NULL, OPT_BOOTSTRAP_ONLY },
	{ "identity", required_argument, NULL, OPT_IDENTITY },
	{ "secrets-dir", required_argument, NULL, OPT_SECRETS_DIR },
	{ "log_as_json", no_argument, NULL, OPT_LOG_JSON },
	{ NULL, 0, NULL, 0 },
};

struct proxy_flags {
	struct cox_agent_proxy proxy;
	const char *pod_info_dir, *secrets_dir;
	int concurrency; /* -1: as PROXY_CONFIG says */
	bool bootstrap_only;
};

static bool read_id(const char *text, int *out)
{
	uint64_t v;
	if (!cmd_number(text, INT32_MAX, &v))
		return false;
	*out = (int)v;
	return true;
}

/* Injected pods say "<namespace>.svc.cluster.local". */
static struct cox_str cluster_domain(struct cox_str text)
{
	ptrdiff_t svc = cox_str_search(text, COX_STR(".svc."));
	return svc < 0 ? text : cox_str_sub(text, (size_t)svc + 5, text.n);
}

static bool set_proxy_flag(struct proxy_flags *f, int flag)
{
	struct cox_agent_bootstrap *b = &f->proxy.bootstrap;
	switch (flag) {
	case OPT_DISCOVERY: b->discovery = cox_str_of(optarg); return true;
	case OPT_DOMAIN: b->domain = cluster_domain(cox_str_of(optarg)); return b->domain.n != 0;
	case OPT_ENVOY: f->proxy.envoy.program = optarg; return true;
	case OPT_UID: return read_id(optarg, &f->proxy.uid);
	case OPT_GID: return read_id(optarg, &f->proxy.gid);
	case OPT_CONFIG_DIR: f->proxy.config_dir = optarg; return true;
	case OPT_POD_INFO_DIR: f->pod_info_dir = optarg; return true;
	case OPT_CONCURRENCY: return read_id(optarg, &f->concurrency) && f->concurrency <= 1024;
	case OPT_PROXY_LOG: f->proxy.envoy.log_level = optarg; return true;
	case OPT_COMPONENT_LOG: f->proxy.envoy.component_log_level = optarg; return true;
	case OPT_RESOLV_CONF: f->proxy.resolv_conf = optarg; return true;
	case OPT_LOG: return cox_log_set_levels(cox_str_of(optarg)) == COX_OK;
	case OPT_LOG_JSON: cox_log_set_json(true); return true;
	case OPT_ADMIN_PORT: return cmd_port(optarg, &b->admin_port);
	case OPT_STATUS_PORT: return cmd_port(optarg, &b->status_port);
	case OPT_PROMETHEUS_PORT: return cmd_port(optarg, &b->prometheus_port);
	case OPT_HEALTH_PORT: return cmd_port(optarg, &b->health_port);
	case OPT_TAP_PORT: return cmd_port(optarg, &f->proxy.tap_port);
	case OPT_STATUS_ADDRESS: f->proxy.status_host = cox_str_of(optarg); return true;
	case OPT_BOOTSTRAP_ONLY: f->bootstrap_only = true; return true;
	case OPT_IDENTITY: b->is_identity_off = !strcmp(optarg, "none"); return b->is_identity_off || !strcmp(optarg, "auto");
	case OPT_SECRETS_DIR: f->secrets_dir = optarg; return true;
	default: return false;
	}
}

/* At the start only, before there is a loop that could be held up. */
static bool resolve(const char *host, char ip[64])
{
	struct addrinfo *found = NULL, hints = { .ai_socktype = SOCK_DGRAM };
	bool ok = getaddrinfo(host, NULL, &hints, &found) == 0 &&
	          getnameinfo(found->ai_addr, found->ai_addrlen, ip, 64, NULL, 0, NI_NUMERICHOST) == 0;
	if (found)
		freeaddrinfo(found);
	if (!ok)
		cox_log(COX_LOG_WARN, "agent", "statsdUdpAddress: no address for %s, no statistics are sent", host);
	return ok;
}

static const char *env_or(const char *name, const char *fallback)
{
	struct cox_str v = cox_agent_env((const char *const *)environ, name);
	return v.n ? v.p : fallback; /* terminated: it is the end of NAME=value */
}

static bool read_proxy_flags(int argc, char **argv, struct proxy_flags *f)
{
	*f = (struct proxy_flags){
		.proxy = {
			.bootstrap = {
				.env = (const char *const *)environ,
				.type = COX_STR_INIT("sidecar"),
				.domain = COX_STR_INIT("cluster.local"),
				.prometheus_port = 15090, .health_port = 15021, .resolve = resolve,
			},
			.envoy = { .program = env_or("ENVOY_BIN", NULL), .log_level = "warning" },
			.tap_port = 15004,
			.version = COX_VERSION,
		},
		.pod_info_dir = "/etc/istio/pod",
		.secrets_dir = "/var/run/secrets",
		.concurrency = -1,
	};
	int flag;
	while ((flag = getopt_long(argc, argv, "", proxy_options, NULL)) != -1)
		if (!set_proxy_flag(f, flag))
			return false;
	if (optind + 1 < argc)
		return false;
	if (optind < argc)
		f->proxy.bootstrap.type = cox_str_of(argv[optind]);
	struct cox_str type = f->proxy.bootstrap.type;
	return cox_str_eq(type, COX_STR("sidecar")) || cox_str_eq(type, COX_STR("router"));
}

/* A missing file is an empty one: labels may come by ISTIO_METAJSON_LABELS. */
static enum cox_rc read_file(const char *dir, const char *name, struct cox_buf *out, struct cox_err *err)
{
	char path[4096];
	snprintf(path, sizeof(path), "%s/%s", dir, name);
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return errno == ENOENT || errno == ENOTDIR ? COX_OK : cox_err_set(err, COX_EIO, path, "cannot be read");
	ssize_t n;
	while ((n = read(fd, cox_buf_reserve(out, 16384), 16384)) > 0 && out->n <= COX_AGENT_TEXT_BYTES_MAX)
		out->n += (size_t)n;
	close(fd);
	return n < 0 ? cox_err_set(err, COX_EIO, path, "cannot be read") : COX_OK;
}

static enum cox_rc print_bootstrap(const struct cox_agent_bootstrap *b, struct cox_err *err)
{
	COX_AUTO(cox_buf_fini) struct cox_buf out = { 0 };
	COX_TRY(cox_agent_bootstrap_build(b, &out, err));
	cox_buf_append_char(&out, '\n');
	return fwrite(out.p, 1, out.n, stdout) == out.n ? COX_OK : COX_EIO;
}

static const char *cstr_or(struct cox_str s, const char *otherwise, struct cox_arena *arena)
{
	return s.n ? cox_str_to_cstr(s, cox_arena_alloc(arena, s.n + 1), s.n + 1) : otherwise;
}

/* A flag wins over PROXY_CONFIG, which wins over what is usual. */
static void apply_settings(struct proxy_flags *f, const struct cox_agent_settings *s, struct cox_arena *arena)
{
	struct cox_agent_proxy *p = &f->proxy;
	for (size_t i = 0; i < s->warnings.n; i++)
		cox_log(COX_LOG_WARN, "agent", "PROXY_CONFIG: %.*s: %.*s", COX_FMT(s->warnings.items[i].path),
		        COX_FMT(s->warnings.items[i].text));
	p->bootstrap.admin_port = p->bootstrap.admin_port ? p->bootstrap.admin_port : s->admin_port;
	p->bootstrap.status_port = p->bootstrap.status_port ? p->bootstrap.status_port : s->status_port;
	p->config_dir = p->config_dir ? p->config_dir : cstr_or(s->config_dir, "/etc/istio/proxy", arena);
	p->bootstrap_file = cstr_or(s->bootstrap_file, NULL, arena);
	p->is_envoy_off = s->is_envoy_off;
	p->envoy.program = p->envoy.program ? p->envoy.program : cstr_or(s->binary, "envoy", arena);
	p->envoy.drain_ms = s->drain_ms;
	p->envoy.drain_min_ms = s->drain_min_ms;
	p->envoy.listener_drain_s = s->listener_drain_s;
	p->envoy.log_flush_ms = s->log_flush_ms;
	p->envoy.log_flush_kb = s->log_flush_kb;
	p->envoy.exit_on_zero = s->exit_on_zero;
	p->envoy.concurrency = f->concurrency >= 0 ? f->concurrency : s->concurrency;
}

static enum cox_rc proxy(struct proxy_flags *f, int *code, struct cox_err *err)
{
	COX_AUTO(cox_buf_fini) struct cox_buf labels = { 0 };
	COX_AUTO(cox_buf_fini) struct cox_buf annotations = { 0 };
	struct cox_agent_bootstrap *b = &f->proxy.bootstrap;
	struct cox_agent_settings settings;
	COX_AUTO(cox_arena_fini) struct cox_arena arena = { 0 };
	struct cox_agent_identity_config identity;
	struct cox_agent_health_config health;
	const struct cox_json *probe;
	COX_TRY(read_file(f->pod_info_dir, "labels", &labels, err));
	COX_TRY(read_file(f->pod_info_dir, "annotations", &annotations, err));
	b->labels = cox_buf_str(&labels);
	b->annotations = cox_buf_str(&annotations);
	COX_TRY(cox_agent_config_env(b, &arena, &b->env, err));
	COX_TRY(cox_agent_settings_read(b, &arena, &settings, err));
	apply_settings(f, &settings, &arena);
	COX_TRY(cox_agent_identity_config_read(b, f->secrets_dir, f->proxy.config_dir, b->is_identity_off, &arena, &identity, err));
	f->proxy.identity = &identity;
	b->xds_path = cox_str_of(identity.xds_path);
	b->sds_path = cox_str_of(identity.sds_path);
	if (f->bootstrap_only)
		return print_bootstrap(b, err);
	COX_TRY(cox_agent_proxy_config_find(b, "readinessProbe", &arena, &probe, err));
	enum cox_rc rc = cox_agent_health_config_read(probe, &arena, &health, err);
	if (rc != COX_OK) {
		cox_err_wrap(err, "PROXY_CONFIG: readinessProbe");
		return rc;
	}
	f->proxy.health = &health;
	return cox_agent_proxy_run(&f->proxy, code, err);
}

/* A sidecar is in every pod: what glibc and libuv would take for speed is given back. One arena (threads are two, and wait most of the
 * time), large blocks by mmap (a discovery response is as large as its mesh) and one thread to resolve names. */
static void stay_small(void)
{
	mallopt(M_ARENA_MAX, 1);
	mallopt(M_MMAP_THRESHOLD, 64 * 1024);
	mallopt(M_TRIM_THRESHOLD, 64 * 1024);
	setenv("UV_THREADPOOL_SIZE", "1", 0); /* before the first thread */
}

static int run_proxy(int argc, char **argv)
{
	stay_small();
	struct proxy_flags f;
	struct cox_err err = { 0 };
	int code = 0;
	if (!read_proxy_flags(argc, argv, &f))
		return cmd_usage("proxy: a flag or its value is wrong");
	return proxy(&f, &code, &err) == COX_OK ? code : cmd_fail(&err);
}

int main(int argc, char **argv)
{
	if (argc < 2)
		return cmd_usage("which command?");
	if (!strcmp(argv[1], "init") || !strcmp(argv[1], "istio-iptables"))
		return cmd_init(argc - 1, argv + 1, false);
	if (!strcmp(argv[1], "istio-clean-iptables"))
		return cmd_init(argc - 1, argv + 1, true);
	if (!strcmp(argv[1], "wait"))
		return cmd_wait(argc - 1, argv + 1);
	if (!strcmp(argv[1], "request"))
		return cmd_request(argc - 1, argv + 1);
	if (!strcmp(argv[1], "proxy"))
		return run_proxy(argc - 1, argv + 1);
	if (!strcmp(argv[1], "version")) {
		puts(COX_VERSION);
		return 0;
	}
	if (!strcmp(argv[1], "help") || !strcmp(argv[1], "--help") || !strcmp(argv[1], "-h"))
		return cmd_usage(NULL);
	return cmd_usage("no such command");
}
