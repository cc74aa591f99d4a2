//go:build tools

// Package kube pins the real Kubernetes programs that the tests run against;
// nothing here is compiled into Coxswain.
package kube

import (
	_ "k8s.io/kubernetes/cmd/kube-apiserver"
	_ "k8s.io/kubernetes/cmd/kube-controller-manager"
	_ "k8s.io/kubernetes/cmd/kubectl"
)
