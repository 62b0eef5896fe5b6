package pagetest

import (
	"context"
	"testing"

	"github.com/chromedp/chromedp"
)

// widths are a telephone's and a wide screen's; desk is what is between.
var widths = []int64{390, 1920}

const (
	desk   = 1280
	height = 900
)

// beyond names what makes a page wider than its window; "" if nothing does.
const beyond = `(() => {
  const page = document.documentElement;
  if (page.scrollWidth <= page.clientWidth && page.scrollWidth <= innerWidth) return "";
  const wide = [...document.body.querySelectorAll("*")].filter(e => e.getBoundingClientRect().right > page.clientWidth + 1);
  return page.scrollWidth + " px: " + wide.slice(0, 3).map(e => e.outerHTML.slice(0, 120)).join("; ");
})()`

// Fits fails t if the open page is to be scrolled sideways, on a telephone or on
// a wide screen, in the light or in the dark.
func Fits(t *testing.T, ctx context.Context, page string) {
	t.Helper()
	for _, width := range widths {
		run(t, ctx, chromedp.EmulateViewport(width, height))
		for _, scheme := range []string{"light", "dark"} {
			Theme(t, ctx, scheme)
			if what := wider(t, ctx, page); what != "" {
				t.Errorf("%s, %d px wide, %s: %s", page, width, scheme, what)
			}
		}
	}
	Theme(t, ctx, "light")
	run(t, ctx, chromedp.EmulateViewport(desk, height))
}

// SeesWide makes the open page too wide on purpose, which is found.
func SeesWide(t *testing.T, ctx context.Context) {
	t.Helper()
	run(t, ctx, chromedp.EmulateViewport(widths[0], height), chromedp.Evaluate[chromedp.Void](
		`{ const e = document.createElement("p"); e.id = "too-wide"; e.textContent = "W".repeat(400); e.style.overflowWrap = "normal"; document.querySelector("main").append(e); }`))
	if wider(t, ctx, "the page with a wide line") == "" {
		t.Error("a line that is wider than a telephone is not seen")
	}
	run(t, ctx, chromedp.Evaluate[chromedp.Void](`document.getElementById("too-wide").remove()`), chromedp.EmulateViewport(desk, height))
}

func wider(t *testing.T, ctx context.Context, page string) string {
	t.Helper()
	what, err := chromedp.Run(ctx, chromedp.Evaluate[string](beyond))
	if err != nil {
		t.Fatalf("%s: %v", page, err)
	}
	return what
}
