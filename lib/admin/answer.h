/*
 * answer - one answer of a debug page, over HTTP or xDS alike. A page takes references on the loops that own things, and makes text of
 * them here, part by part: nothing large is ever there twice, and no loop waits for text.
 * Thread: an HTTP daemon's, or the pool that answers questions over xDS; one at a time.
 */
#ifndef COX_ADMIN_ANSWER_H
#define COX_ADMIN_ANSWER_H

#include "base/arena.h"
#include "codec/json.h"

enum admin_param {
	PARAM_PROXY,       /* proxyID */
	PARAM_NAMESPACE,   /* namespace */
	PARAM_TYPES,       /* types */
	PARAM_INCLUDE_EDS, /* include_eds */
	PARAM_PRETTY,      /* pretty */
	PARAM_SIZES,       /* sizes */
	PARAM_CLEAR,       /* clear */
	PARAM_PUSH,        /* push */
	PARAM_ALL,         /* all */
	PARAM_ISSUED,      /* issued */
	PARAM_AS_SENT,     /* as_sent */
	PARAM_COUNT
};
extern const char *const admin_param_names[PARAM_COUNT];

enum { ANSWER_PART_BYTES = 32 * 1024 }; /* a part ends when it has so much */

struct cox_admin;
struct answer {
	struct cox_admin *a;
	struct cox_arena arena;   /* until the end */
	struct cox_arena scratch; /* of one item */
	struct cox_str params[PARAM_COUNT];
	bool has_param[PARAM_COUNT];
	struct cox_str only_ns; /* the caller sees proxies of this namespace alone; empty: all */
	/* What the page sets: `out`, or `text`, or `more`. */
	int status;
	struct cox_json *out;
	struct cox_str text;
	const char *content_type;                             /* of text; NULL: plain */
	bool (*more)(struct answer *w, struct cox_buf *part); /* appends the next part; false: it was the last */
	void (*end)(struct answer *w);                        /* lets go of what `state` holds; may be NULL */
	void *state;
	size_t items; /* written into the list that is open */
	bool is_over;
};

struct answer *answer_new(struct cox_admin *a);
void answer_free(struct answer *w);
/* Reads "a=b&c" as of a URL; names that no page knows are passed over. Copies. */
void answer_read_query(struct answer *w, struct cox_str query);
/* A short answer in words, with an end of line. */
void answer_say(struct answer *w, int status, const char *text);
/* Appends the next part, whatever kind the answer is; false: it was the last. `part` comes empty: a page adds nothing to a full one. */
bool answer_next(struct answer *w, struct cox_buf *part);
/* Into the list or object that `more` writes: the comma, and the value; answer_key: the comma and the key. */
void answer_item(struct answer *w, struct cox_buf *part, const struct cox_json *v);
void answer_key(struct answer *w, struct cox_buf *part, struct cox_str key);
/* Opens and closes a list or object in the text. */
void answer_open(struct answer *w, struct cox_buf *part, const char *text);
void answer_close(struct answer *w, struct cox_buf *part, const char *text);

/* Building small trees. `key` is a literal or lives in the arena; the value is copied. */
void answer_set_str(struct cox_arena *a, struct cox_json *o, const char *key, struct cox_str v);
void answer_set_int(struct cox_arena *a, struct cox_json *o, const char *key, int64_t v);
void answer_set_time(struct cox_arena *a, struct cox_json *o, const char *key, int64_t wall_ms);

#endif
