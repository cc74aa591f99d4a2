/* flags - the command line of `coxswaind discovery`: istiod's names where they mean the same (protocol facts, section 1). */
#ifndef COXSWAIND_FLAGS_H
#define COXSWAIND_FLAGS_H

#include "base/err.h"
#include "net/addr.h"

struct flags {
	const char *kubeconfig, *config_dir, *ca_dir, *mesh_config, *networks_config, *domain, *cluster_id, *ns, *revision;
	const char *tls_cert_file, *tls_key_file, *ca_cert_file;
	struct cox_addr grpc, secure_grpc, https, http, monitoring, ctrlz;
	bool has_grpc, has_secure_grpc, has_https, has_http, has_monitoring, has_ctrlz;
	int64_t max_age_ms, shutdown_ms;
	const char *ctrlz_address;
	int64_t ctrlz_port;
	int64_t stream_loops;
	double kube_qps;
	int64_t kube_burst, list_limit;
	const char *memory_limit, *snapshot_dir;
	const char *log_levels;
	bool log_json;
};
/* Fills *out with defaults and what argv says. COX_EINVAL: *err names the flag. `warnings` is called for flags of istiod that have no
 * effect here. */
COX_MUST_USE enum cox_rc flags_parse(int argc, char **argv, struct flags *out, struct cox_err *err);
/* All flags with their meaning. */
void flags_print(void);

#endif
