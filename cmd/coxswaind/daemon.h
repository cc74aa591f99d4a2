/*
 * daemon - what the parts of coxswaind share: one struct, owned by the main thread. stages.c starts and ends the parts in the order of the
 * data; stage_*.c hold the larger ones. Config loop only, unless said otherwise.
 */
#ifndef COX_COXSWAIND_DAEMON_H
#define COX_COXSWAIND_DAEMON_H

#include "findings.h"
#include "saved.h"
#include "secrets.h"
#include "stages.h"

#include "admin/admin.h"
#include "ca/authority.h"
#include "ca/revocation.h"
#include "convert/convert.h"
#include "enroll/enroll.h"
#include "kube/client.h"
#include "loop/signal.h"
#include "loop/timer.h"
#include "loop/work.h"
#include "deploy/deploy.h"
#include "push/push.h"
#include "source/dir_source.h"
#include "source/kube_source.h"
#include "status/converge.h"
#include "status/lead.h"
#include "status/status.h"
#include "xds/server.h"

struct daemon {
	struct flags flags;
	struct cox_loop *loop; /* the config loop: the main thread's */
	struct cox_registry *registry;
	struct cox_convert *convert;
	struct cox_push *push;
	struct cox_ledger *ledger;            /* NULL: nothing is recorded or revoked */
	struct serve *serve;                  /* stage_serve.c */
	void (*on_blocked)(struct daemon *d); /* something was revoked; NULL: nobody looks */
	struct cox_enroll *enroll;            /* workloads that register themselves */
	struct cox_xds_server *xds;
	struct cox_admin *admin;
	struct cox_ca_processes *ca_processes; /* until the stage takes them */
	struct cox_ca *ca;                     /* NULL: ENABLE_CA_SERVER=false */
	struct external_ca *external_ca;       /* external_ca.c; NULL: the CA is our own */
	struct trust *trust;                   /* stage_trust.c */
	struct webhook *webhook;               /* stage_webhook.c; NULL: off */
	struct federation *federation;         /* stage_federation.c */
	struct cox_timer *ca_timer;
	struct cox_buf trust_domain; /* that the CA was told */
	struct cox_kube_client *kube;
	struct cox_kube_source *kube_source;
	struct cox_dir_source *dir_source;
	struct cox_status *status;       /* with a kube-apiserver only */
	struct cox_converge *converge;   /* COXSWAIN_DISTRIBUTION */
	struct cox_addresses *addresses; /* PILOT_ENABLE_IP_AUTOALLOCATE */
	struct cox_deploy *deploy;       /* PILOT_ENABLE_GATEWAY_API_DEPLOYMENT_CONTROLLER */
	struct cox_lead *lead;           /* which jobs of all replicas are ours */
	struct findings *findings;
	struct gateway_names *gateway_names; /* RESOLVE_HOSTNAME_GATEWAYS; NULL: off */
	struct saved *saved;                 /* saved.c; NULL: --snapshotDir is not given */
	struct budget *budget;               /* budget.c; NULL: no limit */
	struct secrets *secrets;             /* what proxies need of the kube-apiserver for their secrets */
	struct invalid *invalid;
	struct cox_buf reported;      /* the object of the last report: its put, which follows, does not clear what was said */
	struct cox_work_pool *enders; /* closes what would wait for this loop */
	struct cox_signal *on_term, *on_int;
	struct cox_timer *drain_timer;
	int64_t drain_until_ms;
	bool is_ending, has_released;
	int exit_status;
	struct cox_hash ca_mesh_told; /* the mesh configuration whose caCertificates were spoken of */
	struct cox_hash discovery;    /* of the mesh whose discoverySelectors are in force */
	struct cox_buf mesh_yaml, networks_yaml;
	struct mesh_file *mesh_file; /* mesh_file.c; NULL: no --meshConfig */
	char source_name[32];
};

#endif
