package report_test

import (
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"

	"trunkline/loadtest/report"
)

func browse(t *testing.T) context.Context {
	t.Helper()
	if testing.Short() {
		t.Skip("starts a browser")
	}
	path, err := exec.LookPath("chromium")
	if err != nil {
		if os.Getenv("CI") != "" {
			t.Fatal("chromium is not installed: run `make test-deps`")
		}
		t.Skip("chromium is not installed: run `make test-deps`")
	}
	opts := append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.ExecPath(path), chromedp.NoSandbox, chromedp.DisableGPU,
		chromedp.Flag("disable-background-networking", true), chromedp.UserDataDir(t.TempDir()))
	ctx, cancel := chromedp.NewExecAllocator(t.Context(), opts...)
	t.Cleanup(cancel)
	ctx, cancel = chromedp.NewContext(ctx)
	t.Cleanup(cancel)
	ctx, cancel = context.WithTimeout(ctx, 60*time.Second)
	t.Cleanup(cancel)
	return ctx
}

func read[T any](t *testing.T, ctx context.Context, expression string) T {
	t.Helper()
	v, err := chromedp.Run(ctx, chromedp.Evaluate[T](expression))
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// On a desk and on a phone, in the light and in the dark: nothing is wider than
// the page, the lines are in sight, and axe finds nothing. With REPORT_SHOTS=DIR
// the page is there as pictures.
func TestPageInABrowser(t *testing.T) {
	ctx := browse(t)
	file := filepath.Join(t.TempDir(), "run.html")
	if err := report.WriteHTML(file, sampleRun{failing: 300}.result()); err != nil {
		t.Fatal(err)
	}
	axe := axeScript(t)
	for _, c := range []struct {
		name, scheme string
		width        int64
	}{{"desk", "light", 1280}, {"phone", "dark", 360}} {
		if err := chromedp.Do(ctx, chromedp.EmulateViewport(c.width, 900), chromedp.Navigate("file://"+file)); err != nil {
			t.Fatal(err)
		}
		scheme := []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: c.scheme}}
		if _, err := chromedp.Call(ctx, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Features: scheme}); err != nil {
			t.Fatal(err)
		}
		if wide := read[float64](t, ctx, "document.documentElement.scrollWidth"); wide > float64(c.width) {
			t.Errorf("%s: %v pixels wide", c.name, wide)
		}
		if n := read[int](t, ctx, `[...document.querySelectorAll("section svg path")].filter(p => p.getBBox().width > 10 && p.getBoundingClientRect().width > 10).length`); n < 12 {
			t.Errorf("%s: %d lines in sight", c.name, n)
		}
		if dir := os.Getenv("REPORT_SHOTS"); dir != "" {
			b, err := chromedp.Run(ctx, chromedp.FullScreenshot(100))
			if err == nil {
				err = os.WriteFile(filepath.Join(dir, c.name+".png"), b, 0o644)
			}
			if err != nil {
				t.Error(err)
			}
		}
		if axe == "" {
			continue
		}
		var found []struct{ ID, Help string }
		if err := chromedp.Do(ctx, chromedp.Evaluate[chromedp.Void](axe)); err != nil {
			t.Fatal(err)
		}
		text, err := chromedp.Run(ctx, chromedp.Evaluate[string](`axe.run(document).then(r => JSON.stringify(r.violations.map(v => ({ID: v.id, Help: v.help + " " + v.nodes.map(n => n.html).join(" ").slice(0, 300)}))))`, chromedp.EvalAwaitPromise))
		if err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal([]byte(text), &found); err != nil {
			t.Fatal(err)
		}
		for _, v := range found {
			t.Errorf("%s: %s: %s", c.name, v.ID, v.Help)
		}
	}
}

// axeScript is axe-core as `make axe` has put it there; empty if it has not.
func axeScript(t *testing.T) string {
	t.Helper()
	found, err := filepath.Glob("../../bin/tools/axe-core-*.js")
	if err != nil {
		t.Fatal(err)
	}
	if len(found) == 0 {
		if os.Getenv("CI") == "true" {
			t.Fatal("no axe-core in bin/tools: run `make axe`")
		}
		t.Log("axe does not look: no axe-core in bin/tools: run `make axe`")
		return ""
	}
	b, err := os.ReadFile(found[len(found)-1])
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}
