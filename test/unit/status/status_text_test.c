/* covers: g57 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <string.h>

#include "status/status_priv.h"

static struct status_entry entry(struct cox_status_finding *findings, size_t n)
{
	struct status_entry e = { .kind = COX_KIND_VIRTUAL_SERVICE, .ns = COX_STR("n"), .name = COX_STR("v") };
	e.parts[COX_STATUS_DECODE].findings = findings;
	e.parts[COX_STATUS_DECODE].n = n;
	return e;
}

static struct cox_json *written(struct cox_arena *a, const struct status_entry *e, int64_t generation, const struct cox_json *was,
                                const char *now)
{
	struct cox_buf out = { 0 };
	struct cox_json *v = NULL;
	status_write(e, generation, was, cox_str_of(now), &out);
	struct cox_str text = cox_arena_str(a, cox_buf_str(&out));
	cox_buf_fini(&out);
	assert_int_equal(cox_json_parse(a, text, &v, NULL), COX_OK);
	return v;
}

static void accepted_and_invalid(void **state)
{
	(void)state;
	struct cox_arena a = { 0 };
	struct status_entry good = entry(NULL, 0);
	struct cox_json *first = written(&a, &good, 3, NULL, "T1");
	const struct cox_json *c = &cox_json_at(first, "status.conditions")->items[0];
	assert_true(cox_str_eq_cstr(cox_json_str_at(first, "apiVersion"), "networking.istio.io/v1"));
	assert_true(cox_str_eq_cstr(cox_json_str_at(c, "status"), "True"));
	assert_true(status_is_said(&good, 3, first));
	assert_false(status_is_said(&good, 4, first));
	assert_false(status_is_said(&good, 3, NULL));

	struct cox_status_finding f[] = { { .severity = COX_SEV_WARNING, .path = COX_STR("spec.x"), .text = COX_STR("has no effect") },
		                          { .severity = COX_SEV_ERROR, .path = COX_STR("spec.y"), .text = COX_STR("is wrong") } };
	struct status_entry warned = entry(f, 1), bad = entry(f, 2);
	struct cox_json *second = written(&a, &warned, 3, first, "T2");
	c = &cox_json_at(second, "status.conditions")->items[0];
	assert_true(cox_str_eq_cstr(cox_json_str_at(c, "reason"), "Warnings"));
	assert_true(cox_str_eq_cstr(cox_json_str_at(c, "lastTransitionTime"), "T1"));
	struct cox_json *third = written(&a, &bad, 3, second, "T3");
	c = &cox_json_at(third, "status.conditions")->items[0];
	assert_true(cox_str_eq_cstr(cox_json_str_at(c, "status"), "False"));
	assert_true(cox_str_eq_cstr(cox_json_str_at(c, "lastTransitionTime"), "T3"));
	assert_true(cox_str_eq_cstr(cox_json_str_at(c, "message"), "spec.y: is wrong; spec.x: has no effect"));
	assert_int_equal(cox_json_at(third, "status.validationMessages")->n, 2);
	assert_false(cox_hash_eq(status_hash(&good, 3), status_hash(&bad, 3)));
	assert_false(cox_hash_eq(status_hash(&bad, 3), status_hash(&bad, 4)));
	assert_true(cox_hash_eq(status_hash(&bad, 3), status_hash(&bad, 3)));
	cox_arena_fini(&a);
}

/* covers: a141 */
static void conditions_of_others_stay(void **state)
{
	static const char there[] =
	    "{\"metadata\":{\"resourceVersion\":\"7\"},\"status\":{\"conditions\":[{\"type\":\"Accepted\",\"status\":\"True\"},"
	    "{\"type\":\"Healthy\",\"status\":\"False\",\"message\":\"status 503\"}]}}";
	(void)state;
	struct cox_arena a = { 0 };
	struct cox_json *was = NULL;
	struct status_entry e = entry(NULL, 0);
	assert_int_equal(cox_json_parse(&a, cox_str_of(there), &was, NULL), COX_OK);
	struct cox_json *v = written(&a, &e, 3, was, "T");
	const struct cox_json *list = cox_json_at(v, "status.conditions");
	assert_int_equal(list->n, 2);
	assert_true(cox_str_eq_cstr(cox_json_str_at(&list->items[0], "type"), "Accepted"));
	assert_true(cox_str_eq_cstr(cox_json_str_at(&list->items[1], "type"), "Healthy"));
	assert_true(cox_str_eq_cstr(cox_json_str_at(&list->items[1], "message"), "status 503"));
	assert_true(cox_str_eq_cstr(cox_json_str_at(v, "metadata.resourceVersion"), "7"));
	v = written(&a, &e, 3, NULL, "T");
	assert_null(cox_json_at(v, "metadata.resourceVersion"));
	cox_arena_fini(&a);
}

static void long_messages_are_cut_at_a_character(void **state)
{
	(void)state;
	struct cox_arena a = { 0 };
	struct cox_buf text = { 0 };
	cox_buf_append_char(&text, 'x');
	for (int i = 0; i < 2000; i++)
		cox_buf_append_cstr(&text, "é");
	struct cox_status_finding f = { .severity = COX_SEV_ERROR, .text = cox_buf_str(&text) };
	struct status_entry e = entry(&f, 1);
	struct cox_json *v = written(&a, &e, 0, NULL, "T");
	struct cox_str message = cox_json_str_at(&cox_json_at(v, "status.conditions")->items[0], "message");
	assert_true(message.n <= MESSAGE_BYTES_MAX && message.n > MESSAGE_BYTES_MAX - 3);
	assert_true(cox_str_is_utf8(message));
	assert_null(cox_json_at(v, "status.observedGeneration"));
	cox_arena_fini(&a);
	cox_buf_fini(&text);
}

static const struct cox_json *condition(const struct cox_json *object, const char *type)
{
	const struct cox_json *list = cox_json_at(object, "status.conditions");
	for (size_t i = 0; i < list->n; i++)
		if (cox_str_eq_cstr(cox_json_str_at(&list->items[i], "type"), type))
			return &list->items[i];
	fail_msg("no condition %s", type);
	return NULL;
}

static void assert_condition(const struct cox_json *object, const char *type, const char *status, const char *reason)
{
	assert_true(cox_str_eq_cstr(cox_json_str_at(condition(object, type), "status"), status));
	assert_true(cox_str_eq_cstr(cox_json_str_at(condition(object, type), "reason"), reason));
}

static void how_far_proxies_are(void **state)
{
	(void)state;
	struct cox_arena a = { 0 };
	struct cox_status_progress p;
	struct status_entry e = entry(NULL, 0);
	e.has_progress = true;
	struct cox_json *before = written(&a, &e, 3, NULL, "T1");
	assert_condition(before, "Programmed", "Unknown", "Pending");
	assert_condition(before, "ProxyRejected", "False", "NoneRejected");
	assert_false(cox_status_progress_read(before, &p));
	e.progress_generation = 3;
	e.acked = 37;
	e.total = 40;
	strcpy(e.last, "sidecar~10.0.0.9~web-0.shop~shop.svc.cluster.local");
	struct cox_json *partial = written(&a, &e, 3, before, "T2");
	assert_condition(partial, "Programmed", "True", "Programmed");
	assert_condition(partial, "Reconciled", "False", "Waiting");
	assert_true(cox_status_progress_read(partial, &p));
	assert_true(p.generation == 3 && p.acked == 37 && p.total == 40 && cox_str_eq_cstr(p.last, e.last));
	e.acked = 40;
	struct cox_json *whole = written(&a, &e, 3, partial, "T3");
	assert_condition(whole, "Reconciled", "True", "Reconciled");
	assert_true(cox_status_progress_read(whole, &p) && p.acked == 40 && p.last.n == 0);
	/* Reached stays reached: a new leader that knows nothing yet, or counts other proxies, has nothing to say. */
	struct status_entry fresh = entry(NULL, 0);
	fresh.has_progress = true;
	assert_true(status_is_said(&fresh, 3, whole));
	fresh.progress_generation = 3;
	fresh.acked = fresh.total = 2;
	assert_true(status_is_said(&fresh, 3, whole));
	assert_false(status_is_said(&fresh, 4, whole));
	/* But a rejection is news. */
	struct cox_status_finding f = { .severity = COX_SEV_ERROR, .path = COX_STR("80"), .text = COX_STR("proxy p rejects it") };
	fresh.parts[COX_STATUS_PROXY].findings = &f;
	fresh.parts[COX_STATUS_PROXY].n = 1;
	assert_false(status_is_said(&fresh, 3, whole));
	struct cox_json *rejected = written(&a, &fresh, 3, whole, "T4");
	assert_condition(rejected, "ProxyRejected", "True", "Rejected");
	assert_condition(rejected, "Programmed", "False", "ProxyRejected");
	assert_condition(rejected, "Reconciled", "False", "ProxyRejected");
	assert_true(cox_str_eq_cstr(cox_json_str_at(condition(rejected, "ProxyRejected"), "message"), "80: proxy p rejects it"));
	assert_true(cox_str_eq_cstr(cox_json_str_at(condition(rejected, "Accepted"), "lastTransitionTime"), "T4"));
	/* What is wrong cannot be in force. */
	struct status_entry wrong = entry(&f, 1);
	wrong.has_progress = true;
	assert_condition(written(&a, &wrong, 4, whole, "T5"), "Reconciled", "False", "Invalid");
	cox_arena_fini(&a);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(accepted_and_invalid), cmocka_unit_test(how_far_proxies_are),
		                            cmocka_unit_test(conditions_of_others_stay),
		                            cmocka_unit_test(long_messages_are_cut_at_a_character) };
	return cmocka_run_group_tests(tests, NULL, NULL);
}
