/* regex.c - the tree to a program, and the program run over all threads of a match at once (Thompson, Pike). */
#include "oracle/regex_priv.h"

enum op { OP_SET, OP_SPLIT, OP_JUMP, OP_SAVE, OP_ASSERT, OP_MATCH };
struct step {
	enum op op;
	const struct rune_set *set;
	int x, y; /* where to go on; of a split x comes first. Of SAVE x is the slot; of ASSERT the kind */
};
struct cox_regex {
	struct step *steps;
	int n, cap;
	bool is_too_long;
	struct cox_arena *arena; /* of building */
};
enum { SLOTS = 20 }; /* \0 to \9: begin and end */

/* --- the program ---------------------------------------------------------------------------------- */

static int emit(struct cox_regex *re, struct step s)
{
	if (re->n == COX_REGEX_STEPS_MAX) {
		re->is_too_long = true;
		return 0;
	}
	if (re->n == re->cap) {
		int cap = re->cap ? re->cap * 2 : 32;
		struct step *more = COX_ARENA_ARRAY(re->arena, struct step, (size_t)cap);
		if (re->n)
			memcpy(more, re->steps, (size_t)re->n * sizeof(*more));
		re->steps = more, re->cap = cap;
	}
	re->steps[re->n] = s;
	return re->n++;
}

static void compile(struct cox_regex *re, const struct node *n);

/* A split whose one way is the next step; the other is said by split_out(). */
static int split(struct cox_regex *re)
{
	int at = emit(re, (struct step){ .op = OP_SPLIT });
	if (!re->is_too_long)
		re->steps[at].x = re->steps[at].y = at + 1;
	return at;
}

static void split_out(struct cox_regex *re, int at, bool lazy)
{
	if (re->is_too_long)
		return;
	if (lazy)
		re->steps[at].x = re->n;
	else
		re->steps[at].y = re->n;
}

static void compile_repeat(struct cox_regex *re, const struct node *n)
{
	for (int i = 0; i < n->min && !re->is_too_long; i++)
		compile(re, n->a);
	if (n->max < 0) {
		int at = split(re);
		compile(re, n->a);
		emit(re, (struct step){ .op = OP_JUMP, .x = at });
		split_out(re, at, n->is_lazy);
		return;
	}
	for (int i = n->min, *ends = COX_ARENA_ARRAY(re->arena, int, (size_t)(n->max - n->min) + 1); i < n->max && !re->is_too_long; i++) {
		ends[i - n->min] = split(re);
		compile(re, n->a);
		if (i == n->max - 1)
			for (int k = 0; k <= i - n->min; k++)
				split_out(re, ends[k], n->is_lazy);
	}
}

static void compile_alt(struct cox_regex *re, const struct node *n)
{
	int at = split(re);
	compile(re, n->a);
	int jump = emit(re, (struct step){ .op = OP_JUMP });
	split_out(re, at, false);
	compile(re, n->b);
	if (!re->is_too_long)
		re->steps[jump].x = re->n;
}

static void compile(struct cox_regex *re, const struct node *n)
{
	if (re->is_too_long)
		return;
	switch (n->kind) {
	case NODE_EMPTY: return;
	case NODE_SET: emit(re, (struct step){ .op = OP_SET, .set = &n->set }); return;
	case NODE_ASSERT: emit(re, (struct step){ .op = OP_ASSERT, .x = (int)n->assertion }); return;
	case NODE_CAT:
		compile(re, n->a);
		compile(re, n->b);
		return;
	case NODE_ALT: compile_alt(re, n); return;
	case NODE_REPEAT: compile_repeat(re, n); return;
	case NODE_GROUP:
		if (n->group > 0 && n->group < SLOTS / 2)
			emit(re, (struct step){ .op = OP_SAVE, .x = n->group * 2 });
		compile(re, n->a);
		if (n->group > 0 && n->group < SLOTS / 2)
			emit(re, (struct step){ .op = OP_SAVE, .x = n->group * 2 + 1 });
		return;
	}
}

enum cox_rc cox_regex_build(struct cox_arena *arena, struct cox_str text, struct cox_regex **out, struct cox_err *err)
{
	struct cox_regex *re = COX_ARENA_NEW(arena, struct cox_regex);
	struct node *tree;
	int groups;
	if (text.n > COX_REGEX_BYTES_MAX)
		return cox_err_set(err, COX_ELIMIT, NULL, "a regular expression of %zu bytes", text.n);
	COX_TRY(regex_parse(arena, text, &tree, &groups, err));
	re->arena = arena;
	compile(re, tree);
	emit(re, (struct step){ .op = OP_MATCH });
	if (re->is_too_long)
		return cox_err_set(err, COX_ELIMIT, NULL, "regular expression \"%.*s\" makes too long a program", COX_FMT(text));
	*out = re;
	return COX_OK;
}

/* --- running it ------------------------------------------------------------------------------------- */

struct thread {
	int at;
	ptrdiff_t slots[SLOTS];
};
struct threads {
	struct thread *p;
	int n;
	uint32_t *seen; /* by step: the turn in which it was added */
};
struct run {
	const struct cox_regex *re;
	struct cox_str s;
	uint32_t turn;
	struct threads now, next;
};

static bool set_has(const struct rune_set *set, int32_t r)
{
	for (size_t i = 0; i < set->n; i++)
		if (r >= set->p[i].from && r <= set->p[i].to)
			return true;
	return false;
}

static bool is_word(struct cox_str s, ptrdiff_t at)
{
	if (at < 0 || at >= (ptrdiff_t)s.n)
		return false;
	char c = s.p[at];
	return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
}

static bool holds(enum assertion a, struct cox_str s, size_t at)
{
	bool word = is_word(s, (ptrdiff_t)at - 1) != is_word(s, (ptrdiff_t)at);
	switch (a) {
	case ASSERT_TEXT_BEGIN: return at == 0;
	case ASSERT_TEXT_END: return at == s.n;
	case ASSERT_LINE_BEGIN: return at == 0 || s.p[at - 1] == '\n';
	case ASSERT_LINE_END: return at == s.n || s.p[at] == '\n';
	case ASSERT_WORD: return word;
	case ASSERT_NOT_WORD: return !word;
	}
	return false;
}

/* Adds the threads that are reached from step `from` without taking a rune, in order of precedence. Depth is bounded by the steps,
 * each of which is entered once a turn; recursion only where captures must be put back. */
static void thread_add(struct run *r, struct threads *to, int from, ptrdiff_t *slots, size_t at)
{
	for (int i = from;;) {
		if (to->seen[i] == r->turn)
			return;
		to->seen[i] = r->turn;
		const struct step *s = &r->re->steps[i];
		switch (s->op) {
		case OP_JUMP: i = s->x; continue;
		case OP_SPLIT:
			thread_add(r, to, s->x, slots, at);
			i = s->y;
			continue;
		case OP_SAVE: {
			ptrdiff_t before = slots[s->x];
			slots[s->x] = (ptrdiff_t)at;
			thread_add(r, to, i + 1, slots, at);
			slots[s->x] = before;
			return;
		}
		case OP_ASSERT:
			if (!holds((enum assertion)s->x, r->s, at))
				return;
			i++;
			continue;
		case OP_SET:
		case OP_MATCH:
			to->p[to->n].at = i;
			memcpy(to->p[to->n].slots, slots, sizeof(to->p[to->n].slots));
			to->n++;
			return;
		}
	}
}

static void threads_init(struct threads *t, const struct cox_regex *re, struct cox_arena *arena)
{
	t->p = COX_ARENA_ARRAY(arena, struct thread, (size_t)re->n + 1);
	t->seen = COX_ARENA_ARRAY(arena, uint32_t, (size_t)re->n + 1);
	t->n = 0;
}

/* The match that is found from `from` on: anywhere, leftmost; or the whole text. False: none. */
static bool run_match(struct run *r, size_t from, bool whole, ptrdiff_t *found)
{
	bool is_found = false;
	r->now.n = 0;
	for (size_t at = from, n;; at += n) {
		ptrdiff_t slots[SLOTS];
		r->turn++;
		for (int i = 0; i < SLOTS; i++)
			slots[i] = -1;
		slots[0] = (ptrdiff_t)at;
		/* Threads of earlier starts come first; their closures were taken as they moved here, so a new start joins behind them. */
		for (int i = 0; i < r->now.n; i++)
			r->now.seen[r->now.p[i].at] = r->turn;
		if (!is_found && (at == from || !whole))
			thread_add(r, &r->now, 0, slots, at);
		int32_t rune = -1;
		n = 1;
		if (at < r->s.n)
			rune = regex_rune_at(r->s, at, &n);
		r->next.n = 0;
		r->turn++;
		for (int i = 0; i < r->now.n; i++) {
			struct thread *t = &r->now.p[i];
			const struct step *s = &r->re->steps[t->at];
			if (s->op == OP_MATCH) {
				if (whole && at != r->s.n)
					continue;
				memcpy(found, t->slots, sizeof(t->slots));
				found[1] = (ptrdiff_t)at;
				is_found = true;
				break; /* those behind it have less precedence */
			}
			if (rune >= 0 && set_has(s->set, rune))
				thread_add(r, &r->next, t->at + 1, t->slots, at + n);
		}
		struct threads swap = r->now;
		r->now = r->next;
		r->next = swap;
		if (at >= r->s.n || (r->now.n == 0 && (is_found || whole)))
			return is_found;
	}
}

static struct run run_begin(const struct cox_regex *re, struct cox_str s, struct cox_arena *arena)
{
	struct run r = { .re = re, .s = s };
	threads_init(&r.now, re, arena);
	threads_init(&r.next, re, arena);
	return r;
}

bool cox_regex_matches_all(const struct cox_regex *re, struct cox_str s, struct cox_arena *arena)
{
	struct run r = run_begin(re, s, arena);
	ptrdiff_t slots[SLOTS];
	return run_match(&r, 0, true, slots);
}

static void substitute(struct cox_buf *out, struct cox_str s, struct cox_str with, const ptrdiff_t *slots)
{
	for (size_t i = 0; i < with.n; i++) {
		if (with.p[i] != '\\' || i + 1 == with.n) {
			cox_buf_append_char(out, with.p[i]);
			continue;
		}
		char c = with.p[++i];
		if (c >= '0' && c <= '9') {
			ptrdiff_t from = slots[(c - '0') * 2], to = slots[(c - '0') * 2 + 1];
			if (from >= 0 && to > from)
				cox_buf_append(out, s.p + from, (size_t)(to - from));
		} else {
			cox_buf_append_char(out, c);
		}
	}
}

struct cox_str cox_regex_replace_all(const struct cox_regex *re, struct cox_str s, struct cox_str with, struct cox_arena *arena)
{
	struct run r = run_begin(re, s, arena);
	struct cox_buf out = { 0 };
	ptrdiff_t slots[SLOTS];
	size_t at = 0, last_end = SIZE_MAX;
	while (at <= s.n && run_match(&r, at, false, slots)) {
		size_t from = (size_t)slots[0], to = (size_t)slots[1], n = 1;
		if (from > at)
			cox_buf_append(&out, s.p + at, from - at);
		if (from == to && from == last_end) { /* an empty match right behind a match counts not */
			if (from >= s.n)
				break;
			(void)regex_rune_at(s, from, &n);
			cox_buf_append(&out, s.p + from, n);
			at = from + n;
			last_end = SIZE_MAX;
			continue;
		}
		substitute(&out, s, with, slots);
		at = last_end = to;
	}
	if (at < s.n)
		cox_buf_append(&out, s.p + at, s.n - at);
	struct cox_str text = cox_arena_str(arena, cox_buf_str(&out));
	cox_buf_fini(&out);
	return text;
}
