#include "source/dir_guess.h"
#include "source/dir_source.h"

#include "base/clock.h"
#include "base/vec.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

/* What a sink heard, as lines: "+Service/n/a", "-Service/n/a", "!file.yaml:3 path text", "synced", "stale 1". */
struct world {
	char dir[64];
	struct cox_loop *loop;
	struct cox_dir_source *source;
	struct cox_buf heard;
	size_t flushes;
	const char *wait_for;
};

static void on_put(void *arg, const struct cox_object *o)
{
	struct world *w = arg;
	cox_buf_printf(&w->heard, "+%.*s\n", COX_FMT(o->id));
}

static void on_remove(void *arg, enum cox_kind kind, struct cox_str ns, struct cox_str name)
{
	struct world *w = arg;
	cox_buf_printf(&w->heard, "-%.*s/%.*s/%.*s\n", COX_FMT(cox_kind_info(kind)->name), COX_FMT(ns), COX_FMT(name));
}

static void on_report(void *arg, const struct cox_source_report *r)
{
	struct world *w = arg;
	struct cox_str base = cox_str_sub(r->origin, (size_t)(cox_str_rfind(r->origin, '/') + 1), SIZE_MAX);
	for (size_t i = 0; i < r->diags->n; i++)
		cox_buf_printf(&w->heard, "!%.*s %.*s%s\n", COX_FMT(base), COX_FMT(r->diags->items[i].path),
		               r->has_last_good ? " kept" : "");
	if (r->diags->n == 0)
		cox_buf_printf(&w->heard, "!%s/%.*s/%.*s is fine\n", r->kind < COX_KIND_COUNT ? cox_kind_info(r->kind)->name.p : "unknown",
		               COX_FMT(r->ns), COX_FMT(r->name));
}

static void on_synced(void *arg) { cox_buf_append_cstr(&((struct world *)arg)->heard, "synced\n"); }
static void on_stale(void *arg, bool stale) { cox_buf_printf(&((struct world *)arg)->heard, "stale %d\n", stale); }
static void on_flush(void *arg) { ((struct world *)arg)->flushes++; }

static struct cox_source_sink sink_of(struct world *w)
{
	return (struct cox_source_sink){ on_put, on_remove, on_report, on_synced, on_stale, on_flush, w };
}

static void path_of(const struct world *w, const char *name, char out[256]) { snprintf(out, 256, "%s/%s", w->dir, name); }

static void write_file(const struct world *w, const char *name, const char *text)
{
	char path[256];
	path_of(w, name, path);
	FILE *f = fopen(path, "w");
	assert_non_null(f);
	fputs(text, f);
	fclose(f);
}

static void move_file(const struct world *w, const char *from, const char *to)
{
	char a[256], b[256];
	path_of(w, from, a);
	path_of(w, to, b);
	assert_int_equal(rename(a, b), 0);
}

static void delete_file(const struct world *w, const char *name)
{
	char path[256];
	path_of(w, name, path);
	assert_int_equal(unlink(path), 0);
}

static void world_make(struct world *w)
{
	*w = (struct world){ .loop = cox_loop_new("test") };
	snprintf(w->dir, sizeof(w->dir), "/tmp/cox-dir-XXXXXX");
	assert_non_null(mkdtemp(w->dir));
}

static void world_open(struct world *w)
{
	struct cox_source_sink sink = sink_of(w);
	assert_int_equal(cox_dir_source_open(w->loop, w->dir, &sink, &w->source, NULL), COX_OK);
}

static void world_end(struct world *w)
{
	char command[128];
	cox_dir_source_close(&w->source);
	cox_loop_free(&w->loop);
	cox_buf_fini(&w->heard);
	snprintf(command, sizeof(command), "rm -rf %s", w->dir);
	assert_int_equal(system(command), 0);
}

static bool has_heard(void *arg)
{
	struct world *w = arg;
	return strstr(cox_buf_cstr(&w->heard), w->wait_for) != NULL;
}

/* Runs the loop until the sink heard `want`, and says how long that took. */
static int64_t hear(struct world *w, const char *want)
{
	int64_t start = cox_clock_mono_ms();
	w->wait_for = want;
	if (!cox_loop_run_until(w->loop, has_heard, w, 5000))
		fail_msg("did not hear \"%s\" but \"%s\"", want, cox_buf_cstr(&w->heard));
	return cox_clock_mono_ms() - start;
}

static bool never(void *arg)
{
	(void)arg;
	return false;
}

static void quiet(struct world *w, int64_t ms)
{
	cox_loop_run_until(w->loop, never, NULL, ms);
	assert_string_equal(cox_buf_cstr(&w->heard), "");
}

static void forget(struct world *w) { cox_buf_clear(&w->heard); }
static void expect(struct world *w, const char *all)
{
	assert_string_equal(cox_buf_cstr(&w->heard), all);
	forget(w);
}

#define SVC(name, port)                                                                                                                   \
	"apiVersion: v1\nkind: Service\nmetadata: {name: " name ", namespace: n}\nspec: {clusterIP: 10.0.0.1, ports: [{port: " port "}]}" \
	"\n"
#define BAD_VS(name)                                                                       \
	"apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {name: " name \
	", namespace: n}\nspec: {hosts: [a], http: [{timeout: soon}]}\n"
#define GOOD_VS(name)                                                                      \
	"apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {name: " name \
	", namespace: n}\nspec: {hosts: [a], http: [{timeout: 3s, route: [{destination: {host: a}}]}]}\n"

/* covers: b35 */
static void test_first_read(void **state)
{
	(void)state;
	struct world w;
	char sub[256];
	world_make(&w);
	write_file(&w, "b.yaml", SVC("b", "80") "---\n" SVC("c", "80"));
	write_file(&w, "list.yml",
	           "apiVersion: v1\nkind: List\nitems:\n- apiVersion: v1\n  kind: Service\n  metadata: {name: l, namespace: n}\n  spec: "
	           "{clusterIP: 10.0.0.1}\n"
	           "- {apiVersion: apps/v1, kind: Deployment, metadata: {name: not-ours}}\n");
	write_file(&w, "j.json",
	           "{\"apiVersion\": \"v1\", \"kind\": \"Service\", \"metadata\": {\"name\": \"j\", \"namespace\": \"n\"}, \"spec\": "
	           "{\"clusterIP\": \"10.0.0.1\"}}");
	write_file(&w, "notes.txt", SVC("no", "80"));
	write_file(&w, ".hidden.yaml", SVC("no", "80"));
	path_of(&w, "sub", sub);
	assert_int_equal(mkdir(sub, 0755), 0);
	write_file(&w, "sub/s.yaml", SVC("s", "80"));
	world_open(&w);
	expect(&w, "+Service/n/b\n+Service/n/c\n+Service/n/j\n+Service/n/l\n+Service/n/s\nsynced\n");
	world_end(&w);
}

static void test_edits(void **state)
{
	(void)state;
	struct world w;
	world_make(&w);
	write_file(&w, "a.yaml", SVC("a", "80") "---\n" SVC("b", "80"));
	world_open(&w);
	forget(&w);
	write_file(&w, "a.yaml", SVC("a", "81") "---\n" SVC("b", "80")); /* truncate and write: only what differs */
	assert_true(hear(&w, "+Service/n/a") < 1000);
	expect(&w, "+Service/n/a\n");
	write_file(&w, ".a.yaml.tmp", SVC("a", "82") "---\n" SVC("b", "80")); /* written aside and renamed */
	move_file(&w, ".a.yaml.tmp", "a.yaml");
	hear(&w, "+Service/n/a");
	expect(&w, "+Service/n/a\n");
	write_file(&w, "a.yaml", "# a remark\n" SVC("a", "82") "---\n" SVC("b", "80"));
	quiet(&w, 100);
	move_file(&w, "a.yaml", "z.yaml"); /* the same objects under another name: nothing to say */
	quiet(&w, 200);
	move_file(&w, "z.yaml", "z.yaml~"); /* an editor that puts the old one aside and writes anew: never a moment without */
	write_file(&w, "z.yaml", SVC("a", "83") "---\n" SVC("b", "80"));
	hear(&w, "+Service/n/a");
	cox_loop_run_until(w.loop, never, NULL, 100);
	expect(&w, "+Service/n/a\n");
	write_file(&w, "z.yaml", SVC("b", "80")); /* a document goes */
	hear(&w, "-Service/n/a");
	expect(&w, "-Service/n/a\n");
	delete_file(&w, "z.yaml");
	hear(&w, "-Service/n/b");
	expect(&w, "-Service/n/b\n");
	world_end(&w);
}

static void test_bad_documents_keep_the_last_good(void **state)
{
	(void)state;
	struct world w;
	world_make(&w);
	write_file(&w, "a.yaml", SVC("a", "80") "---\n" GOOD_VS("v") "---\n" SVC("b", "80"));
	world_open(&w);
	forget(&w);
	/* A value that is wrong: reported with file and field, the rest of the file counts. */
	write_file(&w, "a.yaml", SVC("a", "81") "---\n" BAD_VS("v") "---\n" BAD_VS("new") "---\n" SVC("b", "81"));
	hear(&w, "+Service/n/b");
	assert_non_null(strstr(cox_buf_cstr(&w.heard), "!a.yaml:6 spec.http[0].timeout kept\n"));
	assert_non_null(strstr(cox_buf_cstr(&w.heard), "!a.yaml:11 spec.http[0].timeout\n"));
	assert_non_null(strstr(cox_buf_cstr(&w.heard), "+Service/n/a\n"));
	assert_null(strstr(cox_buf_cstr(&w.heard), "VirtualService"));
	forget(&w);
	/* No YAML at all: nobody can say what it was, so nothing goes. */
	write_file(&w, "a.yaml", SVC("a", "82") "---\nkind: [VirtualService\n---\n" SVC("b", "81"));
	hear(&w, "+Service/n/a");
	assert_null(strstr(cox_buf_cstr(&w.heard), "-"));
	assert_non_null(strstr(cox_buf_cstr(&w.heard), " kept"));
	forget(&w);
	/* Mended, and without it: now it goes. */
	write_file(&w, "a.yaml", SVC("a", "82") "---\n" SVC("b", "81"));
	hear(&w, "-VirtualService/n/v");
	expect(&w, "!unknown// is fine\n-VirtualService/n/v\n");
	world_end(&w);
}

/* What was wrong and is no longer is taken back, also where the object did not change in between. covers: b35 */
static void test_reports_are_taken_back(void **state)
{
	(void)state;
	struct world w;
	world_make(&w);
	write_file(&w, "a.yaml", GOOD_VS("v"));
	write_file(&w, "b.yaml", SVC("b", "80"));
	world_open(&w);
	forget(&w);
	write_file(&w, "a.yaml", BAD_VS("v"));
	hear(&w, "!a.yaml:1 spec.http[0].timeout kept");
	forget(&w);
	write_file(&w, "a.yaml", GOOD_VS("v"));
	hear(&w, "!VirtualService/n/v is fine");
	expect(&w, "!VirtualService/n/v is fine\n");
	write_file(&w, "a.yaml", "kind: [\n");
	hear(&w, "kept");
	forget(&w);
	delete_file(&w, "a.yaml");
	hear(&w, "-VirtualService/n/v");
	expect(&w, "!unknown// is fine\n-VirtualService/n/v\n");
	world_end(&w);
}

static void guess(const char *text, const char *want)
{
	struct cox_dir_guess g = cox_dir_guess_object(cox_str_of(text));
	char got[200];
	snprintf(got, sizeof(got), "%.*s|%.*s|%.*s|%.*s", COX_FMT(g.api_version), COX_FMT(g.kind), COX_FMT(g.ns), COX_FMT(g.name));
	assert_string_equal(got, want);
}

static void test_guess_of_an_identity(void **state)
{
	(void)state;
	guess(BAD_VS("v") "  - [", "networking.istio.io/v1|VirtualService|n|v");
	guess("{\"kind\": \"Service\", \"apiVersion\": \"v1\", \"metadata\": {\"name\": \"x\", ", "v1|Service||x");
	guess("# kind of thing\nkind: Service\nname: other\nmetadata:\n  namespace: 'ns'\n  name: \"a-b.c\"\n", "|Service|ns|a-b.c");
	guess("", "|||");
	guess("metadata", "|||");
	guess("kind", "|||");
	guess("kind:", "|||");
	guess("metadata: {name", "|||");
}

static void test_one_object_in_two_files(void **state)
{
	(void)state;
	struct world w;
	world_make(&w);
	write_file(&w, "a.yaml", SVC("x", "80"));
	write_file(&w, "b.yaml", SVC("x", "90"));
	world_open(&w);
	expect(&w, "!b.yaml:1 metadata.name kept\n+Service/n/x\nsynced\n");
	write_file(&w, "c.yaml", SVC("y", "80"));
	hear(&w, "+Service/n/y");
	expect(&w, "+Service/n/y\n"); /* reported once */
	delete_file(&w, "a.yaml");
	hear(&w, "+Service/n/x");
	expect(&w, "+Service/n/x\n"); /* b.yaml's takes its place: changed, never gone */
	world_end(&w);
}

static void link_to(const struct world *w, const char *target, const char *name)
{
	char path[256];
	path_of(w, name, path);
	assert_int_equal(symlink(target, path), 0);
}

static void make_dir(const struct world *w, const char *name)
{
	char path[256];
	path_of(w, name, path);
	assert_int_equal(mkdir(path, 0755), 0);
}

/* As the kubelet mounts a ConfigMap: files are links into ..data, which is a link that is swapped. */
static void test_config_map_mount(void **state)
{
	(void)state;
	struct world w;
	world_make(&w);
	make_dir(&w, "..one");
	write_file(&w, "..one/mesh.yaml", SVC("a", "80"));
	link_to(&w, "..one", "..data");
	link_to(&w, "..data/mesh.yaml", "mesh.yaml");
	world_open(&w);
	expect(&w, "+Service/n/a\nsynced\n");
	make_dir(&w, "..two");
	write_file(&w, "..two/mesh.yaml", SVC("a", "81"));
	quiet(&w, 100);
	link_to(&w, "..two", "..data_tmp");
	move_file(&w, "..data_tmp", "..data");
	hear(&w, "+Service/n/a");
	cox_loop_run_until(w.loop, never, NULL, 100);
	expect(&w, "+Service/n/a\n");
	world_end(&w);
}

static void test_directory_goes_and_comes(void **state)
{
	(void)state;
	struct world w;
	char aside[80];
	world_make(&w);
	make_dir(&w, "sub");
	write_file(&w, "sub/s.yaml", SVC("s", "80"));
	write_file(&w, "a.yaml", SVC("a", "80"));
	world_open(&w);
	forget(&w);
	move_file(&w, "sub", ".gone");
	hear(&w, "-Service/n/s");
	expect(&w, "-Service/n/s\n");
	snprintf(aside, sizeof(aside), "%s.aside", w.dir);
	assert_int_equal(rename(w.dir, aside), 0);
	hear(&w, "stale 1");
	expect(&w, "stale 1\n"); /* nothing is emptied */
	assert_int_equal(rename(aside, w.dir), 0);
	hear(&w, "stale 0");
	cox_loop_run_until(w.loop, never, NULL, 100);
	expect(&w, "stale 0\n");
	write_file(&w, "a.yaml", SVC("a", "81"));
	hear(&w, "+Service/n/a");
	world_end(&w);
}

static void test_load(void **state)
{
	(void)state;
	struct world w;
	char path[256];
	struct cox_err err;
	world_make(&w);
	struct cox_source_sink sink = sink_of(&w);
	write_file(&w, "a.yaml", SVC("a", "80") "---\n" BAD_VS("v"));
	write_file(&w, "b.yaml", SVC("b", "80"));
	assert_int_equal(cox_dir_load(w.dir, &sink, NULL), COX_OK);
	expect(&w, "!a.yaml:6 spec.http[0].timeout\n+Service/n/a\n+Service/n/b\nsynced\n");
	path_of(&w, "b.yaml", path);
	assert_int_equal(cox_dir_load(path, &sink, NULL), COX_OK);
	expect(&w, "+Service/n/b\nsynced\n");
	path_of(&w, "none", path);
	assert_int_equal(cox_dir_load(path, &sink, &err), COX_ENOTFOUND);
	expect(&w, "");
	assert_int_equal(cox_dir_source_open(w.loop, path, &sink, &w.source, &err), COX_ENOTFOUND);
	world_end(&w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_first_read),
		cmocka_unit_test(test_edits),
		cmocka_unit_test(test_bad_documents_keep_the_last_good),
		cmocka_unit_test(test_reports_are_taken_back),
		cmocka_unit_test(test_guess_of_an_identity),
		cmocka_unit_test(test_one_object_in_two_files),
		cmocka_unit_test(test_config_map_mount),
		cmocka_unit_test(test_directory_goes_and_comes),
		cmocka_unit_test(test_load),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
