package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"

	"golang.org/x/sync/errgroup"

	"trunkline/internal/id"
	"trunkline/internal/visitor"
)

// useTunnels visits every device as a browser does, and carries bytes each way.
func (w *world) useTunnels(ctx context.Context, devices []id.Device) error {
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(4)
	for _, d := range devices {
		g.Go(func() error {
			v, visit, err := w.visit(ctx, d)
			if err != nil {
				return err
			}
			defer v.CloseIdleConnections()
			if err := errors.Join(useTunnel(ctx, v), w.api.EndVisit(ctx, visit)); err != nil {
				return fmt.Errorf("visit: %w", err)
			}
			return nil
		})
	}
	return g.Wait()
}

var trafficBody = sync.OnceValue(func() string { return strings.Repeat("0123456789abcdef", trafficSize/16) })

func useTunnel(ctx context.Context, v *visitor.Visitor) error {
	got, err := v.Fetch(ctx, "/bytes?n="+strconv.Itoa(trafficSize))
	if err != nil || len(got) != trafficSize {
		return errors.Join(err, fmt.Errorf("%d of %d bytes came", len(got), trafficSize))
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, v.Origin+"/upload", strings.NewReader(trafficBody()))
	if err != nil {
		return err
	}
	req.Header.Set("Origin", v.Origin)
	resp, err := v.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(io.LimitReader(resp.Body, 4<<10))
	if err != nil || string(b) != strconv.Itoa(trafficSize) {
		return errors.Join(err, fmt.Errorf("upload: %s, %q", resp.Status, b))
	}
	return nil
}
