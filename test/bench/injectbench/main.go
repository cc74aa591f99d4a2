// Pods sent to an injector's webhook over TLS, as a kube-apiserver sends them: first as fast as CONNECTIONS connections can (what one
// core does in a second), then at a fixed rate, where what a review waits behind others counts (p50, p99).
package main

import (
	"bytes"
	"crypto/tls"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"sort"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

const pod = `{"apiVersion":"v1","kind":"Pod","metadata":{"generateName":"web-7d4b9c-","labels":{"app":"web","version":"v1","pod-template-hash":"7d4b9c"},` +
	`"annotations":{"prometheus.io/scrape":"true","prometheus.io/port":"9090"},"ownerReferences":[{"apiVersion":"apps/v1","kind":"ReplicaSet","name":"web-7d4b9c","uid":"u","controller":true}]},` +
	`"spec":{"serviceAccountName":"web","containers":[{"name":"app","image":"web:1","ports":[{"containerPort":8080,"name":"http"}],"env":[{"name":"A","value":"1"},{"name":"B","value":"2"}],` +
	`"readinessProbe":{"httpGet":{"path":"/ok","port":"http"}},"livenessProbe":{"tcpSocket":{"port":8080}},"resources":{"requests":{"cpu":"100m","memory":"64Mi"}},` +
	`"volumeMounts":[{"name":"kube-api-access","mountPath":"/var/run/secrets/kubernetes.io/serviceaccount","readOnly":true}]},{"name":"side","image":"side:2"}],` +
	`"volumes":[{"name":"kube-api-access","projected":{"sources":[{"serviceAccountToken":{"expirationSeconds":3607,"path":"token"}},{"configMap":{"name":"kube-root-ca.crt"}}]}}]}}`

func review(n int) []byte {
	return []byte(fmt.Sprintf(`{"apiVersion":"admission.k8s.io/v1","kind":"AdmissionReview","request":{"uid":"%d","kind":{"group":"","version":"v1","kind":"Pod"},`+
		`"resource":{"group":"","version":"v1","resource":"pods"},"operation":"CREATE","namespace":"shop","object":%s}}`, n, pod))
}

type client struct {
	http *http.Client
	url  string
	bad  atomic.Int64
}

// One review; the answer must allow the pod and change it.
func (c *client) ask(n int) time.Duration {
	began := time.Now()
	r, err := c.http.Post(c.url, "application/json", bytes.NewReader(review(n)))
	if err != nil {
		c.bad.Add(1)
		fmt.Fprintln(os.Stderr, err)
		return time.Since(began)
	}
	body, err := io.ReadAll(r.Body)
	r.Body.Close()
	took := time.Since(began)
	var answer struct {
		Response struct {
			UID     string
			Allowed bool
			Patch   []byte
			Status  struct{ Message string }
		}
	}
	if err != nil || json.Unmarshal(body, &answer) != nil || !answer.Response.Allowed || answer.Response.UID != fmt.Sprint(n) || !strings.Contains(string(answer.Response.Patch), "istio-proxy") {
		if c.bad.Add(1) == 1 {
			fmt.Fprintf(os.Stderr, "%d: %.600s\n", r.StatusCode, body)
		}
	}
	return took
}

func cpu(pid int) float64 {
	raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0
	}
	fields := strings.Fields(string(raw[bytes.LastIndexByte(raw, ')')+2:]))
	var u, s float64
	fmt.Sscan(fields[11], &u)
	fmt.Sscan(fields[12], &s)
	return (u + s) / 100
}

func percentile(all []time.Duration, p float64) float64 {
	return float64(all[min(len(all)-1, int(float64(len(all))*p))].Microseconds()) / 1000
}

func main() {
	url := flag.String("url", "", "the webhook's /inject")
	connections := flag.Int("connections", 8, "")
	count := flag.Int("count", 20000, "reviews as fast as they go")
	rate := flag.Int("rate", 1000, "reviews a second")
	seconds := flag.Int("seconds", 10, "at that rate")
	pid := flag.Int("pid", 0, "the server's process")
	name := flag.String("name", "", "before each figure's name")
	flag.Parse()
	c := &client{url: *url, http: &http.Client{Timeout: 20 * time.Second, Transport: &http.Transport{
		TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, MaxIdleConnsPerHost: 4 * *connections, MaxConnsPerHost: 4 * *connections}}}
	for i := 0; i < 200; i++ {
		c.ask(i)
	}
	var next atomic.Int64
	var wg sync.WaitGroup
	began, used := time.Now(), cpu(*pid)
	for i := 0; i < *connections; i++ {
		wg.Add(1)
		go func() {
			defer wg.Done()
			for n := next.Add(1); n <= int64(*count); n = next.Add(1) {
				c.ask(int(n))
			}
		}()
	}
	wg.Wait()
	used = cpu(*pid) - used
	fmt.Printf("%-34s %10.0f\n", *name+"reviews_per_s", float64(*count)/time.Since(began).Seconds())
	fmt.Printf("%-34s %10.3f\n", *name+"cpu_ms_per_review", used*1000/float64(*count))

	// The time runs from when a review was due, not from when it could be sent: waiting counts.
	all := make([]time.Duration, *rate**seconds)
	began = time.Now()
	for i := range all {
		due := began.Add(time.Duration(i) * time.Second / time.Duration(*rate))
		time.Sleep(time.Until(due))
		wg.Add(1)
		go func(i int) {
			defer wg.Done()
			c.ask(i)
			all[i] = time.Since(due)
		}(i)
	}
	wg.Wait()
	sort.Slice(all, func(a, b int) bool { return all[a] < all[b] })
	fmt.Printf("%-34s %10.3f\n", fmt.Sprintf("%sat_%d_per_s_p50_ms", *name, *rate), percentile(all, .5))
	fmt.Printf("%-34s %10.3f\n", fmt.Sprintf("%sat_%d_per_s_p99_ms", *name, *rate), percentile(all, .99))
	fmt.Printf("%-34s %10.3f\n", fmt.Sprintf("%sat_%d_per_s_max_ms", *name, *rate), percentile(all, 1))
	if n := c.bad.Load(); n > 0 {
		fmt.Fprintf(os.Stderr, "injectbench: %d reviews were not answered with a patch\n", n)
		os.Exit(1)
	}
}
