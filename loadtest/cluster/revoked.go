package cluster

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"

	"trunkline/internal/id"
	"trunkline/internal/visitor"
	"trunkline/loadtest/clock"
)

// endedVisit is a visit that was opened and then ended in the console: its
// cookie must stay worthless, whatever happens.
func (s *Scene) endedVisit(ctx context.Context) (*visitor.Visitor, error) {
	p := s.Generator.PBXs()[0]
	v, start, err := s.Generator.Enter(ctx, p)
	if err != nil {
		return nil, err
	}
	if err := s.API.EndVisit(ctx, start); err != nil {
		return nil, err
	}
	return v, s.refused(ctx, v)
}

// refused waits until a visit is.
func (s *Scene) refused(ctx context.Context, v *visitor.Visitor) error {
	return clock.Again(ctx, patience, lookEvery, func() error {
		status, err := look(ctx, v)
		if err == nil && status != http.StatusOK {
			return nil
		}
		return fmt.Errorf("a visit that was ended: status %d: %w", status, cmp.Or(err, errServed))
	})
}

var errServed = errors.New("it is served")

func look(ctx context.Context, v *visitor.Visitor) (status int, err error) {
	ctx, cancel := context.WithTimeout(ctx, answerTime)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, v.Origin+"/page/1/64", http.NoBody)
	if err != nil {
		return 0, err
	}
	resp, err := v.Do(req)
	if err != nil {
		return 0, err
	}
	resp.Body.Close()
	return resp.StatusCode, nil
}

// refusedBy is that of one relay, which is ready and knows why.
func (s *Scene) refusedBy(ctx context.Context, m *member, ended *visitor.Visitor) error {
	there, err := s.visitorAt(m, ended.Origin)
	if err != nil {
		return err
	}
	there.Jar = ended.Jar
	defer there.CloseIdleConnections()
	if status, err := look(ctx, there); err != nil || status != http.StatusUnauthorized {
		return fmt.Errorf("%s answers a visit that was ended before: status %d: %w", m.name, status, cmp.Or(err, errServed))
	}
	return nil
}

// visitorAt is one who comes to a relay whatever the balancer thinks of it.
func (s *Scene) visitorAt(m *member, origin string) (*visitor.Visitor, error) {
	v, err := visitor.New(s.TLS, origin)
	if err != nil {
		return nil, err
	}
	v.Transport.(*http.Transport).DialContext = func(ctx context.Context, network, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, network, s.at(m.node, portSites))
	}
	return v, nil
}

// stillHolds is asked after something that could have made nodes forget, and that
// when names: a visit that was ended stays so, and a new one can be opened.
func (s *Scene) stillHolds(ctx context.Context, ended *visitor.Visitor, when string) error {
	began := time.Now()
	var start id.Visit
	if err := clock.Again(ctx, patience, lookEvery, func() (err error) {
		_, start, err = s.Generator.Enter(ctx, s.Generator.PBXs()[0])
		return err
	}); err != nil {
		return fmt.Errorf("no visit can be opened: %w", err)
	}
	took := time.Since(began)
	if err := s.API.EndVisit(ctx, start); err != nil {
		return err
	}
	if status, err := look(ctx, ended); err != nil || status == http.StatusOK {
		return fmt.Errorf("a visit that was ended before: status %d: %w", status, cmp.Or(err, errServed))
	}
	s.fact("a new visit could be opened within %.1f s when %s; one that was ended before is still refused", took.Seconds(), when)
	return nil
}
