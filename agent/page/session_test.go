package page_test

import (
	"testing"
	"testing/synctest"
	"time"

	"trunkline/agent/page"
)

// A session lives by what a person does, not by what the page asks by itself,
// and no longer than a working day.
func TestSessionsEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := page.NewSessionsForTest()
		token := s.Begin()
		for range 29 {
			time.Sleep(time.Minute)
			if !s.Valid(token, false) {
				t.Fatal("ended early")
			}
		}
		time.Sleep(2 * time.Minute)
		if s.Valid(token, false) {
			t.Error("the page's own requests kept it")
		}
		if token = s.Begin(); s.Valid(token+"x", true) || s.Valid("", true) {
			t.Error("another token is taken")
		}
		began := time.Now()
		for s.Valid(token, true) {
			time.Sleep(20 * time.Minute)
		}
		if d := time.Since(began); d < 12*time.Hour || d > 12*time.Hour+20*time.Minute {
			t.Errorf("it ended after %v", d)
		}
	})
}

// Many sessions make each other room; the latest is in.
func TestSessionsAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := page.NewSessionsForTest()
		first := s.Begin()
		var last string
		for range 32 {
			time.Sleep(time.Second)
			last = s.Begin()
		}
		if s.Valid(first, true) || !s.Valid(last, true) {
			t.Error("the oldest stays, or the latest goes")
		}
	})
}
