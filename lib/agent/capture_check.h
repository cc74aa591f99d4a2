/*
 * capture_check - whether a pod's traffic is captured: asked in an init container where a CNI plug-in programs the rules
 * (`istio-iptables --run-validation --skip-rule-apply`), so that a pod whose plug-in failed does not start unprotected.
 * Blocks for some seconds; has no loop. Must run as the proxy's user: what that user sends to the pod's own address goes the inbound way.
 */
#ifndef COX_AGENT_CAPTURE_CHECK_H
#define COX_AGENT_CAPTURE_CHECK_H

#include "base/err.h"

enum { COX_AGENT_CAPTURE_CHECK_EXIT = 126 }; /* the exit status by which a CNI plug-in's repair knows such pods */

/* Listens where inbound connections are redirected to, opens one to each of the pod's own addresses (of each family that it has), at a
 * port where nobody listens, and looks whether it arrives, with its first destination known to the kernel. COX_EDENIED: none came within
 * `timeout_ms`: nothing is captured. COX_EIO: it could not be tried (the port is taken, there is no address). */
COX_MUST_USE enum cox_rc cox_agent_capture_verify(uint16_t inbound_port, int64_t timeout_ms, struct cox_err *err);

#endif
