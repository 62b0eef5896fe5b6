package pbxsim_test

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	cdplog "github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"

	"trunkline/internal/pbxsim"
)

// In a real browser: the policy lets the pages work, the cookies stick, the
// live figures tick, the upload answers.
func TestInChromium(t *testing.T) {
	t.Parallel()
	chromium, err := exec.LookPath("chromium")
	if err != nil {
		if os.Getenv("CI") != "" {
			t.Fatal("no chromium on this machine")
		}
		t.Skip("no chromium on this machine")
	}
	if testing.Short() {
		t.Skip("starts a browser")
	}
	p := start(t, pbxsim.Config{})
	alloc, stop := chromedp.NewExecAllocator(t.Context(), append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.ExecPath(chromium), chromedp.NoSandbox, chromedp.DisableGPU, chromedp.WindowSize(1280, 900))...)
	defer stop()
	ctx, cancel := chromedp.NewContext(alloc)
	defer cancel()
	ctx, cancelTime := context.WithTimeout(ctx, 60*time.Second)
	defer cancelTime()

	do := func(steps ...chromedp.Action[chromedp.Void]) {
		t.Helper()
		if err := chromedp.Do(ctx, steps...); err != nil {
			t.Fatal(err)
		}
	}
	becomes := func(expression string) {
		t.Helper()
		if _, err := chromedp.Run(ctx, chromedp.Poll[bool](expression, chromedp.WithPollingTimeout(20*time.Second))); err != nil {
			t.Fatalf("never came true: %s: %v", expression, err)
		}
	}

	do(chromedp.Navigate(p.URL()+"/calls"), chromedp.WaitVisible("#sign-in"))
	if err := chromedp.Listen(ctx, func(ev any) {
		switch e := ev.(type) {
		case *runtime.EventExceptionThrown:
			t.Errorf("script: %s", e.ExceptionDetails.Text)
		case *cdplog.EventEntryAdded: // blocked by policy, not found
			t.Errorf("browser: %s %s", e.Entry.Text, e.Entry.URL)
		}
	}); err != nil {
		t.Fatal(err)
	}
	if _, err := chromedp.Call(ctx, cdplog.Enable, struct{}{}); err != nil {
		t.Fatal(err)
	}

	do(chromedp.SendKeys("#username", "root"), chromedp.SendKeys("#password", "super secret"), chromedp.Submit("#sign-in"))
	do(chromedp.WaitVisible("#call-monitor")) // back where the visitor wanted to go
	becomes(`Number(document.querySelector("#tick").textContent) >= 2 && document.querySelector("#calls tr .from").textContent != ""`)

	do(chromedp.Navigate(p.URL() + "/"))
	becomes(`Number(document.querySelector("#sse-tick").textContent) >= 2 && document.querySelector("#cpu-text").textContent.endsWith("%")`)
	becomes(`[...document.images].every((i) => i.complete && i.naturalWidth > 0)`)

	file := filepath.Join(t.TempDir(), "image.bin")
	if err := os.WriteFile(file, []byte("firmware"), 0o600); err != nil {
		t.Fatal(err)
	}
	do(chromedp.Navigate(p.URL()+"/maintenance"), chromedp.SetUploadFiles("#firmware", []string{file}), chromedp.Click("#upload button"))
	becomes(`document.querySelector("#upload-result").textContent.includes("` + sum("firmware") + `")`)

	do(chromedp.Click("#sign-out"), chromedp.WaitVisible("#sign-in"))
}
