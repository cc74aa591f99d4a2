#include "agent/capture_priv.h"

#include "agent/run.h"

#include <arpa/inet.h>
#include <net/if.h>
#include <netinet/in.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <unistd.h>

/* Linux limits an interface name to 15 bytes; '+' at the end is iptables' wildcard. */
enum { INTERFACE_BYTES_MAX = 15, LIST_ITEMS_MAX = 1000 };

void cox_agent_capture_defaults(struct cox_agent_capture *c)
{
	*c = (struct cox_agent_capture){
		.outbound_port = 15001,
		.inbound_port = 15006,
		.tunnel_port = 15008,
		.dns_port = 15053,
		.tproxy_mark = 1337,
		.tproxy_table = 133,
		.proxy_uids = COX_STR_INIT("1337"),
		.proxy_gids = COX_STR_INIT("1337"),
		.mode = COX_STR_INIT("REDIRECT"),
		.include_cidrs = COX_STR_INIT("*"),
		.include_inbound_ports = COX_STR_INIT("*"),
	};
}

bool capture_next(struct cox_str *rest, struct cox_str *item)
{
	while (rest->p != NULL && cox_str_next(rest, ',', item)) {
		*item = cox_str_trim(*item);
		if (item->n != 0)
			return true;
	}
	return false;
}

bool capture_is_all(struct cox_str list) { return cox_str_eq(cox_str_trim(list), COX_STR("*")); }

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

int capture_cidr_family(struct cox_str s)
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

static bool cidr_is_ok(struct cox_str s) { return capture_cidr_family(s) != 0; }

static enum cox_rc check_list(struct cox_str list, const char *flag, const char *what, bool (*is_ok)(struct cox_str), struct cox_err *err)
{
	if (capture_is_all(list))
		return COX_OK;
	struct cox_str rest = list, item;
	size_t count = 0;
	while (capture_next(&rest, &item)) {
		if (!is_ok(item))
			return cox_err_set(err, COX_EINVAL, flag, "\"%.*s\" is not %s", COX_FMT(item), what);
		if (++count > LIST_ITEMS_MAX)
			return cox_err_set(err, COX_ELIMIT, flag, "more than %d items", LIST_ITEMS_MAX);
	}
	return COX_OK;
}

enum cox_rc cox_agent_capture_check(const struct cox_agent_capture *c, struct cox_err *err)
{
	if (!cox_str_eq(c->mode, COX_STR("REDIRECT")) && !cox_str_eq(c->mode, COX_STR("TPROXY")))
		return cox_err_set(err, COX_EINVAL, "-m", "\"%.*s\" is neither REDIRECT nor TPROXY", COX_FMT(c->mode));
	if (c->tproxy_mark == 0 || c->tproxy_table == 0)
		return cox_err_set(err, COX_EINVAL, c->tproxy_mark ? "-r" : "-t", "must not be 0");
	if (c->redirect_dns && !capture_is_all(c->dns_servers))
		COX_TRY(check_list(c->dns_servers, "--redirect-dns", "an address of a name server", cidr_is_ok, err));
	if (c->outbound_port == 0 || c->inbound_port == 0)
		return cox_err_set(err, COX_EINVAL, c->outbound_port == 0 ? "-p" : "-z", "must be a port from 1 to 65535");
	if (capture_is_all(c->proxy_uids) || capture_is_all(c->proxy_gids) || capture_is_all(c->exclude_cidrs))
		return cox_err_set(err, COX_EINVAL, capture_is_all(c->exclude_cidrs) ? "-x" : "-u", "\"*\" would exempt everything");
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

/* --- applying: iptables ----------------------------------------------------------------------- */

static enum cox_rc apply_iptables(const struct cox_agent_capture *c, bool v6, struct cox_err *err)
{
	const char *save[] = { v6 ? "ip6tables-save" : "iptables-save", NULL };
	/* -w: another program may hold the lock for a moment. */
	const char *restore[] = { v6 ? "ip6tables-restore" : "iptables-restore", "--noflush", "-w", "30", NULL };
	COX_AUTO(cox_buf_fini) struct cox_buf saved = { 0 };
	COX_AUTO(cox_buf_fini) struct cox_buf rules = { 0 };
	COX_TRY(cox_agent_run(save, COX_STR(""), 0, &saved, err));
	if (c)
		cox_agent_capture_build(c, v6, cox_buf_str(&saved), &rules);
	else
		cox_agent_capture_build_clean(cox_buf_str(&saved), &rules);
	return rules.n ? cox_agent_run(restore, cox_buf_str(&rules), 0, NULL, err) : COX_OK;
}

/* --- nftables --------------------------------------------------------------------------------- */

static enum cox_rc apply_nft(const struct cox_agent_capture *c, bool v6, struct cox_err *err)
{
	const char *argv[] = { "nft", "-f", "-", NULL };
	COX_AUTO(cox_buf_fini) struct cox_buf rules = { 0 };
	if (c)
		cox_agent_capture_build_nft(c, v6, &rules);
	else
		cox_agent_capture_build_nft_clean(v6, &rules);
	return cox_agent_run(argv, cox_buf_str(&rules), 0, NULL, err);
}

static bool has_nft_table(bool v6)
{
	const char *argv[] = { "nft", "list", "table", v6 ? "ip6" : "ip", "coxswain", NULL };
	return cox_agent_run(argv, COX_STR(""), 0, NULL, NULL) == COX_OK;
}

/* --- policy routing, addresses ----------------------------------------------------------------- */

/* Packets with the mark are for this host, whatever their address: answers of the application to clients that the proxy stands in for. */
static enum cox_rc apply_routes(const struct cox_agent_capture *c, bool is_wanted, bool v6, struct cox_err *err)
{
	char mark[16], table[16];
	const char *family = v6 ? "-6" : "-4";
	snprintf(mark, sizeof(mark), "%u", c->tproxy_mark);
	snprintf(table, sizeof(table), "%u", c->tproxy_table);
	const char *rule_del[] = { "ip", family, "rule", "del", "fwmark", mark, "lookup", table, NULL };
	const char *route_del[] = { "ip", family, "route", "flush", "table", table, NULL };
	const char *rule_add[] = { "ip", family, "rule", "add", "fwmark", mark, "lookup", table, NULL };
	const char *route_add[] = { "ip", family, "route", "replace", "local", "default", "dev", "lo", "table", table, NULL };
	struct cox_err ignored = { 0 };
	/* An earlier run's; that there is none is no fault. */
	for (int i = 0; i < 16 && cox_agent_run(rule_del, COX_STR(""), 0, NULL, &ignored) == COX_OK; i++)
		;
	if (!is_wanted) {
		enum cox_rc rc = cox_agent_run(route_del, COX_STR(""), 0, NULL, &ignored);
		(void)rc; /* no such table: as wanted */
		return COX_OK;
	}
	COX_TRY(cox_agent_run(rule_add, COX_STR(""), 0, NULL, err));
	return cox_agent_run(route_add, COX_STR(""), 0, NULL, err);
}

/* The IPv6 sister of 127.0.0.6: inbound passthrough and probes use it as source, so it has to be this host's. */
static void add_v6_source(void)
{
	struct {
		struct in6_addr address;
		uint32_t prefix;
		int index;
	} request = { .prefix = 128, .index = (int)if_nametoindex("lo") };
	int fd = socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	request.address.s6_addr[15] = 6;
	if (fd < 0)
		return;
	(void)ioctl(fd, SIOCSIFADDR, &request); /* there already, or not ours to add: then IPv6 passthrough alone fails */
	close(fd);
}

/* --- both -------------------------------------------------------------------------------------- */

static bool has_iptables(void)
{
	const char *argv[] = { "iptables-restore", "--version", NULL };
	return cox_agent_run(argv, COX_STR(""), 0, NULL, NULL) != COX_ENOTFOUND;
}

static enum cox_rc apply_family(const struct cox_agent_capture *c, bool nft, bool v6, struct cox_err *err)
{
	/* The other back end's rules would capture a second time. */
	if (nft && has_iptables())
		COX_TRY(apply_iptables(NULL, v6, err));
	else if (!nft && has_nft_table(v6))
		COX_TRY(apply_nft(NULL, v6, err));
	COX_TRY(apply_routes(c, cox_str_eq(c->mode, COX_STR("TPROXY")), v6, err));
	if (v6)
		add_v6_source();
	return nft ? apply_nft(c, v6, err) : apply_iptables(c, v6, err);
}

static enum cox_rc clean_family(const struct cox_agent_capture *c, bool v6, struct cox_err *err)
{
	if (has_nft_table(v6))
		COX_TRY(apply_nft(NULL, v6, err));
	COX_TRY(apply_routes(c, false, v6, err));
	return has_iptables() ? apply_iptables(NULL, v6, err) : COX_OK;
}

bool cox_agent_capture_uses_nft(const struct cox_agent_capture *c)
{
	return c->backend == COX_AGENT_CAPTURE_NFT || (c->backend == COX_AGENT_CAPTURE_AUTO && !has_iptables());
}

enum cox_rc cox_agent_capture_apply(const struct cox_agent_capture *c, bool clean, struct cox_err *err)
{
	bool has_v6 = access("/proc/net/if_inet6", R_OK) == 0, nft = !clean && cox_agent_capture_uses_nft(c);
	for (int v6 = 0; v6 <= has_v6; v6++)
		COX_TRY(clean ? clean_family(c, v6, err) : apply_family(c, nft, v6, err));
	return COX_OK;
}
