#include "agent/proxy.h"

#include "agent/dns.h"
#include "agent/status.h"
#include "agent/workload.h"
#include "base/log.h"
#include "loop/signal.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <signal.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

enum { WORKLOAD_END_MS = 10 * 1000 };

struct agent {
	struct cox_loop *loop;
	struct cox_envoy *envoy;
	struct cox_agent_dns *dns;
	struct cox_agent_status *status;
	struct cox_agent_workload *workload;
	struct cox_signal *signals[2];
	bool is_workload_gone;
	int code;
};

static void on_signal(void *ctx, int number)
{
	struct agent *a = ctx;
	cox_log(COX_LOG_INFO, "agent", "signal received number=%d", number);
	if (a->envoy)
		cox_envoy_stop(a->envoy, false);
	else
		cox_loop_stop(a->loop);
}

static void on_quit(void *ctx) { cox_loop_stop(((struct agent *)ctx)->loop); }

static const char *what_is_missing(void *ctx) { return cox_agent_workload_missing(((struct agent *)ctx)->workload); }

static void on_end(void *ctx, int code)
{
	struct agent *a = ctx;
	a->code = code;
	cox_loop_stop(a->loop);
}

/* --- files -------------------------------------------------------------------------------- */

static enum cox_rc write_all(int fd, struct cox_str text)
{
	while (text.n != 0) {
		ssize_t n = write(fd, text.p, text.n);
		if (n < 0 && errno != EINTR)
			return COX_EIO;
		text = cox_str_sub(text, n > 0 ? (size_t)n : 0, text.n);
	}
	return COX_OK;
}

/* Through a temporary name: an Envoy that restarts never reads half of it. Readable by Envoy's user; there is no secret in it. */
static enum cox_rc write_bootstrap(const struct cox_agent_proxy *p, char path[4096], struct cox_err *err)
{
	COX_AUTO(cox_buf_fini) struct cox_buf text = { 0 };
	char part[4096 + 8];
	COX_TRY(cox_agent_bootstrap_build(&p->bootstrap, &text, err));
	if (strlen(p->config_dir) > 4000)
		return cox_err_set(err, COX_EINVAL, "--config-dir", "is too long");
	if (mkdir(p->config_dir, 0755) != 0 && errno != EEXIST)
		return cox_err_set(err, COX_EIO, "--config-dir", "cannot make %s", p->config_dir);
	snprintf(path, 4096, "%s/envoy-rev.json", p->config_dir);
	snprintf(part, sizeof(part), "%s.part", path);
	int fd = open(part, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0644);
	enum cox_rc rc = fd < 0 ? COX_EIO : write_all(fd, cox_buf_str(&text));
	if (fd >= 0 && (close(fd) != 0 || rc != COX_OK || rename(part, path) != 0))
		rc = COX_EIO;
	return rc == COX_OK ? COX_OK : cox_err_set(err, rc, "--config-dir", "cannot write %s", path);
}

/* --- who we are --------------------------------------------------------------------------- */

/* Traffic capture leaves the connections of the proxy's user alone: the agent's own (control plane, CA, name servers) must be that user's
 * too. Envoy opens /dev/stdout anew for access logs, which needs the right to the file behind it: it is given to that user, as container
 * runtimes do with a container's output; a terminal, or what is not ours to give, stays as it is. */
static enum cox_rc become(const struct cox_agent_proxy *p, struct cox_err *err)
{
	uid_t uid = p->uid ? (uid_t)p->uid : geteuid();
	gid_t gid = p->gid ? (gid_t)p->gid : getegid();
	if (uid == geteuid() && gid == getegid())
		return COX_OK;
	if (geteuid() != 0)
		return cox_err_set(err, COX_EDENIED, "--uid", "only root can become user %d", p->uid);
	if ((mkdir(p->config_dir, 0755) != 0 && errno != EEXIST) || chown(p->config_dir, uid, gid) != 0)
		return cox_err_set(err, COX_EIO, "--config-dir", "cannot make %s", p->config_dir);
	for (int fd = STDOUT_FILENO; fd <= STDERR_FILENO; fd++)
		if (!isatty(fd) && fchown(fd, uid, (gid_t)-1) != 0)
			cox_log(COX_LOG_DEBUG, "agent", "output stays another user's fd=%d", fd);
	if (setgroups(0, NULL) != 0 || setgid(gid) != 0 || setuid(uid) != 0)
		return cox_err_set(err, COX_EDENIED, "--uid", "cannot become user %d", p->uid);
	return COX_OK;
}

/* --- life --------------------------------------------------------------------------------- */

/* The pod's first address: what its probes ask. */
static struct cox_str pod_address(const struct cox_agent_bootstrap *b)
{
	struct cox_str ips = cox_agent_env(b->env, "INSTANCE_IP");
	ptrdiff_t comma = cox_str_find(ips, ',');
	return cox_str_trim(comma < 0 ? ips : cox_str_sub(ips, 0, (size_t)comma));
}

static enum cox_rc open_status(struct agent *a, const struct cox_agent_proxy *p, struct cox_err *err)
{
	const struct cox_agent_bootstrap *b = &p->bootstrap;
	return cox_agent_status_open(
	    a->loop,
	    &(struct cox_agent_status_spec){ .envoy = a->envoy,
	                                     .missing = what_is_missing,
	                                     .quit = on_quit,
	                                     .ctx = a,
	                                     .dns = a->dns,
	                                     .host = p->status_host,
	                                     .port = b->status_port,
	                                     .admin_port = b->admin_port,
	                                     .version = p->version,
	                                     .pod_address = pod_address(b),
	                                     .probers = cox_agent_env(b->env, "ISTIO_KUBE_APP_PROBERS"),
	                                     .annotations = cox_agent_env(b->env, "ISTIO_PROMETHEUS_ANNOTATIONS") },
	    &a->status, err);
}

/* Only where traffic to port 53 is sent here: DNS capture. */
static enum cox_rc open_dns(struct agent *a, const struct cox_agent_proxy *p, struct cox_err *err)
{
	const struct cox_agent_bootstrap *b = &p->bootstrap;
	struct cox_resolv resolv;
	struct cox_str addresses = cox_agent_env(b->env, "DNS_PROXY_ADDR");
	if (!cox_str_eq(cox_agent_env(b->env, "ISTIO_META_DNS_CAPTURE"), COX_STR("true")))
		return COX_OK;
	if (cox_resolv_load(p->resolv_conf ? p->resolv_conf : "/etc/resolv.conf", &resolv, err) != COX_OK)
		cox_log(COX_LOG_WARN, "agent", "no name servers: only hosts of the mesh are resolved error=\"%s\"", err->text);
	struct cox_agent_dns_spec spec = { .addresses = addresses.n ? addresses : COX_STR("127.0.0.1:15053,[::1]:15053"),
		                           .ns = cox_agent_env(b->env, "POD_NAMESPACE"),
		                           .domain = b->domain,
		                           .resolv = &resolv };
	return cox_agent_dns_open(a->loop, &spec, &a->dns, err);
}

static enum cox_rc on_names(void *ctx, struct cox_str table, struct cox_err *err)
{
	struct agent *a = ctx;
	return a->dns ? cox_agent_dns_set_table(a->dns, table, err) : COX_OK;
}

static enum cox_rc open_all(struct agent *a, const struct cox_agent_proxy *p, const char *bootstrap_path, struct cox_err *err)
{
	struct cox_envoy_spec spec = p->envoy;
	spec.bootstrap_path = bootstrap_path;
	spec.admin_port = p->bootstrap.admin_port;
	spec.prometheus_port = p->bootstrap.prometheus_port;
	spec.health_port = p->bootstrap.health_port;
	spec.on_end = on_end;
	spec.ctx = a;
	COX_TRY(open_dns(a, p, err));
	/* The control plane makes the table only for those who ask. */
	struct cox_agent_workload_spec workload = { .loop = a->loop,
		                                    .config = p->identity,
		                                    .on_name_table = a->dns ? on_names : NULL,
		                                    .health = p->health,
		                                    .tap_port = p->tap_port,
		                                    .ctx = a };
	COX_AUTO(cox_buf_fini) struct cox_buf node = { 0 };
	if (p->is_envoy_off)
		COX_TRY(cox_agent_node_encode(&p->bootstrap, &node, err));
	workload.node = cox_buf_str(&node);
	COX_TRY(cox_agent_workload_open(&workload, &a->workload, err)); /* Envoy finds its sockets */
	COX_TRY(cox_signal_open(a->loop, SIGTERM, on_signal, a, &a->signals[0]));
	COX_TRY(cox_signal_open(a->loop, SIGINT, on_signal, a, &a->signals[1]));
	if (!p->is_envoy_off)
		COX_TRY(cox_envoy_open(a->loop, &spec, &a->envoy, err));
	return open_status(a, p, err);
}

static void on_workload_closed(void *ctx) { ((struct agent *)ctx)->is_workload_gone = true; }

static bool is_workload_gone(void *arg) { return ((struct agent *)arg)->is_workload_gone; }

enum cox_rc cox_agent_proxy_run(const struct cox_agent_proxy *p, int *code, struct cox_err *err)
{
	char path[4096] = "";
	COX_TRY(become(p, err));
	if (!p->is_envoy_off && !p->bootstrap_file)
		COX_TRY(write_bootstrap(p, path, err));
	struct agent a = { .loop = cox_loop_new("agent") };
	enum cox_rc rc = open_all(&a, p, p->bootstrap_file ? p->bootstrap_file : path, err);
	if (rc == COX_OK) {
		cox_loop_run(a.loop);
		*code = a.code;
	}
	cox_agent_status_close(&a.status);
	cox_agent_dns_close(&a.dns);
	cox_envoy_close(&a.envoy);
	/* With Envoy gone, open questions end at once. */
	cox_agent_workload_close(&a.workload, on_workload_closed, &a);
	cox_loop_run_until(a.loop, is_workload_gone, &a, WORKLOAD_END_MS);
	cox_signal_close(&a.signals[0]);
	cox_signal_close(&a.signals[1]);
	cox_loop_free(&a.loop);
	return rc;
}
