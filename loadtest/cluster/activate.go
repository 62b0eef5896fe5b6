package cluster

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"trunkline/internal/controlapi"
	"trunkline/internal/fault"
	"trunkline/internal/id"
	"trunkline/loadtest/clock"
)

const (
	// atOnce PBXs are activated again and again while something happens.
	atOnce = 8
	// answerTime is how long one answer is waited for before it is asked again.
	answerTime = 5 * time.Second
)

// activating has PBXs activated while something happens: each asks the same
// until it has an answer, and then once more. None may be lost, and none there
// twice.
func (s *Scene) activating(ctx context.Context, happens func() error) error {
	over := make(chan struct{})
	tag := "CLUSTER-" + rand.Text()[:6] + "-"
	var (
		wg     sync.WaitGroup
		mu     sync.Mutex
		made   = make(map[id.Serial]id.Device)
		again  int
		slow   time.Duration // the slowest, with all its repetitions
		failed error
	)
	for worker := range atOnce {
		wg.Go(func() {
			for i := 0; ; i++ {
				select {
				case <-over:
					return
				default:
				}
				sn := id.Serial(fmt.Sprintf("%s%d-%d", tag, worker, i))
				began := time.Now()
				d, tries, err := s.activate(ctx, sn)
				mu.Lock()
				slow = max(slow, time.Since(began))
				again += tries - 1
				made[sn] = d
				if err != nil {
					failed = err
				}
				mu.Unlock()
				clock.Sleep(ctx, breath)
			}
		})
	}
	clock.Sleep(ctx, time.Second)
	err := happens()
	close(over)
	wg.Wait()
	if err == nil {
		err = failed
	}
	if err != nil {
		return err
	}
	found, err := s.known(ctx, tag)
	if err != nil {
		return err
	}
	for sn, d := range made {
		if found[sn] != d {
			return fmt.Errorf("%s was told that it is device %s, and control knows it as %q", sn, d, found[sn])
		}
	}
	if len(found) != len(made) {
		return fmt.Errorf("%d PBXs were activated, and control knows %d", len(made), len(found))
	}
	s.fact("%d PBXs were activated meanwhile, %d requests were repeated, the slowest took %.1f s; none is lost, none there twice", len(made), again, slow.Seconds())
	return s.remove(ctx, slices.Collect(maps.Values(made)))
}

// removedAtOnce is as many as control removes by one request.
const removedAtOnce = 200

// breath is between two activations of a worker: on a fast machine the subscription
// would be used up before a long row is over.
const breath = time.Second

// remove takes PBXs back, so that what comes next finds their connections free.
func (s *Scene) remove(ctx context.Context, all []id.Device) error {
	for some := range slices.Chunk(all, removedAtOnce) {
		if err := clock.Again(ctx, patience, lookEvery, func() error { return s.removeOnce(ctx, some) }); err != nil {
			return fmt.Errorf("remove PBXs that were activated meanwhile: %w", err)
		}
	}
	return nil
}

func (s *Scene) removeOnce(ctx context.Context, some []id.Device) error {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	done, err := s.API.RemoveDevices(ctx, some)
	if err != nil {
		return err
	}
	for _, r := range done {
		if r.Code != "" && r.Code != fault.NotFound { // removed by a request whose answer was lost
			return fmt.Errorf("%s: %s", r.Device, r.Detail)
		}
	}
	return nil
}

// activate asks until there is an answer, and once more: the answers must be of
// one device.
func (s *Scene) activate(ctx context.Context, sn id.Serial) (d id.Device, tries int, err error) {
	pub, priv, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return "", 0, err
	}
	q := controlapi.ActivationRequest{
		Serial: sn, Model: "P-Series Software Edition", Firmware: "83.19.0.110", PublicKey: pub,
		Proof: controlapi.ActivationProof(priv, sn), Email: s.Login().Email, Password: s.Login().Password,
	}
	for late := time.Now().Add(patience); ; {
		tries++
		once, cancel := context.WithTimeout(ctx, answerTime)
		var g controlapi.Grant
		g, err = s.API.Activate(once, q)
		cancel()
		switch {
		case err == nil && d == "":
			d = g.Device
			continue
		case err == nil && g.Device != d:
			return d, tries, fmt.Errorf("%s was told that it is device %s, and then %s", sn, d, g.Device)
		case err == nil:
			return d, tries - 1, nil
		case time.Now().After(late):
			return d, tries, fmt.Errorf("activate %s: %w", sn, err)
		}
		clock.Sleep(ctx, lookEvery)
	}
}

// known is what control knows of the PBXs with that tag.
func (s *Scene) known(ctx context.Context, tag string) (map[id.Serial]id.Device, error) {
	out := make(map[id.Serial]id.Device)
	q := controlapi.DeviceQuery{DeviceFilter: controlapi.DeviceFilter{Search: tag}, PageQuery: controlapi.PageQuery{Limit: 200}}
	for late := time.Now().Add(patience); ; {
		page, err := s.API.Devices(ctx, q)
		if err != nil {
			if time.Now().After(late) || !clock.Sleep(ctx, lookEvery) {
				return nil, err
			}
			continue
		}
		for _, d := range page.Items {
			if old := out[d.Serial]; old != "" && old != d.ID {
				return nil, fmt.Errorf("%s is there twice: %s and %s", d.Serial, old, d.ID)
			}
			out[d.Serial] = d.ID
		}
		if page.Next == "" {
			return out, nil
		}
		q.Cursor = page.Next
	}
}
