/*
 * wire - what main process, key keeper and signer say to each other: frames on stream sockets, each a type and a protobuf message.
 *
 *   main -> signer   SIGN, REVOKED            signer -> main   BUNDLE, ANSWER (in the order of SIGN; under the last BUNDLE before it),
 * FAULT main -> keeper   ROTATE, PHASE_DONE, TRUST_DOMAIN          keeper -> main   FAULT keeper -> signer KEYS: the only message with
 * private keys; it never passes the main process
 *
 * Thread: a channel belongs to one thread at a time.
 */
#ifndef COX_CA_WIRE_H
#define COX_CA_WIRE_H

#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"

enum {
	COX_WIRE_FRAME_BYTES_MAX = 16 << 20, /* a hundred thousand revoked serials, or a CRL of them */
	COX_WIRE_ITEMS_MAX = 200000,         /* of one list */
};

enum cox_wire_type {
	COX_WIRE_SIGN = 1,
	COX_WIRE_REVOKED,
	COX_WIRE_ROTATE,
	COX_WIRE_PHASE_DONE,
	COX_WIRE_KEYS,
	COX_WIRE_BUNDLE,
	COX_WIRE_ANSWER,
	COX_WIRE_FAULT,
	COX_WIRE_TRUST_DOMAIN,
	COX_WIRE_TYPE_END
};

struct cox_wire_issuer {
	struct cox_str cert_pem, key_pem;
	bool signs; /* new leaves; the others sign CRLs only */
};
struct cox_wire_revoked {
	struct cox_str serial;
	int64_t at_s;
};

/* One message of any type; members that a type does not use are zero and are not sent. */
struct cox_wire {
	enum cox_wire_type type;
	uint64_t id;                                  /* SIGN, ANSWER: of the request; PHASE_DONE, KEYS, BUNDLE: epoch of the keys */
	uint32_t rc;                                  /* ANSWER, FAULT */
	uint32_t phase;                               /* KEYS, BUNDLE */
	bool is_plugged_in;                           /* KEYS, BUNDLE */
	int64_t ttl_s;                                /* SIGN */
	int64_t root_not_after_s, issuer_not_after_s; /* BUNDLE */
	int64_t not_before_s, not_after_s;            /* ANSWER */
	struct cox_str text;                          /* ANSWER, FAULT; KEYS, BUNDLE, TRUST_DOMAIN: the trust domain */
	struct cox_str spki_der, caller;              /* SIGN */
	struct cox_str cert_pem, serial;              /* ANSWER */
	struct cox_str chain_pem, crl_pem, key_id;    /* KEYS (but for key_id), BUNDLE */
	struct cox_str *roots, *uris, *dns;           /* KEYS, BUNDLE; SIGN */
	size_t root_n, uri_n, dns_n;
	struct cox_wire_issuer *issuers; /* KEYS */
	size_t issuer_n;
	struct cox_wire_revoked *revoked; /* REVOKED */
	size_t revoked_n;
};

/* Appends a frame. It reserves what it needs at once, so that growing leaves no copy of a key behind. COX_ELIMIT: too long; nothing is
 * appended. */
COX_MUST_USE enum cox_rc cox_wire_encode(const struct cox_wire *m, struct cox_buf *out);
/* Takes the first frame off `bytes`. Text borrows the bytes, lists live in `arena`. COX_EAGAIN: not complete yet; COX_EPROTO, COX_ELIMIT:
 * broken. */
COX_MUST_USE enum cox_rc cox_wire_decode(struct cox_str *bytes, struct cox_arena *arena, struct cox_wire *out, struct cox_err *err);

/* One end of a stream socket, non-blocking. */
struct cox_wire_chan {
	int fd;
	bool is_secret; /* what was sent and read is wiped */
	struct cox_buf in, out;
	size_t in_used; /* of `in`: already handed out */
	size_t out_sent;
};
void cox_wire_chan_init(struct cox_wire_chan *c, int fd, bool is_secret);
/* Closes the descriptor and wipes. */
void cox_wire_chan_fini(struct cox_wire_chan *c);
/* Writes what can be written. COX_EAGAIN: more is waiting; COX_EIO: the peer is gone. */
COX_MUST_USE enum cox_rc cox_wire_flush(struct cox_wire_chan *c);
/* Reads what is there. COX_EAGAIN: nothing; COX_EIO: the peer is gone. */
COX_MUST_USE enum cox_rc cox_wire_fill(struct cox_wire_chan *c);
/* The next message that was read, as cox_wire_decode(). It borrows the channel until the next call. */
COX_MUST_USE enum cox_rc cox_wire_next(struct cox_wire_chan *c, struct cox_arena *arena, struct cox_wire *out, struct cox_err *err);

#endif
