/* init: traffic capture in the pod's network namespace. Flags only; the work is in lib/agent/capture. */
#include "cmd.h"

#include "agent/bootstrap.h"
#include "agent/capture.h"
#include "agent/capture_check.h"
#include "agent/resolv.h"
#include "base/log.h"

#include <getopt.h>
#include <stdio.h>

extern char **environ;

struct init_flags {
	struct cox_agent_capture capture;
	bool clean, dry_run, v6, all_dns, validate, skip_rules;
	const char *resolv_conf;
};

enum {
	OPT_CLEAN = 256,
	OPT_REDIRECT_DNS,
	OPT_ALL_DNS,
	OPT_RESOLV_CONF,
	OPT_DROP_INVALID,
	OPT_NFT,
	OPT_BACKEND,
	OPT_ALWAYS,
	OPT_VALIDATE,
	OPT_SKIP_RULES,
	OPT_LOG,
	OPT_LOG_JSON
};

static const struct option options[] = {
	{ "envoy-port", required_argument, NULL, 'p' },
	{ "inbound-capture-port", required_argument, NULL, 'z' },
	{ "inbound-tunnel-port", required_argument, NULL, 'e' },
	{ "proxy-uid", required_argument, NULL, 'u' },
	{ "proxy-gid", required_argument, NULL, 'g' },
	{ "istio-inbound-interception-mode", required_argument, NULL, 'm' },
	{ "istio-inbound-tproxy-mark", required_argument, NULL, 't' },
	{ "istio-inbound-tproxy-route-table", required_argument, NULL, 'r' },
	{ "istio-service-cidr", required_argument, NULL, 'i' },
	{ "istio-service-exclude-cidr", required_argument, NULL, 'x' },
	{ "istio-inbound-ports", required_argument, NULL, 'b' },
	{ "istio-local-exclude-ports", required_argument, NULL, 'd' },
	{ "istio-outbound-ports", required_argument, NULL, 'q' },
	{ "istio-local-outbound-ports-exclude", required_argument, NULL, 'o' },
	{ "kube-virt-interfaces", required_argument, NULL, 'k' },
	{ "istio-exclude-interfaces", required_argument, NULL, 'c' },
	{ "redirect-dns", optional_argument, NULL, OPT_REDIRECT_DNS },
	{ "capture-all-dns", optional_argument, NULL, OPT_ALL_DNS },
	{ "resolv-conf", required_argument, NULL, OPT_RESOLV_CONF },
	{ "drop-invalid", optional_argument, NULL, OPT_DROP_INVALID },
	{ "native-nftables", optional_argument, NULL, OPT_NFT },
	{ "backend", required_argument, NULL, OPT_BACKEND },
	{ "clean", no_argument, NULL, OPT_CLEAN },
	{ "cleanup-only", optional_argument, NULL, OPT_CLEAN },
	{ "dry-run", optional_argument, NULL, 'n' },
	{ "run-validation", optional_argument, NULL, OPT_VALIDATE },
	{ "skip-rule-apply", optional_argument, NULL, OPT_SKIP_RULES },
	/* What istio-iptables has to be told and we do anyway: both families, and a rerun that gives the same rules. */
	{ "dual-stack", optional_argument, NULL, OPT_ALWAYS },
	{ "force-apply", optional_argument, NULL, OPT_ALWAYS },
	{ "reconcile", optional_argument, NULL, OPT_ALWAYS },
	{ "log_output_level", required_argument, NULL, OPT_LOG },
	{ "log_as_json", no_argument, NULL, OPT_LOG_JSON },
	{ NULL, 0, NULL, 0 },
};

/* The flag's text, or NULL where it is none. */
static struct cox_str *text_of(struct cox_agent_capture *c, int flag)
{
	switch (flag) {
	case 'u': return &c->proxy_uids;
	case 'g': return &c->proxy_gids;
	case 'm': return &c->mode;
	case 'i': return &c->include_cidrs;
	case 'x': return &c->exclude_cidrs;
	case 'b': return &c->include_inbound_ports;
	case 'd': return &c->exclude_inbound_ports;
	case 'q': return &c->include_outbound_ports;
	case 'o': return &c->exclude_outbound_ports;
	case 'k': return &c->kube_interfaces;
	case 'c': return &c->exclude_interfaces;
	default: return NULL;
	}
}

/* "--flag", "--flag=true", "--flag=false". */
static bool read_switch(bool *out)
{
	*out = !optarg || !strcmp(optarg, "true");
	return *out || !strcmp(optarg, "false");
}

static bool read_backend(struct cox_agent_capture *c)
{
	bool nft = !strcmp(optarg, "nft"), iptables = !strcmp(optarg, "iptables");
	c->backend = nft ? COX_AGENT_CAPTURE_NFT : iptables ? COX_AGENT_CAPTURE_IPTABLES : COX_AGENT_CAPTURE_AUTO;
	return nft || iptables || !strcmp(optarg, "auto");
}

static bool set_flag(struct init_flags *f, int flag)
{
	struct cox_agent_capture *c = &f->capture;
	struct cox_str *text = text_of(c, flag);
	uint64_t number = 0;
	bool on = false;
	if (text) {
		*text = cox_str_of(optarg);
		return true;
	}
	switch (flag) {
	case 'p': return cmd_port(optarg, &c->outbound_port);
	case 'z': return cmd_port(optarg, &c->inbound_port);
	case 'e': return cmd_port(optarg, &c->tunnel_port);
	case 't':
	case 'r':
		if (!cmd_number(optarg, UINT32_MAX, &number))
			return false;
		*(flag == 't' ? &c->tproxy_mark : &c->tproxy_table) = (uint32_t)number;
		return true;
	case 'n': return read_switch(&f->dry_run);
	case '6': f->v6 = true; return true;
	case OPT_CLEAN: return read_switch(&f->clean);
	case OPT_REDIRECT_DNS: return read_switch(&c->redirect_dns);
	case OPT_ALL_DNS: return read_switch(&f->all_dns);
	case OPT_RESOLV_CONF: f->resolv_conf = optarg; return true;
	case OPT_DROP_INVALID: return read_switch(&c->drop_invalid);
	case OPT_NFT:
		if (!read_switch(&on))
			return false;
		c->backend = on ? COX_AGENT_CAPTURE_NFT : COX_AGENT_CAPTURE_AUTO;
		return true;
	case OPT_BACKEND: return read_backend(c);
	case OPT_VALIDATE: return read_switch(&f->validate);
	case OPT_SKIP_RULES: return read_switch(&f->skip_rules);
	case OPT_LOG: return cox_log_set_levels(cox_str_of(optarg)) == COX_OK;
	case OPT_LOG_JSON: cox_log_set_json(true); return true;
	case OPT_ALWAYS: return read_switch(&on);
	default: return false;
	}
}

static bool read_flags(int argc, char **argv, struct init_flags *f)
{
	int flag;
	cox_agent_capture_defaults(&f->capture);
	f->capture.redirect_dns = cox_str_eq(cox_agent_env((const char *const *)environ, "ISTIO_META_DNS_CAPTURE"), COX_STR("true"));
	f->resolv_conf = "/etc/resolv.conf";
	while ((flag = getopt_long(argc, argv, "p:z:e:u:g:m:t:r:i:x:b:d:q:o:k:c:n6", options, NULL)) != -1)
		if (!set_flag(f, flag))
			return false;
	return optind == argc;
}

/* Whose questions are taken: the pod's own name servers', as text in `out`. */
static enum cox_rc find_dns_servers(struct init_flags *f, struct cox_buf *out, struct cox_err *err)
{
	struct cox_resolv resolv;
	if (f->all_dns) {
		f->capture.dns_servers = COX_STR("*");
		return COX_OK;
	}
	COX_TRY(cox_resolv_load(f->resolv_conf, &resolv, err));
	for (size_t i = 0; i < resolv.server_n; i++)
		cox_buf_printf(out, "%s%s", i ? "," : "", resolv.servers[i]);
	f->capture.dns_servers = cox_buf_str(out);
	return COX_OK;
}

static void print_rules(const struct init_flags *f)
{
	COX_AUTO(cox_buf_fini) struct cox_buf rules = { 0 };
	bool nft = cox_agent_capture_uses_nft(&f->capture);
	if (f->clean && nft)
		cox_agent_capture_build_nft_clean(f->v6, &rules);
	else if (nft)
		cox_agent_capture_build_nft(&f->capture, f->v6, &rules);
	else if (!f->clean)
		cox_agent_capture_build(&f->capture, f->v6, COX_STR(""), &rules);
	else
		cox_buf_append_cstr(&rules, "# what iptables-save shows of ISTIO_ chains would be taken away\n");
	fwrite(rules.p, 1, rules.n, stdout);
}

/* As many seconds as istio-iptables gives it. */
static int validate(const struct init_flags *f)
{
	struct cox_err err = { 0 };
	/* What TPROXY captures arrives at transparent sockets alone, and those take rights that this container has not. */
	if (cox_str_eq_cstr(f->capture.mode, "TPROXY")) {
		fputs(
		    "cox-agent: --run-validation: with TPROXY it cannot be told without rights whether traffic is captured; nothing was tried\n",
		    stderr);
		return 0;
	}
	enum cox_rc rc = cox_agent_capture_verify(f->capture.inbound_port, 5000, &err);
	if (rc == COX_OK)
		return 0;
	cmd_fail(&err);
	return rc == COX_EDENIED ? COX_AGENT_CAPTURE_CHECK_EXIT : 1;
}

int cmd_init(int argc, char **argv, bool clean)
{
	struct init_flags f = { .clean = clean };
	COX_AUTO(cox_buf_fini) struct cox_buf servers = { 0 };
	struct cox_err err = { 0 };
	if (!read_flags(argc, argv, &f))
		return cmd_usage("init: a flag or its value is wrong");
	f.clean |= clean;
	if (!f.clean && f.capture.redirect_dns && find_dns_servers(&f, &servers, &err) != COX_OK)
		return cmd_fail(&err);
	if (cox_agent_capture_check(&f.capture, &err) != COX_OK)
		return cmd_fail(&err);
	if (f.dry_run)
		print_rules(&f);
	else if (!f.skip_rules && cox_agent_capture_apply(&f.capture, f.clean, &err) != COX_OK)
		return cmd_fail(&err);
	return f.validate && !f.dry_run && !f.clean ? validate(&f) : 0;
}
