package pgtest

import (
	"fmt"
	"sync"
	"testing"
	"time"
)

// Template is a database of which others are copies. Filling each of them anew
// would take longer.
type Template struct {
	// Fill makes it what it is, and leaves no connection to it behind.
	Fill func(url string) error

	once   sync.Once
	name   string
	failed error
}

// URL is that of a new copy.
func (p *Template) URL(t testing.TB) string {
	t.Helper()
	running(t)
	p.once.Do(func() {
		p.name = nextName()
		if p.failed = server.CreateDatabase(p.name); p.failed == nil {
			p.failed = p.Fill(url(p.name))
		}
	})
	if p.failed != nil {
		t.Fatalf("fill a database: %v", p.failed)
	}
	name := nextName()
	// Whoever filled it has closed its connections, and the server may take a moment
	// to be done with them: it waits for 5 s itself, which a busy machine exceeds.
	var err error
	for late := time.Now().Add(startTime); ; {
		if err = server.CopyDatabase(p.name, name); err == nil {
			return url(name)
		}
		if time.Now().After(late) {
			t.Fatal(fmt.Errorf("copy a database: %w", err))
		}
	}
}
