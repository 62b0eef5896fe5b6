package standby

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"time"

	"go.uber.org/zap"
	"go.yaml.in/yaml/v3"

	"trunkline/internal/program"
	"trunkline/internal/tunnel"
)

const maxSize = 16 << 10 // of a file or an output

// Record is what is kept on disk: the newest claim must outlive a power cut,
// and the last facts hold while a source cannot be read.
type Record struct {
	Standby *tunnel.Standby `json:"standby"`         // nil: single
	Claim   uint64          `json:"claim,omitempty"` // the newest there was, if single by now
}

// Source keeps the newest facts. Safe for concurrent use.
type Source struct {
	conf Config
	save func(Record) error
	log  *zap.Logger
	now  func() time.Time

	mu     sync.Mutex
	known  *tunnel.Standby
	claim  uint64 // the newest
	seen   fileID // of the file as it was read last
	failed string // what was wrong last, to be logged once
}

// fileID is another one when a file was written or replaced.
type fileID struct {
	size, mtime int64
	inode       uint64
}

// New begins with what was known last; save keeps a record before it is used.
func New(c Config, last Record, save func(Record) error, log *zap.Logger) *Source {
	s := &Source{conf: c, save: save, log: log, now: time.Now, known: last.Standby, claim: last.Claim}
	if last.Standby != nil {
		s.claim = max(s.claim, last.Standby.Claim)
	}
	return s
}

// Current is what to tell relays; nil: a single PBX.
func (s *Source) Current() *tunnel.Standby {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.known == nil {
		return nil
	}
	c := *s.known
	return &c
}

// Run looks at the source until ctx ends, and calls changed when the facts are
// others. Look has been called before.
func (s *Source) Run(ctx context.Context, changed func()) {
	if s.conf.File == "" && len(s.conf.Command) == 0 {
		return
	}
	tick := time.NewTicker(s.conf.Every)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			if s.Look(ctx) {
				changed()
			}
		}
	}
}

// Look reads the source once and reports whether the facts are others now. What
// cannot be read changes nothing: a file that is being written, or a command
// that fails, is no word of the PBX's.
func (s *Source) Look(ctx context.Context) bool {
	f, news, err := s.read(ctx)
	if err == nil && !news {
		return false
	}
	if err == nil {
		err = f.check()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if err != nil {
		if why := err.Error(); why != s.failed {
			s.failed = why
			s.log.Warn("hot-standby facts not read; the last ones hold", zap.Error(err))
		}
		return false
	}
	s.failed = ""
	next := s.next(f)
	if same(next, s.known) {
		return false
	}
	claim := s.claim
	if next != nil {
		claim = next.Claim
	}
	if err := s.save(Record{Standby: next, Claim: claim}); err != nil {
		// A claim that a power cut takes back could be given out twice.
		s.log.Error("hot-standby facts not stored; the last ones hold", zap.Error(err))
		s.seen = fileID{}
		return false
	}
	s.known, s.claim = next, claim
	if next != nil {
		s.log.Info("hot standby", zap.String("type", next.Type), zap.String("role", next.Role), zap.String("peer", string(next.Peer)), zap.Uint64("claim", next.Claim))
	} else {
		s.log.Info("hot standby is off")
	}
	return true
}

// next numbers the facts. A claim never falls: the clock's milliseconds are
// nearly always ahead of the last one, and where they are not, one more is.
func (s *Source) next(f facts) *tunnel.Standby {
	if !f.Enabled {
		return nil
	}
	n := &tunnel.Standby{Type: f.Type, Role: f.Role, Peer: f.Peer}
	last := s.claim
	switch {
	case f.Claim > 0:
		n.Claim = max(f.Claim, last)
	case s.known != nil && s.known.Role == f.Role:
		n.Claim = last
	default:
		n.Claim = max(last+1, uint64(max(s.now().UnixMilli(), 1)))
	}
	n.Claim = min(n.Claim, tunnel.ClaimMax)
	return n
}

func same(a, b *tunnel.Standby) bool {
	return a == b || a != nil && b != nil && *a == *b
}

// read gives the source's facts; news is false if a file is as it was.
func (s *Source) read(ctx context.Context) (f facts, news bool, err error) {
	c := s.conf
	switch {
	case c.File != "":
		return s.readFile()
	case len(c.Command) > 0:
		f, err = s.runCommand(ctx)
		return f, true, err
	}
	return facts{Enabled: c.Type != "", Type: c.Type, Peer: c.Peer, Role: c.Role}, true, nil
}

func (s *Source) readFile() (f facts, news bool, err error) {
	file, err := os.OpenFile(s.conf.File, openFlags, 0)
	if err != nil {
		return f, false, err
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return f, false, err
	}
	if !info.Mode().IsRegular() {
		return f, false, fmt.Errorf("%s: no regular file", s.conf.File)
	}
	at := fileID{size: info.Size(), mtime: info.ModTime().UnixNano(), inode: inode(info)}
	s.mu.Lock()
	news = at != s.seen
	s.mu.Unlock()
	if !news {
		return f, false, nil
	}
	b, err := io.ReadAll(io.LimitReader(file, maxSize+1))
	if err != nil {
		return f, false, err
	}
	if f, err = parse(b); err != nil {
		return f, false, fmt.Errorf("%s: %w", s.conf.File, err)
	}
	s.mu.Lock()
	s.seen = at
	s.mu.Unlock()
	return f, true, nil
}

// runCommand takes what the command prints. It gets no input.
func (s *Source) runCommand(ctx context.Context) (facts, error) {
	said, err := program.Call{Argv: s.conf.Command, Timeout: s.conf.Timeout, Stdout: maxSize}.Run(ctx)
	if err != nil {
		return facts{}, err
	}
	f, err := parse(said.Stdout)
	if err != nil {
		return f, fmt.Errorf("%s: %w", s.conf.Command[0], err)
	}
	return f, nil
}

var errSize = errors.New("too large")

// parse reads one document of JSON or YAML, and nothing that it does not know.
func parse(b []byte) (facts, error) {
	var f facts
	if len(b) > maxSize {
		return f, errSize
	}
	var said struct {
		Enabled *bool `yaml:"enabled"`
	}
	if err := yaml.Unmarshal(b, &said); err != nil {
		return f, err
	} else if said.Enabled == nil {
		return f, errors.New("enabled is missing") // a file that is being written is no word that the pair is no more
	}
	d := yaml.NewDecoder(bytes.NewReader(b))
	d.KnownFields(true)
	if err := d.Decode(&f); errors.Is(err, io.EOF) {
		return facts{}, errors.New("empty")
	} else if err != nil {
		return facts{}, err
	}
	return f, f.check()
}
