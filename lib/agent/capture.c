#include "agent/capture.h"

#include "agent/run.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <unistd.h>

/* The names that istio-iptables uses, so that its tools and ours can clean up after each other. */
static const char *const chains[] = { "ISTIO_INBOUND", "ISTIO_IN_REDIRECT", "ISTIO_OUTPUT", "ISTIO_REDIRECT" };

/* Linux limits an interface name to 15 bytes; '+' at the end is iptables' wildcard. */
enum { INTERFACE_BYTES_MAX = 15, LIST_ITEMS_MAX = 1000 };

void cox_agent_capture_defaults(struct cox_agent_capture *c)
{
	*c = (struct cox_agent_capture){
		.outbound_port = 15001,
		.inbound_port = 15006,
		.tunnel_port = 15008,
		.proxy_uids = COX_STR_INIT("1337"),
		.proxy_gids = COX_STR_INIT("1337"),
		.mode = COX_STR_INIT("REDIRECT"),
		.include_cidrs = COX_STR_INIT("*"),
		.include_inbound_ports = COX_STR_INIT("*"),
	};
}

/* Next non-empty, trimmed item of a comma-separated list. */
static bool next_item(struct cox_str *rest, struct cox_str *item)
{
	while (rest->p != NULL && cox_str_next(rest, ',', item)) {
		*item = cox_str_trim(*item);
		if (item->n != 0)
			return true;
	}
	return false;
}

static bool is_all(struct cox_str list) { return cox_str_eq(cox_str_trim(list), COX_STR("*")); }

/* --- checks ------------------------------------------------------------------------------- */

static bool port_is_ok(struct cox_str s)
{
	uint64_t v;
	return cox_str_to_u64(s, &v) == COX_OK && v >= 1 && v <= 65535;
}

static bool id_is_ok(struct cox_str s)
{
	uint64_t v;
	return cox_str_to_u64(s, &v) == COX_OK && v < UINT32_MAX;
}

static bool interface_is_ok(struct cox_str s)
{
	if (s.n > INTERFACE_BYTES_MAX)
		return false;
	for (size_t i = 0; i < s.n; i++) {
		char ch = s.p[i];
		bool word = (ch >= 'a' && ch <= 'z') || (ch >= 'A' && ch <= 'Z') || (ch >= '0' && ch <= '9');
		if (!word && ch != '.' && ch != '_' && (ch != '-' || i == 0) && (ch != '+' || i + 1 != s.n))
			return false;
	}
	return true;
}

/* 4 or 6: the family of an address or CIDR; 0: it is none. */
static int cidr_family(struct cox_str s)
{
	char text[64];
	unsigned char bytes[16];
	ptrdiff_t slash = cox_str_find(s, '/');
	struct cox_str address = slash < 0 ? s : cox_str_sub(s, 0, (size_t)slash);
	if (address.n >= sizeof(text))
		return 0;
	cox_str_to_cstr(address, text, sizeof(text));
	int family = inet_pton(AF_INET, text, bytes) == 1 ? 4 : inet_pton(AF_INET6, text, bytes) == 1 ? 6 : 0;
	if (family != 0 && slash >= 0) {
		uint64_t bits;
		if (cox_str_to_u64(cox_str_sub(s, (size_t)slash + 1, s.n), &bits) != COX_OK || bits > (family == 4 ? 32u : 128u))
			return 0;
	}
	return family;
}

static bool cidr_is_ok(struct cox_str s) { return cidr_family(s) != 0; }

static enum cox_rc check_list(struct cox_str list, const char *flag, const char *what, bool (*is_ok)(struct cox_str), struct cox_err *err)
{
	if (is_all(list))
		return COX_OK;
	struct cox_str rest = list, item;
	size_t count = 0;
	while (next_item(&rest, &item)) {
		if (!is_ok(item))
			return cox_err_set(err, COX_EINVAL, flag, "\"%.*s\" is not %s", COX_FMT(item), what);
		if (++count > LIST_ITEMS_MAX)
			return cox_err_set(err, COX_ELIMIT, flag, "more than %d items", LIST_ITEMS_MAX);
	}
	return COX_OK;
}

enum cox_rc cox_agent_capture_check(const struct cox_agent_capture *c, struct cox_err *err)
{
	if (!cox_str_eq(c->mode, COX_STR("REDIRECT")))
		return cox_err_set(err, COX_EINVAL, "-m", "\"%.*s\" is not supported, only REDIRECT is", COX_FMT(c->mode));
	if (c->outbound_port == 0 || c->inbound_port == 0)
		return cox_err_set(err, COX_EINVAL, c->outbound_port == 0 ? "-p" : "-z", "must be a port from 1 to 65535");
	if (is_all(c->proxy_uids) || is_all(c->proxy_gids) || is_all(c->exclude_cidrs))
		return cox_err_set(err, COX_EINVAL, is_all(c->exclude_cidrs) ? "-x" : "-u", "\"*\" would exempt everything");
	COX_TRY(check_list(c->proxy_uids, "-u", "a user id", id_is_ok, err));
	COX_TRY(check_list(c->proxy_gids, "-g", "a group id", id_is_ok, err));
	COX_TRY(check_list(c->include_cidrs, "-i", "an address or CIDR", cidr_is_ok, err));
	COX_TRY(check_list(c->exclude_cidrs, "-x", "an address or CIDR", cidr_is_ok, err));
	COX_TRY(check_list(c->include_inbound_ports, "-b", "a port from 1 to 65535", port_is_ok, err));
	COX_TRY(check_list(c->exclude_inbound_ports, "-d", "a port from 1 to 65535", port_is_ok, err));
	COX_TRY(check_list(c->include_outbound_ports, "-q", "a port from 1 to 65535", port_is_ok, err));
	COX_TRY(check_list(c->exclude_outbound_ports, "-o", "a port from 1 to 65535", port_is_ok, err));
	COX_TRY(check_list(c->kube_interfaces, "-k", "an interface name", interface_is_ok, err));
	return check_list(c->exclude_interfaces, "-c", "an interface name", interface_is_ok, err);
}

/* --- rules -------------------------------------------------------------------------------- */

/* One rule for each item: `fmt` has one %.*s for it. */
static void each(struct cox_buf *out, struct cox_str list, const char *before, const char *after)
{
	struct cox_str rest = list, item;
	while (next_item(&rest, &item))
		cox_buf_printf(out, "%s%.*s%s\n", before, COX_FMT(item), after);
}

static void each_cidr(struct cox_buf *out, bool v6, struct cox_str list, const char *before, const char *after)
{
	struct cox_str rest = list, item;
	while (next_item(&rest, &item))
		if (cidr_family(item) == (v6 ? 6 : 4))
			cox_buf_printf(out, "%s%.*s%s\n", before, COX_FMT(item), after);
}

static void build_inbound(const struct cox_agent_capture *c, bool v6, struct cox_buf *out)
{
	each(out, c->exclude_interfaces, "-A ISTIO_INBOUND -i ", " -j RETURN");
	struct cox_str rest = c->kube_interfaces, item;
	while (next_item(&rest, &item)) {
		char before[64];
		snprintf(before, sizeof(before), "-A ISTIO_INBOUND -i %.*s -d ", COX_FMT(item));
		each_cidr(out, v6, c->exclude_cidrs, before, " -j RETURN");
		if (is_all(c->include_cidrs))
			cox_buf_printf(out, "-A ISTIO_INBOUND -i %.*s -p tcp -j ISTIO_REDIRECT\n", COX_FMT(item));
		else
			each_cidr(out, v6, c->include_cidrs, before, " -p tcp -j ISTIO_REDIRECT");
		cox_buf_printf(out, "-A ISTIO_INBOUND -i %.*s -j RETURN\n", COX_FMT(item));
	}
	cox_buf_printf(out, "-A ISTIO_INBOUND -p tcp --dport %u -j RETURN\n", (unsigned)c->tunnel_port);
	if (!is_all(c->include_inbound_ports)) {
		each(out, c->include_inbound_ports, "-A ISTIO_INBOUND -p tcp --dport ", " -j ISTIO_IN_REDIRECT");
		return;
	}
	each(out, c->exclude_inbound_ports, "-A ISTIO_INBOUND -p tcp --dport ", " -j RETURN");
	cox_buf_append_cstr(out, "-A ISTIO_INBOUND -p tcp -j ISTIO_IN_REDIRECT\n");
}

/* What the proxy itself sends: to its own pod (a call of the application to its own service, on its way back in) goes
 * through the inbound listener; the application's plain calls to loopback stay direct; all else leaves untouched. */
static void build_owner(const struct cox_agent_capture *c, const char *kind, struct cox_str ids, const char *loopback, struct cox_buf *out)
{
	struct cox_str rest = ids, id;
	while (next_item(&rest, &id))
		cox_buf_printf(out, "-A ISTIO_OUTPUT -o lo ! -d %s -p tcp ! --dport %u -m owner --%s-owner %.*s -j ISTIO_IN_REDIRECT\n", loopback,
			       (unsigned)c->tunnel_port, kind, COX_FMT(id));
	rest = ids;
	while (next_item(&rest, &id)) {
		cox_buf_printf(out, "-A ISTIO_OUTPUT -o lo -m owner ! --%s-owner %.*s -j RETURN\n", kind, COX_FMT(id));
		cox_buf_printf(out, "-A ISTIO_OUTPUT -m owner --%s-owner %.*s -j RETURN\n", kind, COX_FMT(id));
	}
}

static void build_outbound(const struct cox_agent_capture *c, bool v6, struct cox_buf *out)
{
	const char *loopback = v6 ? "::1/128" : "127.0.0.1/32";
	each(out, c->exclude_interfaces, "-A ISTIO_OUTPUT -o ", " -j RETURN");
	each(out, c->exclude_outbound_ports, "-A ISTIO_OUTPUT -p tcp --dport ", " -j RETURN");
	/* Inbound passthrough binds this source: without the rule its connection would come back to the proxy for ever. */
	cox_buf_printf(out, "-A ISTIO_OUTPUT -o lo -s %s -j RETURN\n", v6 ? "::6/128" : "127.0.0.6/32");
	build_owner(c, "uid", c->proxy_uids, loopback, out);
	build_owner(c, "gid", c->proxy_gids, loopback, out);
	cox_buf_printf(out, "-A ISTIO_OUTPUT -d %s -j RETURN\n", loopback);
	each_cidr(out, v6, c->exclude_cidrs, "-A ISTIO_OUTPUT -d ", " -j RETURN");
	each(out, c->include_outbound_ports, "-A ISTIO_OUTPUT -p tcp --dport ", " -j ISTIO_REDIRECT");
	if (is_all(c->include_cidrs))
		cox_buf_append_cstr(out, "-A ISTIO_OUTPUT -p tcp -j ISTIO_REDIRECT\n");
	else
		each_cidr(out, v6, c->include_cidrs, "-A ISTIO_OUTPUT -d ", " -p tcp -j ISTIO_REDIRECT");
}

static bool is_our_jump(struct cox_str line)
{
	if (!cox_str_has_prefix(line, COX_STR("-A PREROUTING ")) && !cox_str_has_prefix(line, COX_STR("-A OUTPUT ")))
		return false;
	return cox_str_has_suffix(line, COX_STR(" -j ISTIO_INBOUND")) || cox_str_has_suffix(line, COX_STR(" -j ISTIO_OUTPUT"));
}

/* The table's head: our chains (which --noflush empties), and the jumps of earlier runs taken out. */
static void build_head(struct cox_str saved, struct cox_buf *out)
{
	cox_buf_append_cstr(out, "*nat\n");
	for (size_t i = 0; i < COX_LEN(chains); i++)
		cox_buf_printf(out, ":%s - [0:0]\n", chains[i]);
	struct cox_str rest = saved, line;
	while (rest.p != NULL && cox_str_next(&rest, '\n', &line)) {
		line = cox_str_trim(line);
		if (is_our_jump(line))
			cox_buf_printf(out, "-D%.*s\n", (int)(line.n - 2), line.p + 2);
	}
}

void cox_agent_capture_build(const struct cox_agent_capture *c, bool v6, struct cox_str saved, struct cox_buf *out)
{
	build_head(saved, out);
	cox_buf_append_cstr(out, "-A PREROUTING -p tcp -j ISTIO_INBOUND\n-A OUTPUT -p tcp -j ISTIO_OUTPUT\n");
	cox_buf_printf(out, "-A ISTIO_IN_REDIRECT -p tcp -j REDIRECT --to-ports %u\n", (unsigned)c->inbound_port);
	cox_buf_printf(out, "-A ISTIO_REDIRECT -p tcp -j REDIRECT --to-ports %u\n", (unsigned)c->outbound_port);
	build_inbound(c, v6, out);
	build_outbound(c, v6, out);
	cox_buf_append_cstr(out, "COMMIT\n");
}

void cox_agent_capture_build_clean(struct cox_str saved, struct cox_buf *out)
{
	build_head(saved, out);
	for (size_t i = 0; i < COX_LEN(chains); i++)
		cox_buf_printf(out, "-X %s\n", chains[i]);
	cox_buf_append_cstr(out, "COMMIT\n");
}

static enum cox_rc apply_family(const struct cox_agent_capture *c, bool v6, bool clean, struct cox_err *err)
{
	const char *save[] = { v6 ? "ip6tables-save" : "iptables-save", "-t", "nat", NULL };
	/* -w: another program may hold the lock for a moment. */
	const char *restore[] = { v6 ? "ip6tables-restore" : "iptables-restore", "--noflush", "-w", "30", NULL };
	COX_AUTO(cox_buf_fini) struct cox_buf saved = { 0 };
	COX_AUTO(cox_buf_fini) struct cox_buf rules = { 0 };
	COX_TRY(cox_agent_run(save, COX_STR(""), &saved, err));
	if (clean)
		cox_agent_capture_build_clean(cox_buf_str(&saved), &rules);
	else
		cox_agent_capture_build(c, v6, cox_buf_str(&saved), &rules);
	return cox_agent_run(restore, cox_buf_str(&rules), NULL, err);
}

enum cox_rc cox_agent_capture_apply(const struct cox_agent_capture *c, bool clean, struct cox_err *err)
{
	COX_TRY(apply_family(c, false, clean, err));
	if (access("/proc/net/if_inet6", R_OK) == 0)
		COX_TRY(apply_family(c, true, clean, err));
	return COX_OK;
}
