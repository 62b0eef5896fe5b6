package result

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
)

// ErrUnlike is of results that are not parts of one run.
var ErrUnlike = errors.New("not parts of one run")

// Merge adds what another generator saw in the same run.
func (r *Result) Merge(from *Result) error {
	switch {
	case r.Scenario != from.Scenario:
		return fmt.Errorf("%w: scenarios %q and %q differ", ErrUnlike, r.Scenario.Name, from.Scenario.Name)
	case r.Step != from.Step:
		return fmt.Errorf("%w: steps of %g and %g seconds", ErrUnlike, r.Step, from.Step)
	case !r.Began.Equal(from.Began):
		return fmt.Errorf("%w: begun at %v and %v", ErrUnlike, r.Began, from.Began)
	}
	if from.Ended.After(r.Ended) {
		r.Ended = from.Ended
	}
	r.Interrupted = cmp.Or(r.Interrupted, from.Interrupted)
	if r.Kinds == nil {
		r.Kinds = make(map[string]*Kind)
	}
	for _, name := range slices.Sorted(maps.Keys(from.Kinds)) {
		if r.Kinds[name] == nil {
			r.Kinds[name] = new(Kind)
		}
		r.Kinds[name].add(*from.Kinds[name])
	}
	r.Tunnels.add(from.Tunnels)
	// A relay may be watched by more than one; who watched it first is believed.
	for _, p := range from.Relays {
		if !slices.ContainsFunc(r.Relays, func(q Process) bool { return q.Name == p.Name }) {
			r.Relays = append(r.Relays, p)
		}
	}
	r.Generators = append(r.Generators, from.Generators...)
	r.Events = append(r.Events, from.Events...)
	slices.SortStableFunc(r.Events, func(a, b Event) int { return cmp.Compare(a.At, b.At) })
	return nil
}

func (k *Kind) add(from Kind) {
	k.WarmUp.Add(from.WarmUp)
	k.InFlight += from.InFlight
	for len(k.Steps) < len(from.Steps) {
		k.Steps = append(k.Steps, Tally{})
	}
	for i, s := range from.Steps {
		k.Steps[i].Add(s)
	}
}

// add is the sum; where only one has a value, that one.
func (s *Series) add(from Series) {
	for i, v := range from {
		if math.IsNaN(v) {
			continue
		}
		if i < len(*s) && !math.IsNaN((*s)[i]) {
			v += (*s)[i]
		}
		s.Set(i, v)
	}
}
