package loadtest_test

import "testing"

// Three relays are restarted in turn while staff browse and download through any
// of them that is ready: the PBXs are all back, and whatever arrives is as it was
// sent. That none is lost is not judged here, where other tests have the processors
// and some drains come to their deadline: the short cluster test does that, which
// `make test` runs too.
func TestRollingRestart(t *testing.T) {
	r := run(t, t.Context(), `
name: rolling
about: Three relays are restarted in turn under 30 PBXs.
devices: 30
visits: 20
relays: 3
entry: any
warmup: 1s
duration: 20s
traffic:
  - {kind: page, rate: 10, size: 4KiB, assets: 3, asset_size: 8KiB}
  - {kind: download, rate: 1, size: 2MiB}
  - {kind: upload, rate: 1, size: 256KiB}
events:
  - {at: 1s, restart: all}
thresholds:
  - error_ratio <= 10%
  - page.ok > 0
  - download.ok > 0
  - upload.ok > 0
  - lost == 0
  - duplicated == 0
  - corrupted == 0
  - tunnels_last >= 30
`)
	t.Logf("errors: %v", r.Total("").Errors)
	for _, e := range r.Events {
		t.Logf("%.1f s: %s", e.At, e.Text)
	}
}
