/* The election record as a real istiod leaves it, in both forms. covers: g56 h11 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "status/lease_priv.h"

static struct cox_json *parse(struct cox_arena *a, struct cox_str text)
{
	struct cox_json *v = NULL;
	assert_int_equal(cox_json_parse(a, cox_arena_str(a, text), &v, NULL), COX_OK);
	return v;
}

static struct cox_json *written(struct cox_arena *a, enum cox_lease_form form, const struct cox_json *was, const struct lease_record *r)
{
	struct cox_lease_spec spec = { .ns = COX_STR("istio-system"), .name = COX_STR("istio-leader"), .form = form };
	struct cox_buf out = { 0 };
	lease_record_write(&spec, was, r, &out);
	struct cox_json *v = parse(a, cox_buf_str(&out));
	cox_buf_fini(&out);
	return v;
}

static const char istiod_map[] =
    "{\"apiVersion\":\"v1\",\"kind\":\"ConfigMap\",\"data\":{\"k\":\"v\"},\"metadata\":{\"name\":\"istio-leader\",\"namespace\":\"istio-system\","
    "\"resourceVersion\":\"7\",\"uid\":\"u\",\"managedFields\":[{}],\"annotations\":{\"x\":\"y\","
    "\"control-plane.alpha.kubernetes.io/leader\":\"{\\\"holderIdentity\\\":\\\"istiod-1-6d9\\\",\\\"holderKey\\\":\\\"1-30\\\","
    "\\\"leaseDurationSeconds\\\":30,\\\"acquireTime\\\":\\\"2026-08-01T10:00:00Z\\\",\\\"renewTime\\\":\\\"2026-08-01T10:05:00Z\\\","
    "\\\"leaderTransitions\\\":4}\"}}}";
static const char istiod_lease[] =
    "{\"apiVersion\":\"coordination.k8s.io/v1\",\"kind\":\"Lease\",\"metadata\":{\"name\":\"istio-status-leader\",\"namespace\":\"istio-system\","
    "\"resourceVersion\":\"8\",\"annotations\":{\"leader.istio.io/holder-key\":\"default\"}},\"spec\":{\"holderIdentity\":\"istiod-6d9\","
    "\"leaseDurationSeconds\":30,\"acquireTime\":\"2026-08-01T10:00:00.000000Z\",\"renewTime\":\"2026-08-01T10:05:00.000000Z\",\"leaseTransitions\":2}}";

static void of_istiod(void **state)
{
	(void)state;
	struct cox_arena a = { 0 };
	struct lease_record r;
	assert_true(lease_record_read(COX_LEASE_CONFIG_MAP, parse(&a, cox_str_of(istiod_map)), &a, &r));
	assert_true(cox_str_eq_cstr(r.holder, "istiod-1-6d9") && cox_str_eq_cstr(r.key, "1-30"));
	assert_true(r.duration_s == 30 && r.transitions == 4 && cox_str_eq_cstr(r.renew_time, "2026-08-01T10:05:00Z"));
	assert_true(lease_record_read(COX_LEASE_OBJECT, parse(&a, cox_str_of(istiod_lease)), &a, &r));
	assert_true(cox_str_eq_cstr(r.holder, "istiod-6d9") && cox_str_eq_cstr(r.key, "default"));
	assert_true(r.duration_s == 30 && r.transitions == 2 && cox_str_eq_cstr(r.acquire_time, "2026-08-01T10:00:00.000000Z"));
	cox_arena_fini(&a);
}

/* What it does not know in the object stays; the record is found again, and istiod's field names are used. */
static void written_back(void **state)
{
	(void)state;
	struct cox_arena a = { 0 };
	struct lease_record r = { .holder = COX_STR("me"),
		                  .key = COX_STR("default"),
		                  .acquire_time = COX_STR("2026-08-01T11:00:00Z"),
		                  .renew_time = COX_STR("2026-08-01T11:00:01Z"),
		                  .duration_s = 30,
		                  .transitions = 5 },
	                    back;
	struct cox_json *map = written(&a, COX_LEASE_CONFIG_MAP, parse(&a, cox_str_of(istiod_map)), &r);
	assert_true(cox_str_eq_cstr(cox_json_str_at(map, "metadata.resourceVersion"), "7"));
	assert_true(cox_str_eq_cstr(cox_json_str_at(map, "metadata.annotations.x"), "y"));
	assert_true(cox_str_eq_cstr(cox_json_str_at(map, "data.k"), "v"));
	assert_null(cox_json_at(map, "metadata.managedFields"));
	assert_int_equal(cox_json_at(map, "metadata.annotations")->n, 2);
	assert_true(lease_record_read(COX_LEASE_CONFIG_MAP, map, &a, &back));
	assert_true(cox_str_eq_cstr(back.holder, "me") && cox_str_eq_cstr(back.key, "default") && back.transitions == 5);

	struct cox_json *lease = written(&a, COX_LEASE_OBJECT, parse(&a, cox_str_of(istiod_lease)), &r);
	assert_true(lease_record_read(COX_LEASE_OBJECT, lease, &a, &back));
	assert_true(cox_str_eq_cstr(back.holder, "me") && cox_str_eq_cstr(back.key, "default") && back.duration_s == 30);
	assert_true(cox_str_eq_cstr(cox_json_str_at(lease, "metadata.resourceVersion"), "8"));
	/* Given back: nobody holds it, and no revision is told. */
	struct cox_json *given = written(&a, COX_LEASE_OBJECT, lease, &(struct lease_record){ .duration_s = 1 });
	assert_true(lease_record_read(COX_LEASE_OBJECT, given, &a, &back));
	assert_true(back.holder.n == 0 && back.key.n == 0 && back.duration_s == 1);
	/* A new one. */
	struct cox_json *fresh = written(&a, COX_LEASE_CONFIG_MAP, NULL, &r);
	assert_true(cox_str_eq_cstr(cox_json_str_at(fresh, "kind"), "ConfigMap"));
	assert_true(cox_str_eq_cstr(cox_json_str_at(fresh, "metadata.name"), "istio-leader"));
	assert_null(cox_json_at(fresh, "metadata.resourceVersion"));
	assert_true(cox_str_eq_cstr(lease_time(COX_LEASE_CONFIG_MAP, 1785578400123, &a), "2026-08-01T10:00:00Z"));
	assert_true(cox_str_eq_cstr(lease_time(COX_LEASE_OBJECT, 1785578400123, &a), "2026-08-01T10:00:00.123000Z"));
	cox_arena_fini(&a);
}

/* Whatever stands there: nobody holds it, and no crash. */
static void broken(void **state)
{
	(void)state;
	static const char *const maps[] = {
		"{}",
		"{\"metadata\":{}}",
		"{\"metadata\":{\"annotations\":[]}}",
		"{\"metadata\":{\"annotations\":{\"control-plane.alpha.kubernetes.io/leader\":\"{\"}}}",
		"{\"metadata\":{\"annotations\":{\"control-plane.alpha.kubernetes.io/leader\":\"[1]\"}}}",
		"{\"metadata\":{\"annotations\":{\"control-plane.alpha.kubernetes.io/leader\":7}}}",
	};
	static const char *const leases[] = { "{}", "{\"spec\":[]}",
		                              "{\"spec\":{\"holderIdentity\":null,\"leaseDurationSeconds\":\"x\"}}" };
	struct cox_arena a = { 0 };
	struct lease_record r;
	for (size_t i = 0; i < COX_LEN(maps); i++) {
		assert_false(lease_record_read(COX_LEASE_CONFIG_MAP, parse(&a, cox_str_of(maps[i])), &a, &r));
		assert_true(r.holder.n == 0);
	}
	for (size_t i = 0; i < COX_LEN(leases); i++) {
		lease_record_read(COX_LEASE_OBJECT, parse(&a, cox_str_of(leases[i])), &a, &r);
		assert_true(r.holder.n == 0 && r.duration_s == 0);
	}
	cox_arena_fini(&a);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(of_istiod), cmocka_unit_test(written_back), cmocka_unit_test(broken) };
	return cmocka_run_group_tests(tests, NULL, NULL);
}
