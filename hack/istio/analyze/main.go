// Judge of lib/analyze: Istio's own analyzers on files that hold the whole mesh, Pods and Services too, which istioctl takes from a cluster only.
// usage: judge-analyze [--mesh FILE] FILE...     prints one line a message: "CODE KIND NS/NAME"
package main

import (
	"fmt"
	"os"
	"sort"

	"istio.io/istio/pkg/config/analysis/analyzers"
	"istio.io/istio/pkg/config/analysis/local"
	"istio.io/istio/pkg/config/resource"
)

func check(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func main() {
	all := local.NewIstiodAnalyzer(analyzers.AllCombined(), "", resource.Namespace("istio-system"), nil)
	args := os.Args[1:]
	if len(args) > 1 && args[0] == "--mesh" {
		check(all.AddFileKubeMeshConfig(args[1]))
		args = args[2:]
	}
	if len(args) > 1 && args[0] == "--networks" {
		check(all.AddFileKubeMeshNetworks(args[1]))
		args = args[2:]
	}
	var sources []local.ReaderSource
	for _, name := range args {
		f, err := os.Open(name)
		check(err)
		sources = append(sources, local.ReaderSource{Name: name, Reader: f})
	}
	check(all.AddTestReaderKubeSource(sources))
	stop := make(chan struct{})
	defer close(stop)
	result, err := all.Analyze(stop)
	check(err)
	var lines []string
	for _, m := range result.Messages {
		of := "-"
		if m.Resource != nil {
			of = m.Resource.Origin.FriendlyName()
		}
		lines = append(lines, m.Type.Code()+" "+of)
	}
	sort.Strings(lines)
	for _, line := range lines {
		fmt.Println(line)
	}
}
