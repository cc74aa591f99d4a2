/* Any YAML as a mesh: analysis ends, in bounds, with messages in order and without doubles. A document without kind is the mesh
 * configuration. */
#include "analyze/analyze.h"
#include "base/vec.h"
#include "codec/yaml.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct mesh {
	COX_VEC(struct cox_analyze_doc) docs;
	const struct cox_json *config;
};

static void on_doc(void *arg, struct cox_json *root, struct cox_str text, const struct cox_err *err)
{
	struct mesh *m = arg;
	(void)text, (void)err;
	if (!root || m->docs.n > 100)
		return;
	if (!cox_json_get(root, COX_STR("kind")))
		m->config = root;
	cox_vec_push(&m->docs, ((struct cox_analyze_doc){ .doc = root, .file = COX_STR("fuzz.yaml") }));
}

static void check(struct mesh *m, struct cox_arena *arena, bool is_partial)
{
	struct cox_analyze_options o = {
		.docs = m->docs.p, .doc_n = m->docs.n, .mesh = m->config, .networks = m->config, .is_partial = is_partial
	};
	struct cox_analyze_result out;
	struct cox_buf text = { 0 };
	cox_analyze(&o, arena, &out);
	for (size_t i = 0; i < out.n; i++) {
		if (out.items[i].text.n == 0 || out.items[i].line < 0)
			abort();
		if (i && cox_analyze_code_info(out.items[i].code)->level < cox_analyze_code_info(out.items[i - 1].code)->level)
			abort();
		cox_analyze_write_line(&out.items[i], true, true, &text);
		cox_json_write(&text, cox_analyze_to_json(&out.items[i], true, arena), 1, false);
	}
	cox_buf_fini(&text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct cox_arena arena = { 0 };
	struct mesh m = { 0 };
	if (size < 16384 && cox_yaml_each(&arena, cox_str_make(data, size), 16 << 20, on_doc, &m, NULL) == COX_OK) {
		check(&m, &arena, true);
		check(&m, &arena, false);
	}
	cox_vec_fini(&m.docs);
	cox_arena_fini(&arena);
	return 0;
}
