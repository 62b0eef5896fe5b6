package routes

import (
	"context"
	"errors"

	"trunkline/internal/bus"
	"trunkline/internal/id"
	"trunkline/relay/route"
)

// watcher is a relay's table and the watch that feeds it.
type watcher struct {
	bus   *bus.Bus
	table *route.Table
	stop  context.CancelFunc
	ended chan error
}

// watch brings up the watchers and waits until each has all routes.
func (s *scene) watch(ctx context.Context) error {
	for range s.Watchers {
		b, err := s.open(ctx)
		if err != nil {
			return err
		}
		life, stop := context.WithCancel(ctx)
		w := &watcher{
			bus: b, stop: stop, ended: make(chan error, 1),
			table: route.NewTable("watcher", func(id.Device, bus.Route) {}, func(id.Site, id.Device) {}),
		}
		s.watchers = append(s.watchers, w)
		go func() {
			w.ended <- bus.NewBucket[bus.Route](b, bus.Routes).Watch(life, func(e bus.Event[bus.Route]) { w.table.Apply(e) })
		}()
	}
	for _, w := range s.watchers {
		err := await(ctx, func(context.Context) error {
			if w.table.Len() != s.Routes {
				return errors.New("a watcher does not know all routes")
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

func (w *watcher) close() error {
	w.stop()
	return errors.Join(<-w.ended, w.bus.Close())
}
