package testnet_test

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"path/filepath"
	"strings"
	"testing"

	"trunkline/internal/testnet"
)

const prometheusConf = `
global: {scrape_interval: 1s}
scrape_configs:
- job_name: itself
  static_configs: [{targets: [%q]}]
`

// Prometheus' own UI behind the agent: scripts, styles, queries.
func TestPrometheus(t *testing.T) {
	path, dir, addr := need(t, "prometheus"), t.TempDir(), freeAddr(t)
	need(t, "chromium")
	conf := filepath.Join(dir, "prometheus.yml")
	write(t, conf, fmt.Sprintf(prometheusConf, addr))
	serve(t, "http://"+addr+"/-/ready", path, "--config.file="+conf, "--storage.tsdb.path="+filepath.Join(dir, "data"),
		"--web.listen-address="+addr, "--log.level=warn")
	w := testnet.Start(t, nil)
	pbx := w.Connect("PROM0001", "http://"+addr)
	p := person(t, startChromium(t, w))
	site := p.visits(t, w, pbx)

	// Debian ships the classic UI, and "/" leads there.
	p.sees("textarea.expression_input")
	if got := read[string](p, "location.href"); got != site+"/classic/graph" {
		t.Errorf("the UI is at %s", got)
	}
	w.Eventually("Prometheus has looked at itself", func() error { return scraped(addr) })
	p.types("textarea.expression_input", "up")
	w.Eventually("Prometheus is up by its own account", func() error { // not while its last look took too long
		p.click(".execute_btn")
		if !read[bool](p, `/^up\{.*job="itself"\}1$/.test(document.querySelector(".console_table tbody tr")?.textContent)`) {
			return errors.New("it does not say so")
		}
		return nil
	})
	p.shots("prometheus")
	p.open(site + "/classic/targets")
	p.becomes(`document.readyState === "complete" && document.body.textContent.includes("` + addr + `")`)
	// Debian's popper.js is an ES module loaded as a script: both fail without us too.
	p.forgive("SyntaxError: Unexpected token 'export'")
	p.forgive("Bootstrap's tooltips require Popper")
	p.clean()
}

// scraped asks Prometheus itself, with no relay between.
func scraped(addr string) error {
	resp, err := http.Get("http://" + addr + "/api/v1/query?query=up")
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err == nil && !strings.Contains(string(b), `"1"`) {
		err = errors.New("not yet")
	}
	return err
}
