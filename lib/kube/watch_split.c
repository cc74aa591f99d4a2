#include "kube/watch_split.h"

#include "base/vec.h"

/* What a value is for us; decides what happens to its members. */
enum role {
	ROLE_SKIP,      /* nothing of it is kept */
	ROLE_ALL,       /* all of it is kept */
	ROLE_ROOT,      /* the list, or the event */
	ROLE_LIST_META, /* metadata of the list */
	ROLE_ITEMS,     /* items[] */
	ROLE_OBJECT,    /* one object */
	ROLE_META,      /* its metadata */
	ROLE_NOTES,     /* its annotations */
	ROLE_FIELDS,    /* kept as far as a table names it */
};

enum state {
	ST_VALUE,      /* a value must come */
	ST_FIRST_ITEM, /* a value, or the end of the array */
	ST_FIRST_KEY,  /* a key, or the end of the object */
	ST_KEY,        /* a key must come */
	ST_COLON,
	ST_AFTER, /* comma or end */
	ST_IN_KEY,
	ST_IN_STRING,
	ST_IN_WORD, /* number, true, false, null */
	ST_BETWEEN, /* between events, or behind the list */
	ST_BROKEN,
};

struct frame {
	bool is_array;
	bool has_output; /* a member or item of it was written: the next needs a comma */
	enum role role;
	const struct cox_message *message; /* ROLE_FIELDS */
};

/* Short texts that are wanted on the way. */
enum capture { CAP_NONE, CAP_TYPE, CAP_CONTINUE, CAP_LIST_VERSION, CAP_KIND, CAP_NS, CAP_NAME, CAP_VERSION, CAP_COUNT };

enum { CAPTURE_BYTES_MAX = 64 * 1024 }; /* continue tokens hold a key and are some hundred bytes */

struct cox_kube_split {
	struct cox_kube_split_spec spec;
	enum state state;
	bool is_escaped; /* the character behind a backslash comes */
	bool is_kept;    /* the string or word that is being read goes to `out` */
	bool has_object; /* an event's object was seen */
	bool is_over;    /* what is kept of the object exceeds the limit */
	bool has_ended;  /* a list is complete */
	enum capture capture;
	/* Of the value that comes next, once its key was read. */
	enum role next_role;
	const struct cox_message *next_message;
	size_t depth;
	struct frame frames[COX_KUBE_SPLIT_DEPTH_MAX];
	size_t object_bytes; /* of the object so far, dropped parts included */
	bool in_object;
	struct cox_buf key; /* raw, without quotes */
	struct cox_buf out;
	struct cox_buf captured[CAP_COUNT];
};

struct cox_kube_split *cox_kube_split_new(const struct cox_kube_split_spec *spec)
{
	struct cox_kube_split *s = COX_NEW(struct cox_kube_split);
	s->spec = *spec;
	if (s->spec.max_object_bytes == 0)
		s->spec.max_object_bytes = COX_KUBE_OBJECT_BYTES_MAX;
	s->state = ST_BETWEEN;
	return s;
}

void cox_kube_split_free(struct cox_kube_split **sp)
{
	struct cox_kube_split *s = *sp;
	*sp = NULL;
	if (!s)
		return;
	cox_buf_fini(&s->key);
	cox_buf_fini(&s->out);
	for (size_t i = 0; i < CAP_COUNT; i++)
		cox_buf_fini(&s->captured[i]);
	cox_free(s);
}

struct cox_str cox_kube_split_continue(const struct cox_kube_split *s) { return cox_buf_str(&s->captured[CAP_CONTINUE]); }

struct cox_str cox_kube_split_version(const struct cox_kube_split *s) { return cox_buf_str(&s->captured[CAP_LIST_VERSION]); }

size_t cox_kube_split_buffered(const struct cox_kube_split *s) { return s->out.n + s->key.n; }

static enum cox_rc broken(struct cox_kube_split *s, struct cox_err *err, const char *text)
{
	s->state = ST_BROKEN;
	return cox_err_set(err, COX_EPROTO, NULL, "%s of the kube-apiserver cannot be read: %s", s->spec.is_watch ? "a watch" : "a list",
	                   text);
}

/* --- what is kept ---------------------------------------------------------------------------------- */

static void put(struct cox_kube_split *s, const char *p, size_t n)
{
	if (!s->in_object || s->is_over)
		return;
	if (s->out.n + n > s->spec.max_object_bytes) {
		s->is_over = true;
		cox_buf_fini(&s->out);
		return;
	}
	cox_buf_append(&s->out, p, n);
}

static void capture_put(struct cox_kube_split *s, const char *p, size_t n)
{
	struct cox_buf *b = &s->captured[s->capture];
	if (s->capture != CAP_NONE && b->n + n <= CAPTURE_BYTES_MAX)
		cox_buf_append(b, p, n);
}

/* Captured text is raw; Go writes <, > and & as \u003c and so on. */
static void unescape(struct cox_buf *b)
{
	if (b->n == 0 || !memchr(b->p, '\\', b->n))
		return;
	struct cox_buf quoted = { 0 };
	struct cox_arena arena = { 0 };
	struct cox_json *v = NULL;
	cox_buf_append_char(&quoted, '"');
	cox_buf_append_str(&quoted, cox_buf_str(b));
	cox_buf_append_char(&quoted, '"');
	if (cox_json_parse(&arena, cox_buf_str(&quoted), &v, NULL) == COX_OK && v->type == COX_JSON_STRING) {
		cox_buf_clear(b);
		cox_buf_append_str(b, v->text);
	}
	cox_arena_fini(&arena);
	cox_buf_fini(&quoted);
}

static bool key_is(const struct cox_kube_split *s, const char *name) { return cox_str_eq_cstr(cox_buf_str(&s->key), name); }

static const struct cox_field *field_find(const struct cox_message *m, struct cox_str key)
{
	for (size_t i = 0; i < m->field_count; i++)
		if (cox_str_eq_cstr(key, m->fields[i].name) || (m->fields[i].alias && cox_str_eq_cstr(key, m->fields[i].alias)))
			return &m->fields[i];
	return NULL;
}

static void next_is_field(struct cox_kube_split *s, const struct cox_message *m)
{
	const struct cox_field *f = field_find(m, cox_buf_str(&s->key));
	s->next_role = f ? ROLE_ALL : ROLE_SKIP;
	if (f && f->type == COX_F_MSG && f->sub) {
		s->next_role = ROLE_FIELDS;
		s->next_message = f->sub;
	}
}

static void next_in_root(struct cox_kube_split *s)
{
	s->next_role = ROLE_SKIP;
	if (s->spec.is_watch) {
		if (key_is(s, "type"))
			s->capture = CAP_TYPE;
		else if (key_is(s, "object"))
			s->next_role = ROLE_OBJECT;
	} else if (key_is(s, "metadata")) {
		s->next_role = ROLE_LIST_META;
	} else if (key_is(s, "items")) {
		s->next_role = ROLE_ITEMS;
	}
}

static void next_in_object(struct cox_kube_split *s)
{
	const struct cox_message *m = s->spec.message;
	s->next_role = ROLE_ALL;
	if (key_is(s, "metadata"))
		s->next_role = ROLE_META;
	else if (key_is(s, "kind"))
		s->capture = CAP_KIND;
	else if (key_is(s, "apiVersion") || key_is(s, "code") || key_is(s, "reason") || key_is(s, "message"))
		return; /* the last three belong to the Status of an ERROR event */
	else if (m && m->open)
		next_is_field(s, m);
	else if (m && key_is(s, "status") && !field_find(m, COX_STR("status")))
		s->next_role = ROLE_SKIP;
}

static void next_in_meta(struct cox_kube_split *s)
{
	s->next_role = ROLE_ALL;
	if (key_is(s, "managedFields") || key_is(s, "selfLink"))
		s->next_role = ROLE_SKIP;
	else if (key_is(s, "annotations"))
		s->next_role = ROLE_NOTES;
	else if (key_is(s, "name"))
		s->capture = CAP_NAME;
	else if (key_is(s, "namespace"))
		s->capture = CAP_NS;
	else if (key_is(s, "resourceVersion"))
		s->capture = CAP_VERSION;
}

/* The key of a member was read: what becomes of its value? */
static void next_of_key(struct cox_kube_split *s, const struct frame *f)
{
	COX_ASSERT(f); /* a key is inside of something */
	s->next_message = NULL;
	s->capture = CAP_NONE;
	switch (f->role) {
	case ROLE_ROOT: next_in_root(s); break;
	case ROLE_LIST_META:
		s->next_role = ROLE_SKIP;
		if (key_is(s, "continue"))
			s->capture = CAP_CONTINUE;
		else if (key_is(s, "resourceVersion"))
			s->capture = CAP_LIST_VERSION;
		break;
	case ROLE_OBJECT: next_in_object(s); break;
	case ROLE_META: next_in_meta(s); break;
	case ROLE_NOTES: s->next_role = key_is(s, "kubectl.kubernetes.io/last-applied-configuration") ? ROLE_SKIP : ROLE_ALL; break;
	case ROLE_FIELDS: next_is_field(s, f->message); break;
	case ROLE_SKIP:
	case ROLE_ALL:
	case ROLE_ITEMS: s->next_role = f->role == ROLE_ALL ? ROLE_ALL : ROLE_SKIP; break;
	}
}

/* An array's items: objects of a list, else what the array is. */
static void next_of_item(struct cox_kube_split *s, const struct frame *f)
{
	s->capture = CAP_NONE;
	s->next_role = f->role == ROLE_ITEMS ? ROLE_OBJECT : f->role;
	s->next_message = f->message;
}

static bool is_kept(enum role r) { return r != ROLE_SKIP && r != ROLE_ROOT && r != ROLE_LIST_META && r != ROLE_ITEMS; }

/* --- objects --------------------------------------------------------------------------------------- */

static void object_begin(struct cox_kube_split *s)
{
	s->in_object = true;
	s->is_over = false;
	s->object_bytes = 0;
	cox_buf_clear(&s->out);
	for (int c = CAP_KIND; c < CAP_COUNT; c++)
		cox_buf_clear(&s->captured[c]);
}

static enum cox_kube_event event_of(struct cox_str type)
{
	static const struct {
		const char *name;
		enum cox_kube_event event;
	} names[] = {
		{ "ADDED", COX_KUBE_EVENT_ADDED },       { "MODIFIED", COX_KUBE_EVENT_MODIFIED }, { "DELETED", COX_KUBE_EVENT_DELETED },
		{ "BOOKMARK", COX_KUBE_EVENT_BOOKMARK }, { "ERROR", COX_KUBE_EVENT_ERROR },
	};
	for (size_t i = 0; i < COX_LEN(names); i++)
		if (cox_str_eq_cstr(type, names[i].name))
			return names[i].event;
	return COX_KUBE_EVENT_UNKNOWN;
}

static void object_give(struct cox_kube_split *s)
{
	for (int c = CAP_TYPE; c < CAP_COUNT; c++)
		unescape(&s->captured[c]);
	struct cox_kube_item item = {
		.event = s->spec.is_watch ? event_of(cox_buf_str(&s->captured[CAP_TYPE])) : COX_KUBE_EVENT_ITEM,
		.text = s->is_over ? COX_STR("") : cox_buf_str(&s->out),
		.kind = cox_buf_str(&s->captured[CAP_KIND]),
		.ns = cox_buf_str(&s->captured[CAP_NS]),
		.name = cox_buf_str(&s->captured[CAP_NAME]),
		.resource_version = cox_buf_str(&s->captured[CAP_VERSION]),
		.is_skipped = s->is_over,
		.bytes = s->object_bytes,
	};
	s->spec.on_item(s->spec.ctx, &item);
	/* One huge object must not keep its memory for the life of a watch. */
	if (s->out.cap > 256 * 1024)
		cox_buf_fini(&s->out);
	cox_buf_clear(&s->out);
}

/* --- the machine ------------------------------------------------------------------------------------ */

static struct frame *top(struct cox_kube_split *s) { return s->depth ? &s->frames[s->depth - 1] : NULL; }

/* A value begins: comma and key first, if it is kept. */
static void value_begin(struct cox_kube_split *s, bool kept)
{
	struct frame *f = top(s);
	if (!kept || !f || !is_kept(f->role))
		return;
	if (f->has_output)
		put(s, ",", 1);
	f->has_output = true;
	if (!f->is_array) {
		put(s, "\"", 1);
		put(s, s->key.p, s->key.n);
		put(s, "\":", 2);
	}
}

static enum cox_rc container_begin(struct cox_kube_split *s, bool is_array, struct cox_err *err)
{
	if (s->depth == COX_KUBE_SPLIT_DEPTH_MAX)
		return broken(s, err, "nested too deep");
	if (s->next_role == ROLE_ITEMS && !is_array)
		return broken(s, err, "items is no array");
	/* An array keeps the role of its items, except where only an object makes sense. */
	if (is_array && (s->next_role == ROLE_ROOT || s->next_role == ROLE_OBJECT || s->next_role == ROLE_LIST_META))
		return broken(s, err, "an array where an object was expected");
	if (is_array && (s->next_role == ROLE_META || s->next_role == ROLE_NOTES))
		s->next_role = ROLE_ALL; /* wrong, but the parser of the object says so better */
	if (s->next_role == ROLE_OBJECT) {
		object_begin(s);
		s->has_object = true;
	}
	bool kept = is_kept(s->next_role);
	value_begin(s, kept);
	if (kept)
		put(s, is_array ? "[" : "{", 1);
	s->frames[s->depth++] = (struct frame){ .is_array = is_array, .role = s->next_role, .message = s->next_message };
	s->capture = CAP_NONE;
	if (is_array)
		next_of_item(s, top(s));
	s->state = is_array ? ST_FIRST_ITEM : ST_FIRST_KEY;
	return COX_OK;
}

static enum cox_rc container_end(struct cox_kube_split *s, bool is_array, struct cox_err *err)
{
	struct frame *f = top(s);
	if (!f || f->is_array != is_array)
		return broken(s, err, "brackets do not match");
	if (is_kept(f->role))
		put(s, is_array ? "]" : "}", 1);
	enum role role = f->role;
	s->depth--;
	s->state = ST_AFTER;
	s->capture = CAP_NONE;
	if (role == ROLE_OBJECT) {
		s->in_object = false;
		s->object_bytes++;
		if (!s->spec.is_watch)
			object_give(s);
	}
	if (s->depth == 0) {
		s->state = ST_BETWEEN;
		s->has_ended = true;
		if (s->spec.is_watch) {
			if (!s->has_object)
				return broken(s, err, "an event without an object");
			object_give(s);
		}
		for (int c = CAP_TYPE; c < CAP_KIND; c++)
			unescape(&s->captured[c]);
	}
	return COX_OK;
}

static enum cox_rc value_char(struct cox_kube_split *s, char c, struct cox_err *err)
{
	if (c == '{' || c == '[')
		return container_begin(s, c == '[', err);
	if (s->next_role == ROLE_OBJECT || s->next_role == ROLE_ROOT || (s->next_role == ROLE_ITEMS && c == '"'))
		return broken(s, err, "an object was expected");
	s->is_kept = is_kept(s->next_role);
	value_begin(s, s->is_kept);
	if (c == '"') {
		if (s->capture != CAP_NONE)
			cox_buf_clear(&s->captured[s->capture]);
		if (s->is_kept)
			put(s, "\"", 1);
		s->is_escaped = false;
		s->state = ST_IN_STRING;
		return COX_OK;
	}
	if (!(c == '-' || (c >= '0' && c <= '9') || c == 't' || c == 'f' || c == 'n'))
		return broken(s, err, "a value was expected");
	if (s->is_kept)
		put(s, &c, 1);
	s->capture = CAP_NONE;
	s->state = ST_IN_WORD;
	return COX_OK;
}

static enum cox_rc after_char(struct cox_kube_split *s, char c, struct cox_err *err)
{
	struct frame *f = top(s);
	if (c == '}' || c == ']')
		return container_end(s, c == ']', err);
	if (c != ',' || !f)
		return broken(s, err, "a comma or the end was expected");
	if (f->is_array)
		next_of_item(s, f);
	s->state = f->is_array ? ST_VALUE : ST_KEY;
	return COX_OK;
}

static enum cox_rc between_char(struct cox_kube_split *s, char c, struct cox_err *err)
{
	if (c != '{' || (s->has_ended && !s->spec.is_watch))
		return broken(s, err, s->has_ended && !s->spec.is_watch ? "text behind the list" : "an object was expected");
	s->next_role = ROLE_ROOT;
	s->next_message = NULL;
	s->has_object = false;
	s->has_ended = false;
	cox_buf_clear(&s->captured[CAP_TYPE]);
	return container_begin(s, false, err);
}

/* The bytes of a string up to its end or to the end of what came; returns how many were used. */
static size_t string_run(struct cox_kube_split *s, const char *p, size_t n)
{
	size_t i = 0;
	while (i < n && !(p[i] == '"' && !s->is_escaped)) {
		s->is_escaped = p[i] == '\\' && !s->is_escaped;
		i++;
	}
	return i;
}

static enum cox_rc string_feed(struct cox_kube_split *s, const char *p, size_t n, size_t *used, struct cox_err *err)
{
	size_t i = string_run(s, p, n);
	*used = i < n ? i + 1 : i;
	if (s->state == ST_IN_KEY) {
		if (s->key.n + i > s->spec.max_object_bytes)
			return broken(s, err, "a key is too long");
		cox_buf_append(&s->key, p, i);
		if (i < n) {
			next_of_key(s, top(s));
			s->state = ST_COLON;
		}
		return COX_OK;
	}
	if (s->is_kept)
		put(s, p, *used); /* with the closing quote */
	capture_put(s, p, i);
	if (i < n) {
		s->capture = CAP_NONE;
		s->state = ST_AFTER;
	}
	return COX_OK;
}

static size_t word_feed(struct cox_kube_split *s, const char *p, size_t n)
{
	size_t i = 0;
	while (i < n &&
	       ((p[i] >= '0' && p[i] <= '9') || (p[i] >= 'a' && p[i] <= 'z') || p[i] == '.' || p[i] == '-' || p[i] == '+' || p[i] == 'E'))
		i++;
	if (s->is_kept)
		put(s, p, i);
	if (i < n)
		s->state = ST_AFTER;
	return i;
}

static enum cox_rc char_feed(struct cox_kube_split *s, char c, struct cox_err *err)
{
	if (c == ' ' || c == '\n' || c == '\r' || c == '\t')
		return COX_OK;
	switch (s->state) {
	case ST_BETWEEN: return between_char(s, c, err);
	case ST_FIRST_ITEM: return c == ']' ? container_end(s, true, err) : value_char(s, c, err);
	case ST_VALUE: return value_char(s, c, err);
	case ST_FIRST_KEY:
		if (c == '}')
			return container_end(s, false, err);
		/* fall through */
	case ST_KEY:
		if (c != '"')
			return broken(s, err, "a key was expected");
		cox_buf_clear(&s->key);
		s->is_escaped = false;
		s->state = ST_IN_KEY;
		return COX_OK;
	case ST_COLON:
		if (c != ':')
			return broken(s, err, "a colon was expected");
		s->state = ST_VALUE;
		return COX_OK;
	default: return after_char(s, c, err);
	}
}

enum cox_rc cox_kube_split_feed(struct cox_kube_split *s, struct cox_str bytes, struct cox_err *err)
{
	if (s->state == ST_BROKEN)
		return cox_err_set(err, COX_EPROTO, NULL, "the response was broken before");
	const char *p = bytes.p;
	size_t n = bytes.n;
	while (n) {
		size_t used = 1;
		if (s->state == ST_IN_STRING || s->state == ST_IN_KEY)
			COX_TRY(string_feed(s, p, n, &used, err));
		else if (s->state == ST_IN_WORD)
			used = word_feed(s, p, n);
		else
			COX_TRY(char_feed(s, *p, err));
		if (s->in_object)
			s->object_bytes += used;
		p += used;
		n -= used;
	}
	return COX_OK;
}

enum cox_rc cox_kube_split_end(struct cox_kube_split *s, struct cox_err *err)
{
	if (s->state == ST_BETWEEN && (s->has_ended || s->spec.is_watch))
		return COX_OK;
	return broken(s, err, "it ends in the middle");
}
