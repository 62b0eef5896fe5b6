package main

import (
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"trunkline/internal/freeport"
	"trunkline/internal/testnet"
)

// scraper is a real Prometheus.
type scraper struct {
	t    testing.TB
	addr string
}

// job is its targets' addresses by its name.
type job struct {
	name  string
	addrs []string
}

const scrapeEvery = time.Second

// startPrometheus scrapes jobs, with our rules, until the test ends.
func startPrometheus(t *testing.T, jobs []job, flags ...string) *scraper {
	t.Helper()
	path, dir := program(t, "prometheus"), t.TempDir()
	rules, err := filepath.Abs("rules")
	if err != nil {
		t.Fatal(err)
	}
	conf := fmt.Sprintf("global: {scrape_interval: %v, evaluation_interval: 1s}\nrule_files: [%s/*.yml]\nscrape_configs:\n", scrapeEvery, rules)
	targets := 0
	for _, j := range jobs {
		conf += fmt.Sprintf("- {job_name: %s, static_configs: [{targets: [%s]}]}\n", j.name, strings.Join(j.addrs, ", "))
		targets += len(j.addrs)
	}
	file := filepath.Join(dir, "prometheus.yml")
	if err := os.WriteFile(file, []byte(conf), 0o600); err != nil {
		t.Fatal(err)
	}
	p := &scraper{t: t, addr: freeAddr(t)}
	log, err := os.Create(filepath.Join(dir, "log"))
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(path, append(flags, "--config.file="+file, "--storage.tsdb.path="+filepath.Join(dir, "data"), "--web.listen-address="+p.addr, "--log.level=warn")...)
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM) // gone already: Wait says so
		err := cmd.Wait()
		log.Close()
		if said, _ := os.ReadFile(log.Name()); err != nil || t.Failed() {
			t.Logf("prometheus: %v\n%s", err, said)
		}
	})
	testnet.Eventually(t, "Prometheus is ready", func() error { _, err := get(p.addr, "/-/ready"); return err })
	// What happens before the first scrape is in no rate.
	testnet.Eventually(t, "Prometheus has been everywhere", func() error {
		up, err := p.query("up == 1")
		if err == nil && len(up) != targets {
			err = fmt.Errorf("up: %v", up)
		}
		return err
	})
	return p
}

// freeAddr is a loopback address for a server that cannot choose one itself.
func freeAddr(t testing.TB) string {
	t.Helper()
	ports, err := freeport.Find(1)
	if err != nil {
		t.Fatal(err)
	}
	return net.JoinHostPort("127.0.0.1", ports[0])
}

func get(addr, path string) (*http.Response, error) {
	resp, err := http.Get("http://" + addr + path)
	if err != nil {
		return nil, err
	}
	if resp.StatusCode != http.StatusOK {
		resp.Body.Close()
		return nil, fmt.Errorf("%s: %s", path, resp.Status)
	}
	return resp, nil
}

// ask decodes an answer of the API.
func (p *scraper) ask(path string, into any) error {
	resp, err := http.Get("http://" + p.addr + "/api/v1/" + path)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	var a struct {
		Status, Error string
		Data          json.RawMessage
	}
	if err := json.NewDecoder(resp.Body).Decode(&a); err != nil {
		return err
	}
	if a.Status != "success" {
		return fmt.Errorf("%s: %s", path, a.Error)
	}
	return json.Unmarshal(a.Data, into)
}

type sample struct {
	Metric map[string]string
	Value  []any
}

// query is an instant query's result.
func (p *scraper) query(expr string) (out []sample, err error) {
	var v struct{ Result []sample }
	err = p.ask("query?query="+url.QueryEscape(expr), &v)
	return v.Result, err
}

// ruleHealth is what Prometheus says of each rule's last evaluation.
func (p *scraper) ruleHealth() (map[string]string, error) {
	var v struct {
		Groups []struct {
			Rules []struct{ Name, Health, LastError string }
		}
	}
	err := p.ask("rules", &v)
	out := make(map[string]string)
	for _, g := range v.Groups {
		for _, r := range g.Rules {
			out[r.Name] = strings.TrimSpace(r.Health + " " + r.LastError)
		}
	}
	return out, err
}

// asGrafana puts in what Grafana would: everything is selected.
func asGrafana(expr string) string {
	return strings.NewReplacer("$__rate_interval", "5m", "$job", ".+", "$instance", ".+").Replace(expr)
}
