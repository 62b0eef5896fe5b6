package control

import (
	"context"
	"errors"
	"net/http"
)

// LiveKeys are those of Config that Reload puts in force.
func LiveKeys() []string {
	return []string{"proxy_protocol", "license_file", "other_models", "audit_keep", "limits"}
}

// Reload puts LiveKeys of a valid c in force, and reads the licence file and the
// certificate again. If the licence is none, nothing changes.
func (c *Control) Reload(cfg Config) error {
	cfg.LicenseKey = c.o.LicenseKey // which needs a restart
	lic, _, err := loadLicense(cfg)
	if err != nil {
		return err
	}
	c.lic.Store(&lic)
	c.live.Store(&cfg)
	if c.web.files != nil {
		c.web.files.Check()
	}
	if c.web.front != nil {
		c.web.front.Trust(cfg.ProxyProtocol)
	}
	return nil
}

// Alive errs if nothing answers a request before ctx ends.
func (c *Control) Alive(ctx context.Context) error {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, "https://"+c.o.ConsoleHost()+"/api/v1/openapi.json", http.NoBody)
	if err != nil {
		return err
	}
	r.RemoteAddr = "127.0.0.1:0"
	answered := make(chan struct{})
	go func() { // one more for each check that hangs, until the process is ended for it
		defer close(answered)
		c.web.srv.Handler.ServeHTTP(nowhere{http.Header{}}, r)
	}()
	select {
	case <-answered:
		return nil
	case <-ctx.Done():
		return errors.New("a request is not answered")
	}
}

// nowhere is where an answer goes that nobody wants to read.
type nowhere struct{ h http.Header }

func (n nowhere) Header() http.Header         { return n.h }
func (n nowhere) Write(b []byte) (int, error) { return len(b), nil }
func (n nowhere) WriteHeader(int)             {}
