/* Whatever a credential plug-in prints: credentials, or an error that says what is wrong with them. covers: b42 */
#include "kube/exec_priv.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct cox_kube_exec_result r = { 0 };
	struct cox_err err = { 0 };
	enum cox_rc rc = cox_kube_exec_result_parse(cox_str_make(data, size), COX_STR("client.authentication.k8s.io/v1"), &r, &err);
	if ((rc == COX_OK) != (r.token.n > 0 || r.cert_pem.n > 0) || (rc != COX_OK && !err.text[0]))
		abort();
	if ((r.cert_pem.n > 0) != (r.key_pem.n > 0))
		abort();
	cox_kube_exec_result_fini(&r);
	return 0;
}
