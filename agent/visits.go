package agent

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"slices"
	"sync"
	"time"

	"go.uber.org/zap"

	"trunkline/agent/manage"
	"trunkline/internal/fault"
	"trunkline/internal/id"
	"trunkline/internal/tunnel"
)

const (
	maxVisitsNow  = 256 // beside each other; a relay names 64, and a few tunnels may be up
	maxVisitsPast = 200
	maxVisitsFile = 512 << 10
	maxBarred     = 1024 // visits that were ended here; a visit lives for hours

	// A visit whose tunnel ended is over if no other tunnel brings it up again
	// within lostAfter.
	lostAfter = time.Minute
)

// visits is who visits this PBX, as the relays tell it, and who did.
type visits struct {
	log  *zap.Logger
	save func(visitsOnDisk) error

	mu      sync.Mutex
	now     map[id.Visit]*guest
	past    []manage.Visit // the newest first
	barred  []id.Visit     // ended here: nobody gets in by them any more
	streams map[id.Visit]map[*func()]struct{}

	saving, dirty bool
	closed        bool           // the directory may be another agent's by now
	wg            sync.WaitGroup // of the saver
}

type guest struct {
	manage.Visit
	at   map[*held]struct{} // tunnels that brought it up
	lost time.Time          // when the last of them ended; zero: one is up
}

type visitsOnDisk struct {
	Now  []manage.Visit `json:"now"`
	Past []manage.Visit `json:"past"`
}

func newVisits(log *zap.Logger, save func(visitsOnDisk) error) *visits {
	return &visits{log: log, save: save, now: make(map[id.Visit]*guest), streams: make(map[id.Visit]map[*func()]struct{})}
}

// restore goes on with what is on disk. Who was in when the agent ended is in
// no more unless a relay says so soon.
func (v *visits) restore(d visitsOnDisk) {
	now := time.Now()
	for _, o := range d.Now[:min(len(d.Now), maxVisitsNow)] {
		v.now[o.ID] = &guest{Visit: o, at: make(map[*held]struct{}), lost: now}
	}
	v.past = d.Past[:min(len(d.Past), maxVisitsPast)]
	for _, o := range v.past {
		if o.Code == fault.EndedByPBX {
			v.barred = append(v.barred, o.ID)
		}
	}
}

// Visits are who is in now, the latest first, and who was.
func (a *Agent) Visits() (now, past []manage.Visit) { return a.visits.list() }

// EndVisit ends a visit for the PBX's staff: here at once, and with the
// provider as soon as a relay can be told.
func (a *Agent) EndVisit(_ context.Context, which id.Visit) error {
	if n := a.endVisits(fault.EndedByPBX, func(v manage.Visit) bool { return v.ID == which }); n == 0 {
		return fault.New(fault.NotFound, "There is no such visit going on.")
	}
	return nil
}

// endVisits ends those that match, and says how many they were.
func (a *Agent) endVisits(code fault.Code, match func(manage.Visit) bool) int {
	ended := a.visits.end(code, match)
	for which, tunnels := range ended {
		for h := range tunnels {
			if err := h.link.EndVisit(which); err != nil {
				a.log.Debug("end of a visit not told", zap.String("visit", string(which)), zap.Error(err)) // it is when the visit is next spoken of
			}
		}
	}
	return len(ended)
}

func (v *visits) list() (now, past []manage.Visit) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.pruneLocked(time.Now())
	return v.nowLocked(), slices.Clone(v.past)
}

func (v *visits) nowLocked() []manage.Visit {
	out := make([]manage.Visit, 0, len(v.now))
	for _, g := range v.now {
		out = append(out, g.Visit)
	}
	slices.SortFunc(out, func(x, y manage.Visit) int { return cmp.Or(y.From.Compare(x.From), cmp.Compare(x.ID, y.ID)) })
	return out
}

// came takes a relay's word that a visit goes on. It is false for one that was
// ended here, which the relay has not heard of yet.
func (v *visits) came(h *held, t tunnel.Visit) bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.pruneLocked(time.Now())
	if slices.Contains(v.barred, t.ID) {
		return false
	}
	g := v.now[t.ID]
	if g == nil {
		if len(v.now) >= maxVisitsNow {
			v.log.Warn("more visits than are kept", zap.String("visit", string(t.ID)))
			return true
		}
		g = &guest{Visit: manage.Visit{ID: t.ID, Who: Printable(t.Who), Method: Printable(t.Method), From: t.Started}, at: make(map[*held]struct{})}
		v.now[t.ID] = g
		v.past = slices.DeleteFunc(v.past, func(o manage.Visit) bool { return o.ID == t.ID }) // it was only lost
		v.log.Info("visit started", zap.String("visit", string(g.ID)), zap.String("who", g.Who), zap.String("method", g.Method))
		v.saveLocked()
	}
	g.at[h], g.lost = struct{}{}, time.Time{}
	return true
}

// went takes a relay's word that a visit is over, or has gone on to another
// relay, which has told us then.
func (v *visits) went(h *held, which id.Visit, code fault.Code) {
	v.mu.Lock()
	defer v.mu.Unlock()
	ended := !isLoss(code) && code != fault.VisitIdle // by somebody, whichever tunnels brought it up
	g := v.now[which]
	if g == nil {
		if ended {
			v.cutLocked(which)
		}
		return
	}
	switch delete(g.at, h); {
	case ended:
		v.overLocked(g, time.Now(), code)
	case len(g.at) > 0:
	case isLoss(code) && len(v.streams[which]) > 0: // it goes on by another relay
		g.lost = time.Now()
		v.pruneSoon()
	default:
		v.overLocked(g, time.Now(), code)
	}
}

// pruneSoon looks whether somebody has brought up again what is in doubt.
func (v *visits) pruneSoon() { time.AfterFunc(lostAfter+time.Second, func() { v.list() }) }

// lost: h is none any more, and what was known by it is in doubt.
func (v *visits) lost(h *held) {
	v.mu.Lock()
	defer v.mu.Unlock()
	doubt := false
	for _, g := range v.now {
		if _, ok := g.at[h]; !ok {
			continue
		}
		if delete(g.at, h); len(g.at) == 0 {
			g.lost, doubt = time.Now(), true
		}
	}
	if doubt {
		v.pruneSoon()
	}
}

func (v *visits) pruneLocked(now time.Time) {
	for _, g := range v.now {
		if !g.lost.IsZero() && now.Sub(g.lost) > lostAfter && len(v.streams[g.ID]) == 0 {
			v.overLocked(g, g.lost, fault.ConnectionLost)
		}
	}
}

// end bars the visits that match and cuts them off. It gives the tunnels whose
// relays know of each.
func (v *visits) end(code fault.Code, match func(manage.Visit) bool) map[id.Visit]map[*held]struct{} {
	v.mu.Lock()
	defer v.mu.Unlock()
	ended := make(map[id.Visit]map[*held]struct{})
	for which, g := range v.now {
		if !match(g.Visit) {
			continue
		}
		ended[which] = g.at
		if v.barred = append(v.barred, which); len(v.barred) > maxBarred {
			v.barred = v.barred[1:]
		}
		v.overLocked(g, time.Now(), code)
	}
	return ended
}

func (v *visits) overLocked(g *guest, at time.Time, code fault.Code) {
	delete(v.now, g.ID)
	g.To, g.Code = at.UTC(), code
	v.past = slices.Insert(v.past, 0, g.Visit)
	v.past = v.past[:min(len(v.past), maxVisitsPast)]
	v.log.Info("visit ended", zap.String("visit", string(g.ID)), zap.String("who", g.Who), zap.String("method", g.Method), zap.String("code", string(code)))
	if !isLoss(code) {
		v.cutLocked(g.ID)
	}
	v.saveLocked()
}

func (v *visits) cutLocked(which id.Visit) {
	for cut := range v.streams[which] {
		(*cut)()
	}
}

// isLoss: nobody has ended the visit, only nobody tells of it any more. What streams of
// it there still are go on by another relay.
func isLoss(code fault.Code) bool { return code == fault.RelayLost || code == fault.ConnectionLost }

// enter counts a stream of a visit in. cut ends it, when the visit is ended
// here; it must not block.
func (v *visits) enter(which id.Visit, cut func()) (leave func(), f *fault.Error) {
	if which == "" {
		return func() {}, nil
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	if slices.Contains(v.barred, which) {
		return nil, fault.New(fault.EndedByPBX, "The visit was ended at the PBX.")
	}
	of := v.streams[which]
	if of == nil {
		of = make(map[*func()]struct{})
		v.streams[which] = of
	}
	of[&cut] = struct{}{}
	return func() {
		v.mu.Lock()
		defer v.mu.Unlock()
		if delete(of, &cut); len(of) == 0 {
			delete(v.streams, which)
			v.pruneLocked(time.Now())
		}
	}, nil
}

// saveLocked has the list written soon: who tells of visits must not wait for
// the disk.
func (v *visits) saveLocked() {
	v.dirty = true
	if v.saving || v.closed {
		return
	}
	v.saving = true
	v.wg.Go(func() {
		for {
			v.mu.Lock()
			if !v.dirty {
				v.saving = false
				v.mu.Unlock()
				return
			}
			v.dirty = false
			d := visitsOnDisk{Now: v.nowLocked(), Past: slices.Clone(v.past)}
			v.mu.Unlock()
			if err := v.save(d); err != nil {
				v.log.Warn("visits not stored", zap.Error(err))
			}
		}
	})
}

// visits reads who visited; nobody if the file is damaged, since it decides
// nothing.
func (d *dir) visits() (visitsOnDisk, error) {
	b, err := readPrivate(d.file(visitsFile), maxVisitsFile)
	if errors.Is(err, fs.ErrNotExist) {
		return visitsOnDisk{}, nil
	}
	var out visitsOnDisk
	if err == nil {
		err = json.Unmarshal(b, &out)
	}
	if err != nil {
		return visitsOnDisk{}, err
	}
	return out, nil
}

// close returns when nothing is being written any more.
func (v *visits) close() {
	v.mu.Lock()
	v.closed = true
	v.mu.Unlock()
	v.wg.Wait()
}
