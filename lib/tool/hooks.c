#include "tool/hooks.h"

#include "codec/yaml.h"
#include "model/mesh.h"
#include "tool/table.h"

#include <stdlib.h>

#define REV "istio.io/rev"
#define INJECTION "istio-injection"

static struct cox_str label(const struct cox_json *labels, const char *key)
{
	const struct cox_json *v = cox_json_get(labels, cox_str_of(key));
	return v && v->type == COX_JSON_STRING ? v->text : (struct cox_str){ 0 };
}
static const struct cox_json *labels_of(const struct cox_json *o) { return cox_json_at(o, "metadata.labels"); }
static struct cox_str name_of(const struct cox_json *o) { return cox_json_str_at(o, "metadata.name"); }
static size_t count(const struct cox_json *list) { return list && list->type == COX_JSON_ARRAY ? list->n : 0; }

static int kv_cmp(const void *a, const void *b) { return cox_str_cmp(((const struct cox_kv *)a)->key, ((const struct cox_kv *)b)->key); }

static bool fits(const struct cox_json *selector, const struct cox_json *labels)
{
	struct cox_arena arena = { 0 };
	struct cox_diags diags = { .arena = &arena };
	size_t n = labels && labels->type == COX_JSON_OBJECT ? labels->n : 0;
	struct cox_kv *kvs = COX_ARENA_ARRAY(&arena, struct cox_kv, n + 1);
	bool is = true;
	for (size_t i = 0; i < n; i++)
		kvs[i] = (struct cox_kv){ labels->members[i].key, labels->members[i].value.text };
	qsort(kvs, n, sizeof(*kvs), kv_cmp);
	if (selector && selector->type == COX_JSON_OBJECT) {
		const struct cox_label_selector *s = cox_message_decode_borrowed(&cox_msg_label_selector, selector, "", &arena, &diags);
		is = s && cox_label_selector_fits(s, kvs, n);
	}
	cox_arena_fini(&arena);
	return is;
}

/* The label that a fitting selector asks for: "istio-injection=enabled"; "" where it asks for none that is there. */
static struct cox_str asked(const struct cox_json *selector, const struct cox_json *labels, struct cox_arena *a)
{
	const struct cox_json *list = cox_json_get(selector, COX_STR("matchExpressions"));
	for (size_t i = 0; i < count(list); i++) {
		struct cox_str op = cox_json_str_at(&list->items[i], "operator"), key = cox_json_str_at(&list->items[i], "key");
		const struct cox_json *v = cox_json_get(labels, key);
		if (v && (cox_str_eq(op, COX_STR("In")) || cox_str_eq(op, COX_STR("NotIn"))))
			return cox_arena_printf(a, "%.*s=%.*s", COX_FMT(key), COX_FMT(v->text));
	}
	return COX_STR("");
}

/* A label of the Pod by which the object selector leaves it out. */
static struct cox_str prevented(const struct cox_json *selector, const struct cox_json *labels, struct cox_arena *a)
{
	const struct cox_json *list = cox_json_get(selector, COX_STR("matchExpressions"));
	for (size_t i = 0; i < count(list); i++) {
		struct cox_str op = cox_json_str_at(&list->items[i], "operator"), key = cox_json_str_at(&list->items[i], "key");
		const struct cox_json *v = cox_json_get(labels, key), *values = cox_json_get(&list->items[i], COX_STR("values"));
		bool is = v && cox_str_eq(op, COX_STR("DoesNotExist"));
		for (size_t k = 0; v && cox_str_eq(op, COX_STR("NotIn")) && k < count(values); k++)
			is |= cox_str_eq(values->items[k].text, v->text);
		if (is)
			return cox_arena_printf(a, "Pod has %.*s=%.*s label, preventing injection", COX_FMT(key), COX_FMT(v->text));
	}
	return COX_STR("");
}

static void wanted_write(const struct cox_json *hooks, const char *which, struct cox_buf *out)
{
	size_t start = out->n;
	for (size_t h = 0; h < count(hooks); h++) {
		const struct cox_json *list = cox_json_get(cox_json_get(&hooks->items[h], cox_str_of(which)), COX_STR("matchExpressions"));
		for (size_t i = 0; i < count(list); i++) {
			const struct cox_json *values = cox_json_get(&list->items[i], COX_STR("values"));
			if (!cox_str_eq(cox_json_str_at(&list->items[i], "operator"), COX_STR("In")))
				continue;
			for (size_t k = 0; k < count(values); k++)
				cox_buf_printf(out, "%s%.*s=%.*s", out->n > start ? ", " : "",
				               COX_FMT(cox_json_str_at(&list->items[i], "key")), COX_FMT(values->items[k].text));
		}
	}
}

static bool is_deactivated(const struct cox_json *hooks)
{
	for (size_t i = 0; i < count(hooks); i++)
		if (!cox_str_eq(label(cox_json_at(&hooks->items[i], "namespaceSelector.matchLabels"), "istio.io/deactivated"),
		                COX_STR("never-match")))
			return false;
	return count(hooks) > 0;
}

/* Why the hooks of one configuration take the Pod or do not. */
static bool reason_of(const struct cox_json *hooks, const struct cox_json *pod, const struct cox_json *ns, struct cox_arena *a,
                      struct cox_str *why)
{
	struct cox_buf b = { 0 };
	for (size_t i = 0; i < count(hooks); i++) {
		const struct cox_json *of_ns = cox_json_get(&hooks->items[i], COX_STR("namespaceSelector")),
		                      *of_pod = cox_json_get(&hooks->items[i], COX_STR("objectSelector"));
		bool ns_fits = fits(of_ns, ns), pod_fits = fits(of_pod, pod);
		struct cox_str by_ns = asked(of_ns, ns, a), by_pod = asked(of_pod, pod, a), not_by;
		if (ns_fits && pod_fits) {
			*why = by_ns.n && by_pod.n ? cox_arena_printf(a, "Namespace label %.*s matches, and pod label %.*s matches",
			                                              COX_FMT(by_ns), COX_FMT(by_pod))
			       : by_ns.n           ? cox_arena_printf(a, "Namespace label %.*s matches%s", COX_FMT(by_ns),
                                                            cox_str_search(by_ns, COX_STR("kubernetes.io/metadata.name")) >= 0
			                                                  ? " (Automatic injection is enabled in all namespaces)."
			                                                  : "")
			       : by_pod.n          ? cox_arena_printf(a, "Pod label %.*s matches", COX_FMT(by_pod))
			                           : COX_STR("its selectors take every pod");
			return true;
		}
		if (ns_fits && (not_by = prevented(of_pod, pod, a)).n) {
			*why = not_by;
			return false;
		}
		struct cox_str said = label(ns, INJECTION);
		if (pod_fits && said.n && !cox_str_eq(said, COX_STR("enabled"))) {
			*why = cox_arena_printf(a, "Namespace has " INJECTION "=%.*s label, preventing injection", COX_FMT(said));
			return false;
		}
	}
	if (is_deactivated(hooks)) {
		*why = COX_STR("The injection webhook is deactivated, and will never match labels.");
		return false;
	}
	cox_buf_append_cstr(&b, "No matching namespace labels (");
	wanted_write(hooks, "namespaceSelector", &b);
	cox_buf_append_cstr(&b, ") or pod labels (");
	wanted_write(hooks, "objectSelector", &b);
	cox_buf_append_char(&b, ')');
	*why = cox_arena_str(a, cox_buf_str(&b));
	cox_buf_fini(&b);
	return false;
}

/* Of a mesh: one of its webhooks is named "....istio.io". */
static bool is_ours(const struct cox_json *config)
{
	const struct cox_json *hooks = cox_json_get(config, COX_STR("webhooks"));
	for (size_t i = 0; i < count(hooks); i++)
		if (cox_str_has_suffix(cox_json_str_at(&hooks->items[i], "name"), COX_STR("istio.io")))
			return true;
	return false;
}

static int by_name(const void *a, const void *b)
{
	return cox_str_cmp(name_of(*(const struct cox_json *const *)a), name_of(*(const struct cox_json *const *)b));
}

/* Pointers to the objects, by name. */
static const struct cox_json **sorted(const struct cox_json *list, struct cox_arena *a)
{
	const struct cox_json **out = COX_ARENA_ARRAY(a, const struct cox_json *, count(list) + 1);
	for (size_t i = 0; i < count(list); i++)
		out[i] = &list->items[i];
	qsort(out, count(list), sizeof(*out), by_name);
	return out;
}

size_t cox_hooks_check(const struct cox_json *hooks, const struct cox_json *pod_labels, const struct cox_json *ns_labels, bool has_color,
                       struct cox_buf *out)
{
	struct cox_arena a = { 0 };
	struct cox_table t = { 0 };
	const struct cox_json **list = sorted(hooks, &a);
	size_t injecting = 0, rows = 0;
	cox_table_row(&t, "WEBHOOK\tREVISION\tINJECTED\tREASON");
	for (size_t i = 0; i < count(hooks); i++) {
		struct cox_str why;
		if (!is_ours(list[i]))
			continue;
		bool is = reason_of(cox_json_get(list[i], COX_STR("webhooks")), pod_labels, ns_labels, &a, &why);
		rows++;
		injecting += is;
		cox_table_cell(&t, name_of(list[i]));
		cox_table_cell(&t, label(labels_of(list[i]), REV));
		cox_table_cellf(&t, "%s%s%s",
		                !has_color ? ""
		                : is       ? "\033[32m"
		                           : "\033[31m",
		                is ? "\xe2\x9c\x94" : "\xe2\x9c\x98", has_color ? "\033[0m" : "");
		cox_table_cell(&t, why);
		cox_table_row_end(&t);
	}
	if (rows)
		cox_table_write(&t, 2, out);
	else
		cox_buf_append_cstr(out, "ERROR: no Istio injection hooks present.\n");
	if (injecting > 1)
		cox_buf_append_cstr(out, "ERROR: multiple webhooks will inject, which can lead to errors\n");
	cox_table_fini(&t);
	cox_arena_fini(&a);
	return injecting;
}

/* --- the list -------------------------------------------------------------------------------------------------- */

static bool hook_takes(const struct cox_json *config, const struct cox_json *ns, bool by_namespace_alone)
{
	const struct cox_json *hooks = cox_json_get(config, COX_STR("webhooks"));
	for (size_t i = 0; i < count(hooks); i++) {
		struct cox_str name = cox_json_str_at(&hooks->items[i], "name");
		if (by_namespace_alone && !cox_str_eq(name, COX_STR("rev.namespace.sidecar-injector.istio.io")) &&
		    !cox_str_eq(name, COX_STR("namespace.sidecar-injector.istio.io")))
			continue;
		if (fits(cox_json_get(&hooks->items[i], COX_STR("namespaceSelector")), labels_of(ns)))
			return true;
	}
	return false;
}

static struct cox_str ns_revision(const struct cox_json *ns, const struct cox_json **hooks, size_t n, struct cox_arena *a)
{
	struct cox_str rev = label(labels_of(ns), REV), injection = label(labels_of(ns), INJECTION);
	for (size_t i = 0; i < n; i++)
		if (hook_takes(hooks[i], ns, false))
			return label(labels_of(hooks[i]), REV);
	if (rev.n)
		return cox_arena_printf(a, "MISSING/%.*s", COX_FMT(rev));
	return injection.n && !cox_str_eq(injection, COX_STR("disabled")) ? COX_STR("MISSING/" INJECTION) : COX_STR("");
}

static struct cox_str pod_revision(const struct cox_json *pod, struct cox_arena *a)
{
	const struct cox_json *annotations = cox_json_at(pod, "metadata.annotations");
	struct cox_json *status = NULL;
	struct cox_str rev = label(annotations, REV), text = label(annotations, "sidecar.istio.io/status");
	if (rev.n || !text.n || cox_json_parse(a, text, &status, NULL) != COX_OK)
		return rev;
	return cox_json_str_at(status, "revision");
}

struct tally {
	struct cox_str revision;
	size_t pods, disabled, restart;
};

static void pods_count(const struct cox_json *pods, struct cox_str ns, struct cox_str expected, struct cox_arena *a, struct tally *out,
                       size_t max, size_t *n)
{
	for (size_t i = 0; i < count(pods); i++) {
		if (!cox_str_eq(cox_json_str_at(&pods->items[i], "metadata.namespace"), ns))
			continue;
		struct cox_str rev = pod_revision(&pods->items[i], a), shown = rev.n ? rev : COX_STR("<non-Istio>"),
		               off = label(labels_of(&pods->items[i]), "sidecar.istio.io/inject");
		off = off.n ? off : label(cox_json_at(&pods->items[i], "metadata.annotations"), "sidecar.istio.io/inject");
		size_t at = 0;
		while (at < *n && !cox_str_eq(out[at].revision, shown))
			at++;
		if (at == max)
			continue;
		if (at == *n)
			out[(*n)++] = (struct tally){ .revision = shown };
		out[at].pods++;
		bool is_off = cox_str_eq_nocase(off, COX_STR("false"));
		out[at].disabled += is_off;
		out[at].restart += !is_off && !cox_str_eq(rev, expected);
	}
}

static bool is_system(struct cox_str ns, struct cox_str istio_ns)
{
	return cox_str_eq(ns, istio_ns) || cox_str_eq(ns, COX_STR("kube-system")) || cox_str_eq(ns, COX_STR("kube-public")) ||
	       cox_str_eq(ns, COX_STR("kube-node-lease")) || cox_str_eq(ns, COX_STR("local-path-storage"));
}

static void tally_row(struct cox_table *t, struct cox_str ns, struct cox_str revision, const struct tally *c)
{
	struct cox_buf b = { 0 };
	cox_table_cell(t, ns);
	cox_table_cell(t, revision);
	if (c->pods)
		cox_buf_printf(&b, "%.*s: %zu", COX_FMT(c->revision), c->pods);
	else
		cox_buf_append_cstr(&b, "<no pods>");
	if (c->disabled)
		cox_buf_printf(&b, " (injection disabled: %zu)", c->disabled);
	if (c->restart)
		cox_buf_printf(&b, " NEEDS RESTART: %zu", c->restart);
	cox_table_cell(t, cox_buf_str(&b));
	cox_table_row_end(t);
	cox_buf_fini(&b);
}

static void image_cell(const struct cox_json *configs, struct cox_str revision, struct cox_table *t, struct cox_arena *a)
{
	for (size_t i = 0; i < count(configs); i++) {
		struct cox_json *values = NULL;
		const struct cox_json *text = cox_json_at(&configs->items[i], "data.values");
		if (!text || !cox_str_eq(label(labels_of(&configs->items[i]), REV), revision) ||
		    cox_yaml_one(a, text->text, COX_JSON_BYTES_MAX, &values, NULL, NULL) != COX_OK)
			continue;
		const struct cox_json *global = cox_json_get(values, COX_STR("global"));
		struct cox_str image = cox_json_str_at(global, "proxy.image");
		if (cox_str_find(image, '/') >= 0)
			cox_table_cell(t, image);
		else
			cox_table_cellf(t, "%.*s/%.*s:%.*s", COX_FMT(cox_json_str_at(global, "hub")), COX_FMT(image),
			                COX_FMT(cox_json_str_at(global, "tag")));
		return;
	}
	cox_table_cell(t, COX_STR(""));
}

static void hook_rows(const struct cox_json *hook, const struct cox_json **spaces, size_t n, const struct cox_json *configs,
                      struct cox_table *t, struct cox_arena *a)
{
	size_t rows = 0;
	struct cox_str rev = label(labels_of(hook), REV);
	for (size_t i = 0; i <= n; i++) {
		if (i == n ? rows > 0 : !hook_takes(hook, spaces[i], true))
			continue;
		cox_table_cell(t, i < n ? name_of(spaces[i]) : COX_STR("DOES NOT AUTOINJECT"));
		cox_table_cell(t, name_of(hook));
		cox_table_cell(t, rev);
		image_cell(configs, rev, t, a);
		cox_table_row_end(t);
		rows++;
	}
}

void cox_hooks_list(const struct cox_json *namespaces, const struct cox_json *hooks, const struct cox_json *pods,
                    const struct cox_json *configs, struct cox_str istio_ns, struct cox_str only, struct cox_buf *out)
{
	enum { REVISIONS_MAX = 64 };
	struct cox_arena a = { 0 };
	struct cox_table spaces_t = { 0 }, hooks_t = { 0 };
	const struct cox_json **all = sorted(namespaces, &a), **list = sorted(hooks, &a);
	size_t n = 0, rows = 0;
	for (size_t i = 0; i < count(namespaces); i++)
		if (!is_system(name_of(all[i]), istio_ns) && (!only.n || cox_str_eq(name_of(all[i]), only)))
			all[n++] = all[i];
	cox_table_row(&spaces_t, "NAMESPACE\tISTIO-REVISION\tPOD-REVISIONS");
	for (size_t i = 0; i < n; i++) {
		struct tally tallies[REVISIONS_MAX];
		size_t tally_n = 0;
		struct cox_str rev = ns_revision(all[i], list, count(hooks), &a);
		pods_count(pods, name_of(all[i]), rev, &a, tallies, REVISIONS_MAX, &tally_n);
		if (tally_n == 0 && rev.n)
			tallies[tally_n++] = (struct tally){ .revision = rev };
		for (size_t k = 0; k < tally_n; k++, rows++)
			tally_row(&spaces_t, name_of(all[i]), rev, &tallies[k]);
	}
	if (rows)
		cox_table_write(&spaces_t, 1, out);
	else
		cox_buf_append_cstr(out, "No Istio injected namespaces present.\n");
	cox_buf_append_char(out, '\n');
	cox_table_row(&hooks_t, "NAMESPACES\tINJECTOR-HOOK\tISTIO-REVISION\tSIDECAR-IMAGE");
	for (size_t i = 0; i < count(hooks); i++)
		hook_rows(list[i], all, n, configs, &hooks_t, &a);
	if (count(hooks))
		cox_table_write(&hooks_t, 1, out);
	else
		cox_buf_append_cstr(out, "No Istio injection hooks present.\n");
	cox_table_fini(&spaces_t);
	cox_table_fini(&hooks_t);
	cox_arena_fini(&a);
}
