/* coxctl explain push: which change a proxy was sent something for, and how long it took. */
#include "control.h"

#include "tool/explain_push.h"

/* The replica that serves the proxy; without a proxy every one. */
static enum cox_rc ask(struct cox_control *c, struct cox_str proxy, struct cox_json **out, struct cox_err *err)
{
	if (!proxy.n)
		return control_ask(c, "/debug/pushz", out, err);
	struct cox_str path = cox_arena_printf(&c->arena, "/debug/pushz?proxyID=%.*s", COX_FMT(proxy));
	enum cox_rc rc = COX_ENOTFOUND;
	for (size_t i = 0; i < c->n && rc == COX_ENOTFOUND; i++) {
		struct cox_json *answer = NULL;
		rc = cox_reach_json(&c->replicas[i].reach, path, &c->arena, &answer, err);
		if (rc == COX_OK) {
			*out = cox_json_new_object(&c->arena);
			cox_json_set(&c->arena, *out, c->replicas[i].name, answer);
		}
	}
	return rc == COX_ENOTFOUND ? cox_err_set(err, rc, NULL, "%.*s is connected to no replica", COX_FMT(proxy)) : rc;
}

static int push(struct cox_cli *cli)
{
	struct cox_control c = { 0 };
	struct cox_json *all = NULL;
	struct cox_buf out = { 0 };
	struct cox_err err = { 0 };
	struct cox_str form = cox_cli_str(cli, "output");
	int status = 0;
	enum cox_rc rc = control_open(cli, 0, &c, &err);
	if (rc == COX_OK)
		rc = ask(&c, cox_cli_str(cli, "proxy"), &all, &err);
	for (size_t i = 0; rc == COX_OK && i < all->n; i++) {
		if (all->n > 1)
			cox_buf_printf(&out, "%s%.*s\n", i ? "\n" : "", COX_FMT(all->members[i].key));
		cox_explain_push_write(&all->members[i].value, &out);
	}
	if (rc != COX_OK)
		status = cox_cli_fail(cli, &err);
	else if (cox_str_eq(form, COX_STR("text")))
		status = cox_cli_print(cli, &out);
	else
		status = verb_print_tree(cli, all);
	cox_buf_fini(&out);
	cox_control_close(&c);
	return status;
}

const struct cox_cli_verb verb_explain_push = {
	.path = "explain push",
	.summary = "which change a proxy was sent something for, and how long it took",
	.text =
	    "Shows the last responses to a proxy: what was sent, for which change (the objects are named below), the time from the change to the\n"
	    "response and from there to the proxy's acknowledgement. Without --proxy: the last changes that were pushed to anybody.\n"
	    "The control plane keeps the last 8 responses of each proxy and the last 256 changes.\n",
	.examples = "  coxctl explain push --proxy web-0.shop\n"
	            "  coxctl explain push --proxy web-0.shop --server http://127.0.0.1:8080 -o json\n",
	.flags = (const struct cox_cli_flag[]){ { "proxy", 0, "POD.NAMESPACE", NULL, "the proxy", 0 },
	                                        CONTROL_FLAGS,
	                                        VERB_FLAG_OUTPUT("text|json|yaml", "text"),
	                                        VERB_FLAGS_END },
	.run = push,
};
