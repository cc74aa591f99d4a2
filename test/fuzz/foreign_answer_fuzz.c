/* What a CA elsewhere answers: the message of its gRPC service (first byte even), or a CertificateSigningRequest of the kube-apiserver.
 * Whatever it is, nothing is believed: nobody here holds a key under the root that counts, so that no certificate can be right. */
#include "ca/foreign_priv.h"

#include "ca/csr_request.h"
#include "ca/kube_signer_priv.h"

#include <stdlib.h>

static const char root[] = "-----BEGIN CERTIFICATE-----\n"
                           "MIIBgzCCASmgAwIBAgIUERKYfI1V/HtXt6o0Re6hbszdoSwwCgYIKoZIzj0EAwIw\n"
                           "DzENMAsGA1UEAwwEcm9vdDAeFw0yNjExMjUyMzU4MDFaFw0zNTAyMTEyMzU4MDFa\n"
                           "MA8xDTALBgNVBAMMBHJvb3QwWTATBgcqhkjOPQIBBggqhkjOPQMBBwNCAATXfz/T\n"
                           "56Y4u0NqjAdHpr+WCMN5PbdXIavKmRPwZoHNY4zQOw8Kw5gfLtF6gJNLd5mKzTij\n"
                           "0jbjDY4WuaqL28ffo2MwYTAdBgNVHQ4EFgQUYJqgVphHe7e63ootsgiljpBW3gEw\n"
                           "HwYDVR0jBBgwFoAUYJqgVphHe7e63ootsgiljpBW3gEwDwYDVR0TAQH/BAUwAwEB\n"
                           "/zAOBgNVHQ8BAf8EBAMCAgQwCgYIKoZIzj0EAwIDSAAwRQIhAL81TUzn13Cnr667\n"
                           "E/UTeSWQbRJgdbw/k4aVkO1mY8G6AiAa7dpo5z3rpIulH24aM+L96GCUai4fbSP1\n"
                           "gTW5V6eruw==\n"
                           "-----END CERTIFICATE-----\n";

static void believe(struct cox_str pem, struct cox_arena *arena)
{
	static const struct cox_str uri = COX_STR_INIT("spiffe://cluster.local/ns/default/sa/web");
	const struct cox_ca_request r = { .uris = &uri, .uri_n = 1, .spki_der = COX_STR("x") };
	struct cox_cert_info info;
	struct cox_str leaf, chain;
	struct cox_err err = { 0 };
	if (foreign_check_cert(&r, pem, cox_str_of(root), 1800000000, arena, &info, &leaf, &chain, &err) != COX_EPROTO ||
	    err.text[0] == '\0')
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);
int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	struct cox_arena arena = { 0 };
	struct cox_buf pem = { 0 };
	struct cox_err err = { 0 };
	struct cox_str cert;
	if (n == 0)
		return 0;
	struct cox_str text = cox_str_make(p + 1, n - 1);
	if (p[0] % 2 == 0) {
		if (cox_csr_response_read(text, &pem, &err) == COX_OK)
			believe(cox_buf_str(&pem), &arena);
		else if (err.text[0] == '\0')
			abort();
	} else {
		enum cox_rc rc = kube_signer_read(text, &arena, &cert, &err);
		if (rc == COX_OK)
			believe(cert, &arena);
		else if (rc != COX_EAGAIN && (rc != COX_EDENIED || err.text[0] == '\0'))
			abort();
	}
	believe(text, &arena);
	cox_buf_fini(&pem);
	cox_arena_fini(&arena);
	return 0;
}
