/* capture_priv - rules as values: capture_plan.c says which, capture_iptables.c and capture_nft.c how they are written. */
#ifndef COX_AGENT_CAPTURE_PRIV_H
#define COX_AGENT_CAPTURE_PRIV_H

#include "agent/capture.h"

enum capture_table { CAPTURE_RAW, CAPTURE_MANGLE, CAPTURE_NAT, CAPTURE_TABLES };
enum capture_verdict {
	CAPTURE_RETURN,
	CAPTURE_ACCEPT,
	CAPTURE_DROP,
	CAPTURE_JUMP,
	CAPTURE_REDIRECT,
	CAPTURE_TPROXY,
	CAPTURE_SET_MARK,
	CAPTURE_SAVE_MARK,
	CAPTURE_RESTORE_MARK,
	CAPTURE_ZONE
};
enum capture_state { CAPTURE_ANY_STATE, CAPTURE_ESTABLISHED, CAPTURE_INVALID };

/* What is zero or empty is no condition. */
struct capture_rule {
	enum capture_table table;
	const char *chain;
	struct cox_str in, out, src, dst, port; /* port: a number */
	bool not_dst, not_port, is_udp, is_tcp;
	uint16_t not_port_too, src_port;
	const char *owner; /* "uid" or "gid" */
	struct cox_str id;
	bool not_id;
	enum capture_state state;
	uint32_t mark, conn_mark;
	bool not_mark;
	enum capture_verdict verdict;
	const char *jump;
	uint32_t value; /* port, mark or zone of the verdict */
	uint32_t tproxy_mark;
};
typedef void capture_put_fn(void *ctx, const struct capture_rule *rule);

/* All rules of one address family, in order. */
void capture_plan(const struct cox_agent_capture *c, bool v6, capture_put_fn *put, void *ctx);
bool capture_needs_table(const struct cox_agent_capture *c, enum capture_table t);
/* Our chains of a table, NULL at the end. */
const char *const *capture_chains(enum capture_table t);

/* Next non-empty, trimmed item of a comma-separated list; "*". */
bool capture_next(struct cox_str *rest, struct cox_str *item);
bool capture_is_all(struct cox_str list);
/* 4 or 6: the family of an address or CIDR; 0: it is none. */
int capture_cidr_family(struct cox_str s);

#endif
