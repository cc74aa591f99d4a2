//go:build tools

// Package istio pins the programs that judge ours.
package istio

import (
	_ "helm.sh/helm/v3/cmd/helm"
	_ "istio.io/istio/istioctl/cmd/istioctl"
	_ "istio.io/istio/pilot/cmd/pilot-agent"
	_ "istio.io/istio/pilot/cmd/pilot-discovery"
)
