/* Any text as a kubeconfig, and as what an exec plug-in prints. covers: b42 */
#include "kube/exec_priv.h"
#include "kube/kubeconfig.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct cox_kube_config c;
	struct cox_err err = { 0 };
	struct cox_str text = cox_str_make(data, n);
	if (cox_kube_config_parse(&c, text, "/d/config", COX_STR(""), &err) == COX_OK)
		COX_ASSERT(c.server.n > 7 && c.source.n);
	else
		COX_ASSERT(err.text[0]);
	cox_kube_config_fini(&c);
	struct cox_kube_exec_result r = { 0 };
	if (cox_kube_exec_result_parse(text, COX_STR("client.authentication.k8s.io/v1"), &r, &err) == COX_OK)
		COX_ASSERT(r.token.n || r.cert_pem.n);
	cox_kube_exec_result_fini(&r);
	return 0;
}
