package trust

import (
	"hash/maphash"
	"slices"
	"strings"
	"sync"

	"trunkline/internal/token"
)

// opened remembers the cookies of the visits served here, opened: a browser
// sends the same one with every request, and decrypting and decoding it was a
// sixth of what a small request cost. Nothing is believed that a fresh look
// would not find too: the key must still be known, the visit neither ended nor
// over, and a seat's end takes its cookies along.
type opened struct {
	seed   maphash.Seed
	shards [64]shard
}

type shard struct {
	sync.RWMutex // guards of
	of           map[string]*openCookie
}

type openCookie struct {
	visit token.Visit
	seat  *seat
}

// keptCookies is how many of a visit are remembered: a browser holds one, and
// requests under way may have the one before.
const keptCookies = 4

func newOpened() *opened { return &opened{seed: maphash.MakeSeed()} }

func (o *opened) shard(cookie string) *shard {
	return &o.shards[maphash.String(o.seed, cookie)%uint64(len(o.shards))]
}

// find is the visit of a cookie that is known and would still be opened.
func (o *opened) find(cookie string, ring *keyring, now instant) (token.Visit, *seat, bool) {
	sh := o.shard(cookie)
	sh.RLock()
	c := sh.of[cookie]
	sh.RUnlock()
	if c == nil || c.seat.over() || c.seat.overdue(now) != "" {
		return token.Visit{}, nil, false
	}
	if _, ok := ring.sealKey(kidOf(cookie)); !ok {
		return token.Visit{}, nil, false
	}
	return c.visit, c.seat, true
}

// keep remembers that cookie is v's, unless the visit ended meanwhile.
func (o *opened) keep(cookie string, v token.Visit, s *seat) {
	s.cookies.mu.Lock()
	defer s.cookies.mu.Unlock()
	if s.over() || slices.Contains(s.cookies.kept, cookie) {
		return
	}
	if len(s.cookies.kept) == keptCookies {
		o.remove(s.cookies.kept[0])
		s.cookies.kept = slices.Delete(s.cookies.kept, 0, 1)
	}
	s.cookies.kept = append(s.cookies.kept, cookie)
	sh := o.shard(cookie)
	sh.Lock()
	defer sh.Unlock()
	if sh.of == nil {
		sh.of = make(map[string]*openCookie)
	}
	sh.of[cookie] = &openCookie{visit: v, seat: s}
}

// kidOf is the name of the key that a cookie was sealed with.
func kidOf(cookie string) string {
	kid, _, _ := strings.Cut(cookie, ".")
	return kid
}

// forget drops the cookies of a seat that is over.
func (o *opened) forget(s *seat) {
	s.cookies.mu.Lock()
	defer s.cookies.mu.Unlock()
	for _, c := range s.cookies.kept {
		o.remove(c)
	}
	s.cookies.kept = nil
}

func (o *opened) remove(cookie string) {
	sh := o.shard(cookie)
	sh.Lock()
	defer sh.Unlock()
	delete(sh.of, cookie)
}
