/* coxctl proxy-status, version, internal-debug, remote-clusters, admin log: questions to the control plane. */
#include "control.h"

#include "proxy.h"
#include "tool/pod.h"
#include "tool/status.h"
#include "tool/table.h"

#include <stdio.h>
#include <stdlib.h>

enum { CONTROLZ_PORT = 9876 };

enum cox_rc control_open(const struct cox_cli *cli, uint16_t port, struct cox_control *out, struct cox_err *err)
{
	struct cox_control_spec spec = { .server = cox_cli_get(cli, "server"),
		                         .cluster = verb_cluster(cli),
		                         .istio_ns = cox_cli_str(cli, "istioNamespace"),
		                         .revision = cox_cli_str(cli, "revision"),
		                         .port = port };
	return cox_control_open(&spec, out, err);
}

enum cox_rc control_ask(struct cox_control *c, const char *path, struct cox_json **out, struct cox_err *err)
{
	struct cox_buf notes = { 0 };
	enum cox_rc rc = cox_control_ask_all(c, cox_str_of(path), out, &notes, err);
	if (notes.n)
		(void)fwrite(notes.p, 1, notes.n, stderr);
	cox_buf_fini(&notes);
	return rc;
}

static int finish(const struct cox_cli *cli, enum cox_rc rc, struct cox_buf *out, const struct cox_err *err)
{
	int status = rc == COX_OK ? cox_cli_print(cli, out) : cox_cli_fail(cli, err);
	cox_buf_fini(out);
	return status;
}

/* --- proxy-status --------------------------------------------------------------------------------------------- */

static int status_all(struct cox_cli *cli)
{
	struct cox_control c = { 0 };
	struct cox_json *all = NULL;
	struct cox_buf out = { 0 };
	struct cox_err err = { 0 };
	struct cox_str form = cox_cli_str(cli, "output");
	int status;
	enum cox_rc rc = control_open(cli, 0, &c, &err);
	if (rc == COX_OK)
		rc = control_ask(&c, "/debug/syncz", &all, &err);
	if (rc == COX_OK && !cox_str_eq(form, COX_STR("table"))) {
		status = verb_print_tree(cli, all);
	} else {
		struct cox_str ns = cox_cli_has(cli, "namespace") ? cox_cli_str(cli, "namespace") : COX_STR("");
		if (rc == COX_OK)
			cox_status_table(all, ns, cox_cli_i64(cli, "verbosity") > 0, &out);
		status = finish(cli, rc, &out, &err);
	}
	cox_buf_fini(&out);
	cox_control_close(&c);
	return status;
}

/* What the replica that serves it sent. Others do not know the proxy. */
static enum cox_rc sent_get(struct cox_control *c, struct cox_str proxy, struct cox_json **out, struct cox_err *err)
{
	struct cox_str path = cox_arena_printf(&c->arena, "/debug/config_dump?include_eds&proxyID=%.*s", COX_FMT(proxy));
	enum cox_rc rc = COX_ENOTFOUND;
	for (size_t i = 0; i < c->n && rc != COX_OK; i++)
		rc = cox_reach_json(&c->replicas[i].reach, path, &c->arena, out, err);
	return rc;
}

static int status_one(struct cox_cli *cli)
{
	struct cox_control c = { 0 };
	struct proxy p = { 0 };
	struct cox_json *sent = NULL, *has = NULL;
	struct cox_buf out = { 0 };
	struct cox_err err = { 0 };
	bool same = false;
	enum cox_rc rc = proxy_json(cli, cox_cli_arg(cli, 0), "/config_dump?include_eds", &p, &has, &err);
	if (rc == COX_OK)
		rc = control_open(cli, 0, &c, &err);
	if (rc == COX_OK) {
		struct cox_pod_name name = cox_pod_name_parse(
		    cox_str_of(cox_cli_arg(cli, 0)), cox_cli_has(cli, "namespace") ? cox_cli_str(cli, "namespace") : COX_STR("default"));
		struct cox_str id = p.cluster ? p.name : cox_arena_printf(&c.arena, "%.*s.%.*s", COX_FMT(name.name), COX_FMT(name.ns));
		rc = sent_get(&c, id, &sent, &err);
	}
	if (rc == COX_OK)
		same = cox_status_compare(sent, has, &c.arena, &out, &err);
	int status = finish(cli, err.rc != COX_OK ? err.rc : rc, &out, &err);
	cox_control_close(&c);
	proxy_close(&p);
	return status ? status : same ? 0 : 1;
}

static int proxy_status(struct cox_cli *cli) { return cox_cli_arg_count(cli) ? status_one(cli) : status_all(cli); }

/* --- version ---------------------------------------------------------------------------------------------------- */

static int version(struct cox_cli *cli)
{
	struct cox_control c = { 0 };
	struct cox_json *planes = NULL, *proxies = NULL;
	struct cox_buf out = { 0 };
	struct cox_err err = { 0 };
	enum cox_rc rc = COX_OK;
	if (cox_cli_is(cli, "remote")) {
		rc = control_open(cli, 0, &c, &err);
		if (rc == COX_OK)
			rc = control_ask(&c, "/version", &planes, &err);
		if (rc == COX_OK)
			rc = control_ask(&c, "/debug/syncz", &proxies, &err);
	}
	int status;
	if (cox_cli_has(cli, "output")) {
		status = verb_print_tree(cli, cox_status_versions_tree(proxies, planes, verb_version_text, &c.arena));
	} else {
		cox_status_versions(proxies, planes, verb_version_text, &out);
		status = cox_cli_print(cli, &out);
	}
	/* Nobody asked for a cluster that is not there: the client's version alone is an answer, with a note. */
	if (rc != COX_OK && (cox_cli_has(cli, "remote") || cox_cli_has(cli, "server") || cox_cli_has(cli, "kubeconfig")))
		status = cox_cli_fail(cli, &err);
	else if (rc != COX_OK)
		(void)cox_cli_fail(cli, &err);
	cox_buf_fini(&out);
	cox_control_close(&c);
	return status;
}

/* --- internal-debug, remote-clusters ------------------------------------------------------------------------------ */

static int internal_debug(struct cox_cli *cli)
{
	struct cox_control c = { 0 };
	struct cox_json *all = NULL;
	struct cox_err err = { 0 };
	const char *what = cox_cli_is(cli, "list") ? "list" : cox_cli_arg(cli, 0);
	if (!what)
		return cox_cli_wrong(cli, "a page is needed; --list names them");
	enum cox_rc rc = control_open(cli, 0, &c, &err);
	if (rc == COX_OK && !cox_cli_is(cli, "all") && c.n > 1)
		c.n = 1;
	if (rc == COX_OK)
		rc = control_ask(&c, cox_arena_printf(&c.arena, "/debug/%s", what).p, &all, &err);
	int status = rc != COX_OK ? cox_cli_fail(cli, &err) : verb_print_tree(cli, cox_cli_is(cli, "all") ? all : &all->members[0].value);
	cox_control_close(&c);
	return status;
}

static int remote_clusters(struct cox_cli *cli)
{
	struct cox_control c = { 0 };
	struct cox_json *all = NULL;
	struct cox_table t = { 0 };
	struct cox_buf out = { 0 };
	struct cox_err err = { 0 };
	enum cox_rc rc = control_open(cli, 0, &c, &err);
	if (rc == COX_OK)
		rc = control_ask(&c, "/debug/clusterz", &all, &err);
	cox_table_row(&t, "NAME\tSECRET\tSTATUS\tISTIOD");
	for (size_t r = 0; rc == COX_OK && r < all->n; r++) {
		const struct cox_json *list = &all->members[r].value;
		for (size_t i = 0; list->type == COX_JSON_ARRAY && i < list->n; i++) {
			cox_table_cell(&t, cox_json_str_at(&list->items[i], "id"));
			cox_table_cell(&t, cox_json_str_at(&list->items[i], "secretName"));
			cox_table_cell(&t, cox_json_str_at(&list->items[i], "syncStatus"));
			cox_table_cell(&t, all->members[r].key);
			cox_table_row_end(&t);
		}
	}
	cox_table_write(&t, 5, &out);
	cox_table_fini(&t);
	int status = finish(cli, rc, &out, &err);
	cox_control_close(&c);
	return status;
}

/* --- admin log ------------------------------------------------------------------------------------------------------ */

static enum cox_rc scope_put(struct cox_control *c, size_t replica, struct cox_str scope, struct cox_str level, struct cox_err *err)
{
	struct cox_str ignored,
	    body = cox_arena_printf(&c->arena, "{\"name\":\"%.*s\",\"output_level\":\"%.*s\"}", COX_FMT(scope), COX_FMT(level));
	return cox_reach_send(&c->replicas[replica].reach, "PUT", cox_arena_printf(&c->arena, "/scopej/%.*s", COX_FMT(scope)), body,
	                      &c->arena, &ignored, err);
}

/* "ads:debug,ca:info", or "debug" for all scopes. */
static enum cox_rc scopes_set(struct cox_control *c, size_t replica, const struct cox_json *scopes, struct cox_str levels,
                              struct cox_err *err)
{
	static const char *const known[] = { "none", "error", "warn", "info", "debug" };
	struct cox_str rest = levels, one;
	while (cox_str_next(&rest, ',', &one)) {
		ptrdiff_t colon = cox_str_rfind(one, ':');
		struct cox_str level = colon < 0 ? one : cox_str_sub(one, (size_t)colon + 1, SIZE_MAX);
		bool is_known = false;
		for (size_t i = 0; i < COX_LEN(known); i++)
			is_known |= cox_str_eq_cstr(level, known[i]);
		if (!is_known)
			return cox_err_set(err, COX_EINVAL, NULL, "\"%.*s\" is no level: none, error, warn, info, debug", COX_FMT(level));
		for (size_t i = 0; colon < 0 && i < scopes->n; i++)
			COX_TRY(scope_put(c, replica, cox_json_str_at(&scopes->items[i], "name"), level, err));
		if (colon >= 0)
			COX_TRY(scope_put(c, replica, cox_str_sub(one, 0, (size_t)colon), level, err));
	}
	return COX_OK;
}

static int scope_cmp(const void *a, const void *b) { return cox_str_cmp(cox_json_str_at(a, "name"), cox_json_str_at(b, "name")); }

static enum cox_rc scopes_get(struct cox_control *c, size_t replica, struct cox_json **out, struct cox_err *err)
{
	COX_TRY(cox_reach_json(&c->replicas[replica].reach, COX_STR("/scopej/"), &c->arena, out, err));
	if ((*out)->type != COX_JSON_ARRAY)
		return cox_err_set(err, COX_EPROTO, NULL, "%.*s: this is no list of scopes", COX_FMT(c->replicas[replica].name));
	if ((*out)->n)
		qsort((*out)->items, (*out)->n, sizeof(*(*out)->items), scope_cmp);
	return COX_OK;
}

static int scopes_print(struct cox_cli *cli, const struct cox_json *scopes)
{
	struct cox_table t = { 0 };
	struct cox_buf out = { 0 };
	if (!cox_str_eq(cox_cli_str(cli, "output"), COX_STR("short")))
		return verb_print_tree(cli, scopes);
	cox_table_row(&t, "ACTIVE SCOPE\tDESCRIPTION\tLOG LEVEL");
	for (size_t i = 0; i < scopes->n; i++) {
		cox_table_cell(&t, cox_json_str_at(&scopes->items[i], "name"));
		cox_table_cell(&t, cox_json_str_at(&scopes->items[i], "description"));
		cox_table_cell(&t, cox_json_str_at(&scopes->items[i], "output_level"));
		cox_table_row_end(&t);
	}
	cox_table_write(&t, 5, &out);
	cox_table_fini(&t);
	int status = cox_cli_print(cli, &out);
	cox_buf_fini(&out);
	return status;
}

static int admin_log(struct cox_cli *cli)
{
	struct cox_control c = { 0 };
	struct cox_json *scopes = NULL;
	struct cox_err err = { 0 };
	bool is_reset = cox_cli_is(cli, "reset") || cox_cli_is(cli, "log-reset");
	struct cox_str levels = is_reset ? COX_STR("info") : cox_cli_str(cli, "level"), pod = cox_str_of(cox_cli_arg(cli, 0));
	if (is_reset && cox_cli_has(cli, "level"))
		return cox_cli_wrong(cli, "--level and --reset exclude each other");
	enum cox_rc rc = control_open(cli, (uint16_t)cox_cli_i64(cli, "ctrlz_port"), &c, &err);
	size_t n = 0;
	int status = 0;
	for (size_t i = 0; rc == COX_OK && status == 0 && i < c.n; i++) {
		if (pod.n && !cox_str_eq(pod, c.replicas[i].name))
			continue;
		rc = scopes_get(&c, i, &scopes, &err);
		if (rc == COX_OK && levels.n) /* each replica has levels of its own: all get them */
			rc = scopes_set(&c, i, scopes, levels, &err);
		if (rc == COX_OK && !levels.n) {
			status = scopes_print(cli, scopes);
			n++;
			break;
		}
		n += rc == COX_OK;
	}
	if (rc == COX_OK && n == 0)
		rc = cox_err_set(&err, COX_ENOTFOUND, NULL, "%.*s is no running replica of the control plane", COX_FMT(pod));
	if (rc != COX_OK)
		status = cox_cli_fail(cli, &err);
	cox_control_close(&c);
	return status;
}

/* --- the table -------------------------------------------------------------------------------------------------------- */

#define FLAGS(...) \
	(const struct cox_cli_flag[]) { __VA_ARGS__, VERB_FLAGS_END }

const struct cox_cli_verb verb_admin = { .path = "admin|istiod", .summary = "the control plane itself" };
const struct cox_cli_verb verb_admin_log = {
	.path = "admin|istiod log|l",
	.args = "[POD]",
	.arg_max = 1,
	.summary = "levels of the control plane's log: show or set them",
	.text =
	    "Levels are shown of one replica, and set in all of them, or in POD alone. It asks ControlZ, which listens on the replica's own\n"
	    "127.0.0.1.\n",
	.examples = "  coxctl admin log\n"
	            "  coxctl admin log --level ads:debug,ca:warn\n"
	            "  coxctl admin log --reset\n",
	.flags = FLAGS({ "level", 0, "[SCOPE:]LEVEL,...", NULL, "none, error, warn, info, debug; without SCOPE: of all", 0 },
	               { "reset", 0, NULL, NULL, "back to info", 0 }, { "log-reset", 0, NULL, NULL, "the same", 0 },
	               { "ctrlz_port", 0, "PORT", "9876", "of ControlZ", 0 }, VERB_FLAG_OUTPUT("json|yaml|short", "short"), CONTROL_FLAGS,
	               { "stack-trace-level", 0, "LEVELS", NULL, "", COX_CLI_IGNORED },
	               { "stack-trace-reset", 0, NULL, NULL, "", COX_CLI_IGNORED }),
	.run = admin_log,
};
const struct cox_cli_verb verb_internal_debug = {
	.path = "internal-debug|id",
	.args = "[PAGE]",
	.arg_max = 1,
	.summary = "a debug page of the control plane",
	.examples = "  coxctl internal-debug --list\n"
	            "  coxctl internal-debug 'config_dump?proxyID=web-0.shop'\n",
	.flags = FLAGS({ "list", 'L', NULL, NULL, "which pages there are", 0 }, { "all", 0, NULL, NULL, "of all replicas; else of one", 0 },
	               VERB_FLAG_OUTPUT("json|yaml", "json"), CONTROL_FLAGS),
	.run = internal_debug,
};
const struct cox_cli_verb verb_proxy_status = {
	.path = "proxy-status|ps",
	.args = "[[TYPE/]NAME[.NAMESPACE]]",
	.arg_max = 1,
	.summary = "what proxies were sent and have acknowledged; of one: is what it has what it was sent",
	.text =
	    "Without a pod: all proxies, or those of -n. With one: the control plane's and the Envoy's configuration compared, with what differs;\n"
	    "exit status 1: they differ.\n",
	.examples = "  coxctl proxy-status\n"
	            "  coxctl proxy-status web-0.shop\n"
	            "  coxctl proxy-status web-0.shop --file config_dump.json\n",
	.flags = FLAGS({ "verbosity", 'v', "N", "0", "1: the state of each type, with its age", 0 },
	               { "file", 0, "FILE", NULL, "with a pod: the Envoy's config dump instead of a live one", 0 }, PROXY_FLAGS,
	               CONTROL_FLAGS, VERB_FLAG_OUTPUT("table|json|yaml", "table")),
	.run = proxy_status,
};
const struct cox_cli_verb verb_remote_clusters = {
	.path = "remote-clusters",
	.summary = "clusters that each replica of the control plane reads",
	.flags = FLAGS(CONTROL_FLAGS),
	.run = remote_clusters,
};
const struct cox_cli_verb verb_version = {
	.path = "version",
	.summary = "versions of this program, the control plane and the proxies",
	.text =
	    "Where no cluster can be asked the client's own version is told, with a note; exit status 1 only if a cluster was asked for.\n",
	.flags = FLAGS({ "remote", 0, NULL, "true", "of the cluster, too", 0 },
	               { "short", 's', NULL, "true", "of istioctl: it is always short", 0 },
	               { "output", 'o', "json|yaml", NULL, "as a tree", 0 }, CONTROL_FLAGS),
	.run = version,
};
