/* Addresses from flags and annotations, and URLs from configuration: refused or understood, and what is shown parses again. */
#include "net/addr.h"
#include "net/http_client.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);
int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	static struct cox_loop *loop;
	static struct cox_http_client *client;
	struct cox_addr a, b;
	struct cox_err err;
	char shown[400], text[512];
	if (cox_addr_parse(cox_str_make(p, n), &a, &err) == COX_OK) {
		struct sockaddr_storage sa;
		socklen_t len;
		if (cox_addr_parse(cox_str_of(cox_addr_format(&a, shown, sizeof(shown))), &b, NULL) != COX_OK)
			abort();
		if (a.port != b.port || !cox_str_eq_cstr(cox_str_of(a.host), b.host) ||
		    !cox_str_eq_cstr(cox_str_of(a.unix_path), b.unix_path))
			abort();
		if (cox_addr_to_sockaddr(&a, &sa, &len) == COX_OK)
			cox_sockaddr_format(&sa, len, shown, sizeof(shown));
	}
	if (!loop) {
		loop = cox_loop_new("fuzz");
		client = cox_http_client_new(loop);
	}
	cox_str_to_cstr(cox_str_make(p, n), text, sizeof(text));
	struct cox_http_header header = { COX_STR("X-Fuzz"), cox_str_make(p, n) };
	struct cox_http_spec spec = { .url = text, .headers = &header, .header_count = 1 };
	struct cox_http_cb cb = { 0 };
	struct cox_http_request *r = NULL;
	if (cox_http_request_open(client, &spec, &cb, &r, &err) == COX_OK) /* never run: the loop is not turned before the cancel */
		cox_http_request_cancel(&r);
	static int turns;
	if (++turns % 64 == 0) { /* frees what was canceled */
		cox_http_client_free(&client);
		cox_loop_free(&loop);
	}
	return 0;
}
