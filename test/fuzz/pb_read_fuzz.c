/* Any bytes through the cursor, nested messages, packed runs and map entries included, as xds reads a request. */
#include "codec/pb_read.h"

static void walk(struct cox_pb_reader *r, unsigned budget)
{
	struct cox_pb_field f;
	while (cox_pb_next(r, &f)) {
		if (f.wire != COX_PB_BYTES)
			continue;
		struct cox_str run = f.bytes, key, value;
		struct cox_pb_reader inner = cox_pb_as_message(r, &f), other = inner;
		uint64_t v;
		while (cox_pb_unpack_varint(&inner, &run, &v))
			;
		inner = cox_pb_as_message(r, &f);
		if (budget != 0)
			walk(&inner, budget - 1);
		(void)!cox_pb_finish(&inner, NULL);
		cox_pb_as_str_entry(&other, &f, &key, &value);
		(void)cox_pb_as_str(&other, &f);
		cox_pb_adopt(&inner, &other);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct cox_pb_reader r = cox_pb_reader(cox_str_make(data, size));
	struct cox_err err;
	walk(&r, 4);
	if (cox_pb_finish(&r, &err) != COX_OK)
		COX_ASSERT(r.what_at <= size && r.what != NULL);
	return 0;
}
