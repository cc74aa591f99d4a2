/* covers: g64 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "source/saved.h"

static const char *const docs[] = {
	"{\"apiVersion\":\"v1\",\"kind\":\"Service\",\"metadata\":{\"name\":\"web\",\"namespace\":\"shop\",\"labels\":{\"a\":\"b\"},\"resourceVersion\":\"7\"},"
	"\"spec\":{\"clusterIP\":\"10.0.0.1\",\"ports\":[{\"name\":\"http\",\"port\":80,\"targetPort\":\"web\"}],\"selector\":{\"app\":\"web\"}}}",
	"{\"apiVersion\":\"networking.istio.io/v1\",\"kind\":\"VirtualService\",\"metadata\":{\"name\":\"v\",\"namespace\":\"shop\",\"generation\":3},"
	"\"spec\":{\"hosts\":[\"web\"],\"http\":[{\"timeout\":\"5s\",\"match\":[{\"uri\":{\"prefix\":\"/x\"}}],\"route\":[{\"destination\":{\"host\":\"web\"}}]}]}}",
	"{\"apiVersion\":\"discovery.k8s.io/v1\",\"kind\":\"EndpointSlice\",\"metadata\":{\"name\":\"web-1\",\"namespace\":\"shop\","
	"\"labels\":{\"kubernetes.io/service-name\":\"web\"}},\"addressType\":\"IPv4\",\"ports\":[{\"name\":\"http\",\"port\":8080}],"
	"\"endpoints\":[{\"addresses\":[\"10.1.0.1\"],\"conditions\":{\"ready\":true},\"nodeName\":\"n\"}]}",
	"{\"apiVersion\":\"v1\",\"kind\":\"Secret\",\"metadata\":{\"name\":\"s\",\"namespace\":\"shop\"},\"type\":\"kubernetes.io/tls\",\"data\":{\"tls.key\":\"c2VjcmV0\"}}",
};

static const struct cox_object *build(const char *text)
{
	struct cox_arena a = { 0 };
	struct cox_diags diags = { .arena = &a };
	struct cox_json *doc;
	const struct cox_object *o = NULL;
	assert_int_equal(cox_json_parse(&a, cox_str_of(text), &doc, NULL), COX_OK);
	assert_int_equal(cox_object_build(doc, COX_STR("here"), COX_STR("default"), &a, &diags, &o), COX_OK);
	cox_arena_fini(&a);
	return o;
}

struct seen {
	const struct cox_object *items[8];
	size_t n;
};
static void on_put(void *ctx, const struct cox_object *o)
{
	struct seen *s = ctx;
	s->items[s->n++] = cox_object_ref(o);
}

static void written_and_read(void **state)
{
	(void)state;
	char dir[] = "/tmp/saved.XXXXXX", path[64];
	const struct cox_object *objects[COX_LEN(docs)];
	struct seen seen = { .n = 0 };
	struct cox_err err = { 0 };
	struct cox_buf text = { 0 };
	struct stat st;
	size_t n, bad;
	assert_non_null(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/o", dir);
	assert_int_equal(cox_saved_read(path, COX_STR("here"), on_put, &seen, &n, &bad, &err), COX_ENOTFOUND);
	for (size_t i = 0; i < COX_LEN(docs); i++)
		objects[i] = build(docs[i]);
	assert_int_equal(cox_saved_write(path, COX_STR("here"), objects, COX_LEN(docs), &err), COX_OK);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	assert_int_equal(cox_file_read(path, 1 << 20, &text, NULL), COX_OK);
	assert_true(cox_str_search(cox_buf_str(&text), COX_STR("Secret")) < 0 &&
	            cox_str_search(cox_buf_str(&text), COX_STR("c2VjcmV0")) < 0);
	assert_int_equal(cox_saved_read(path, COX_STR("here"), on_put, &seen, &n, &bad, &err), COX_OK);
	assert_true(n == 3 && bad == 0 && seen.n == 3);
	for (size_t i = 0; i < seen.n; i++)
		assert_true(cox_object_eq(seen.items[i], objects[i])); /* in everything that can matter */
	assert_int_equal(seen.items[1]->meta.generation, 3);
	/* A line that is broken, or of a kind that is not saved, costs itself alone. */
	cox_buf_append_cstr(&text, "{\"kind\":\n");
	cox_buf_append_cstr(&text, docs[3]);
	cox_buf_append_cstr(&text, "\n\n{\"apiVersion\":\"v1\",\"kind\":\"No\"}");
	assert_int_equal(cox_file_write(path, 0600, cox_buf_str(&text), NULL), COX_OK);
	assert_int_equal(cox_saved_read(path, COX_STR("here"), on_put, &seen, &n, &bad, &err), COX_OK);
	assert_true(n == 3 && bad == 3);
	assert_int_equal(cox_saved_read(path, COX_STR("there"), on_put, &seen, &n, &bad, &err), COX_EINVAL);
	assert_int_equal(cox_file_write(path, 0600, COX_STR("nonsense\n"), NULL), COX_OK);
	assert_int_equal(cox_saved_read(path, COX_STR("here"), on_put, &seen, &n, &bad, &err), COX_EINVAL);
	for (size_t i = 0; i < COX_LEN(docs); i++)
		cox_object_unref(objects[i]);
	for (size_t i = 0; i < seen.n; i++)
		cox_object_unref(seen.items[i]);
	cox_buf_fini(&text);
	unlink(path);
	rmdir(dir);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(written_and_read) };
	return cmocka_run_group_tests(tests, NULL, NULL);
}
