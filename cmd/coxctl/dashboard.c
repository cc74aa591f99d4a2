/* coxctl dashboard: a port of this machine that leads to a program in the cluster, and its address in a browser. */
#include "proxy.h"

#include "kube/port_forward.h"
#include "loop/proc.h"
#include "loop/signal.h"
#include "tool/pod.h"

#include <signal.h>
#include <stdio.h>

static const struct component {
	const char *name, *selector; /* selector NULL: the pod is the argument */
	uint16_t port;
	const char *path;
} components[] = {
	{ "controlz", NULL, 9876, "/" },
	{ "envoy", NULL, 15000, "/" },
	{ "grafana", "app.kubernetes.io/name=grafana", 3000, "/" },
	{ "istiod-debug", NULL, 15014, "/debug" },
	{ "jaeger", "app=jaeger", 16686, "/" },
	{ "kiali", "app=kiali", 20001, "/kiali" },
	{ "prometheus", "app.kubernetes.io/name=prometheus", 9090, "/" },
	{ "proxy", NULL, 15000, "/" },
	{ "skywalking", "app=skywalking-ui", 8080, "/" },
	{ "zipkin", "app=zipkin", 9411, "/" },
};

static bool is_of_plane(const struct component *d) { return strcmp(d->name, "controlz") == 0 || strcmp(d->name, "istiod-debug") == 0; }

/* The pod that a name, a selector or the component says. */
static enum cox_rc pod_get(struct cox_cli *cli, const struct component *d, struct cox_cluster *c, struct cox_str ns, struct cox_arena *a,
                           struct cox_json **out, struct cox_err *err)
{
	struct cox_json *pods = NULL;
	struct cox_str selector = cox_cli_has(cli, "selector") ? cox_cli_str(cli, "selector") : cox_str_of(d->selector);
	struct cox_str istio_ns = cox_cli_str(cli, "istioNamespace");
	const char *name = cox_cli_arg(cli, 1);
	bool has_ns = cox_cli_has(cli, "namespace");
	if (name) {
		struct cox_pod_name parsed = cox_pod_name_parse(cox_str_of(name), is_of_plane(d) && !has_ns ? istio_ns : ns);
		return cox_pod_find(c, &parsed, a, out, err);
	}
	if (!selector.n && is_of_plane(d))
		selector = COX_STR("app=istiod");
	if (!selector.n)
		return cox_err_set(err, COX_EINVAL, NULL, "a pod or --selector is needed");
	struct cox_str where = has_ns ? ns : d->selector || is_of_plane(d) ? istio_ns : ns;
	COX_TRY(cox_cluster_list(c, COX_CLUSTER_KIND("", "v1", "pods", "Pod"), where, selector, COX_STR(""), a, &pods, err));
	for (size_t i = 0; i < pods->n; i++)
		if (cox_pod_is_running(&pods->items[i])) {
			*out = &pods->items[i];
			return COX_OK;
		}
	return cox_err_set(err, COX_ENOTFOUND, NULL, "no pod runs in namespace %.*s with labels %.*s", COX_FMT(where), COX_FMT(selector));
}

static void browser_open(struct cox_loop *loop, const char *url, struct cox_proc **out)
{
	const char *argv[] = { "xdg-open", url, NULL };
	struct cox_proc_spec spec = { .argv = argv };
	struct cox_err err;
	if (cox_proc_open(loop, &spec, out, &err) != COX_OK)
		*out = NULL; /* the address is printed anyway */
}

struct stop {
	bool is_set;
};
static void on_signal(void *ctx, int number)
{
	(void)number;
	((struct stop *)ctx)->is_set = true;
}
static bool is_set(void *ctx) { return ((struct stop *)ctx)->is_set; }

/* Until a signal; what goes wrong with single connections is told. */
static void serve(struct cox_loop *loop, struct cox_kube_forward *forward)
{
	struct stop stop = { 0 };
	static const int numbers[] = { SIGINT, SIGTERM };
	struct cox_signal *signals[COX_LEN(numbers)] = { NULL };
	char told[sizeof(((struct cox_err *)0)->text)] = "";
	for (size_t i = 0; i < COX_LEN(numbers); i++)
		if (cox_signal_open(loop, numbers[i], on_signal, &stop, &signals[i]) != COX_OK)
			signals[i] = NULL;
	while (!cox_loop_run_until(loop, is_set, &stop, 500)) {
		const struct cox_err *err = cox_kube_forward_error(forward);
		if (err->text[0] && strcmp(err->text, told) != 0) {
			fprintf(stderr, "coxctl dashboard: %s\n", err->text);
			cox_str_to_cstr(cox_str_of(err->text), told, sizeof(told));
		}
	}
	for (size_t i = 0; i < COX_LEN(numbers); i++)
		if (signals[i])
			cox_signal_close(&signals[i]);
}

static int run(struct cox_cli *cli, const struct component *d, struct cox_cluster *c, struct cox_str ns, struct cox_arena *a)
{
	struct cox_json *pod = NULL;
	struct cox_kube_forward *forward = NULL;
	struct cox_proc *browser = NULL;
	struct cox_err err = { 0 };
	enum cox_rc rc = pod_get(cli, d, c, ns, a, &pod, &err);
	if (rc != COX_OK)
		return cox_cli_fail(cli, &err);
	const char *address = cox_cli_get(cli, "address");
	struct cox_kube_forward_spec spec = { .ns = cox_json_str_at(pod, "metadata.namespace"),
		                              .pod = cox_json_str_at(pod, "metadata.name"),
		                              .port = cox_cli_has(cli, "ui-port") ? (uint16_t)cox_cli_i64(cli, "ui-port") : d->port,
		                              .address = strcmp(address, "localhost") == 0 ? "127.0.0.1" : address,
		                              .local_port = (uint16_t)cox_cli_i64(cli, "port") };
	rc = cox_kube_forward_open(cox_cluster_client(c), &spec, &forward, &err);
	if (rc != COX_OK)
		return cox_cli_fail(cli, &err);
	struct cox_str url = cox_arena_printf(a, "http://%s:%u%s", address, cox_kube_forward_port(forward), d->path);
	printf("%s\n", url.p);
	(void)fflush(stdout);
	if (cox_cli_is(cli, "browser"))
		browser_open(cox_cluster_loop(c), url.p, &browser);
	serve(cox_cluster_loop(c), forward);
	cox_proc_close(&browser);
	cox_kube_forward_close(&forward);
	return 0;
}

static int dashboard(struct cox_cli *cli)
{
	const struct component *d = NULL;
	struct cox_cluster *c = NULL;
	struct cox_arena a = { 0 };
	struct cox_str ns;
	struct cox_err err = { 0 };
	for (size_t i = 0; i < COX_LEN(components); i++)
		if (strcmp(components[i].name, cox_cli_arg(cli, 0)) == 0)
			d = &components[i];
	if (!d)
		return cox_cli_wrong(cli, "there is no dashboard \"%s\"", cox_cli_arg(cli, 0));
	int status = verb_cluster_open(cli, &c, &ns, &err) == COX_OK ? run(cli, d, c, ns, &a) : cox_cli_fail(cli, &err);
	cox_arena_fini(&a);
	cox_cluster_close(&c);
	return status;
}

const struct cox_cli_verb verb_dashboard = {
	.path = "dashboard|dash|d",
	.args = "NAME [[TYPE/]POD[.NAMESPACE]]",
	.arg_min = 1,
	.arg_max = 2,
	.summary = "reach a dashboard of the cluster from this machine, until interrupted",
	.text =
	    "NAME: prometheus, grafana, kiali, jaeger, zipkin, skywalking (in -i, by label), controlz, istiod-debug (the control plane, or POD),\n"
	    "envoy, proxy (POD, or --selector). The address is printed.\n",
	.examples = "  coxctl dashboard prometheus\n"
	            "  coxctl dashboard envoy deploy/web -n shop --browser=false\n",
	.flags = (const struct cox_cli_flag[]){ { "address", 0, "ADDRESS", "localhost", "of this machine to listen on", 0 },
	                                        { "port", 'p', "PORT", "0", "of this machine; 0: any", 0 },
	                                        { "browser", 0, NULL, "true", "open it", 0 },
	                                        { "selector", 'l', "LABELS", NULL, "of the pod", 0 },
	                                        { "ui-port", 0, "PORT", NULL, "of the pod, instead of the usual one", 0 },
	                                        VERB_FLAGS_END },
	.run = dashboard,
};
