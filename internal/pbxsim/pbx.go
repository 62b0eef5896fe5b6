package pbxsim

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"sync"
	"time"
)

const (
	cdrCount        = 240
	recordingCount  = 60
	maxRecordingNum = 9999
	callSlots       = 9
)

// pbx is what the pages show. All of it is made up, deterministic from the
// time of start; only the extensions' names can be changed.
type pbx struct {
	started time.Time
	trunks  []trunk
	cdrs    []cdr // newest first

	mu         sync.Mutex
	extensions []extension
}

type extension struct {
	Number, Name, Email, Device, Presence string // presence: available, busy, away, offline
}

type trunk struct {
	Name, Type, Host, State string // state: ok, warn, down
	Status                  string
	Used, Channels          int
}

type cdr struct {
	ID                         int
	At                         time.Time
	From, FromName, To, ToName string
	Trunk, Direction           string        // direction: inbound, outbound, internal
	Talk                       time.Duration // 0: not answered
	Recording                  int           // 0: none
}

type recording struct {
	N    int
	Call cdr
	Size int64
}

var people = []string{
	"Amelia Novak", "Ben Okafor", "Carla Jensen", "David Moreau", "Elif Kaya", "Felix Braun", "Grace Lin", "Hugo Silva",
	"Ines Costa", "Jonas Weber", "Keiko Mori", "Liam Byrne", "Maya Cohen", "Nils Berg", "Olivia Hart", "Pavel Dvorak",
	"Quinn Taylor", "Rosa Marino", "Samir Haddad", "Tara Singh", "Umar Farah", "Vera Petrova", "Will Archer", "Xenia Popa",
	"Yara Nasser", "Zoe Martin", "Adam Kowal", "Bianca Rossi", "Cyril Dubois", "Dana Levi", "Emil Larsen", "Fiona Walsh",
	"Goran Ilic", "Hana Sato", "Ivan Horvat", "Julia Stein", "Karim Aziz", "Lena Fischer", "Marco Conti", "Nora Lund",
	"Oscar Vidal", "Petra Maier", "Rafael Cruz", "Sofia Greco", "Tom Becker", "Ursula Frei", "Victor Hahn", "Wanda Nowak",
}

var phones = []string{"Desk phone T54W", "Softphone, desktop", "Desk phone T31P", "Softphone, mobile", "Conference CP925"}

var deviceIcons = map[string]string{
	phones[0]: "desk", phones[1]: "laptop", phones[2]: "desk", phones[3]: "mobile", phones[4]: "conference",
}

func newPBX(now time.Time) *pbx {
	b := &pbx{started: now, trunks: []trunk{
		{"Telco SIP A", "SIP peer", "sip.telco-a.example:5061", "ok", "Registered", 7, 30},
		{"Telco SIP B", "SIP register", "sip.telco-b.example:5060", "ok", "Registered", 3, 20},
		{"ISDN PRI", "E1 PRI", "slot 1, port 1", "ok", "Up", 4, 30},
		{"Branch Lisbon", "SIP peer", "10.30.0.2:5060", "warn", "High latency: 212 ms", 1, 10},
		{"Mobile gateway", "GSM", "slot 2, port 1", "down", "No signal", 0, 2},
	}}
	for i, name := range people {
		presence := []string{"available", "available", "busy", "available", "away", "available", "offline"}[mix(i, 3)%7]
		b.extensions = append(b.extensions, extension{
			Number: strconv.Itoa(1001 + i), Name: name, Presence: presence,
			Email: emailOf(name), Device: phones[mix(i, 5)%len(phones)],
		})
	}
	b.cdrs = makeCDRs(now)
	return b
}

func emailOf(name string) string {
	var b []byte
	for _, c := range []byte(name) {
		if c == ' ' {
			c = '.'
		}
		b = append(b, c|0x20)
	}
	return string(b) + "@example.com"
}

func makeCDRs(now time.Time) []cdr {
	var all []cdr
	at, recordings := now.Truncate(time.Minute), 0
	for i := range cdrCount {
		at = at.Add(-time.Duration(40+mix(i, 11)%900) * time.Second)
		a, z := mix(i, 17)%len(people), mix(i, 23)%len(people)
		outside := fmt.Sprintf("020 7946 %04d", mix(i, 29)%1000) // a range reserved for fiction
		c := cdr{ID: 20000 - i, At: at, Trunk: []string{"Telco SIP A", "Telco SIP B", "ISDN PRI"}[mix(i, 31)%3]}
		ext := strconv.Itoa(1001 + a)
		switch mix(i, 37) % 3 {
		case 0:
			c.Direction, c.From, c.To, c.ToName = "inbound", outside, ext, people[a]
		case 1:
			c.Direction, c.From, c.FromName, c.To = "outbound", ext, people[a], outside
		default:
			if z == a {
				z = (a + 1) % len(people)
			}
			c.Direction, c.Trunk = "internal", ""
			c.From, c.FromName, c.To, c.ToName = ext, people[a], strconv.Itoa(1001+z), people[z]
		}
		if mix(i, 41)%6 != 0 {
			c.Talk = time.Duration(12+mix(i, 43)%1100) * time.Second
		}
		if c.Talk > 0 && c.Direction != "internal" && recordings < recordingCount {
			recordings++
			c.Recording = recordings
		}
		all = append(all, c)
	}
	return all
}

func (b *pbx) list() []extension {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Clone(b.extensions)
}

func (b *pbx) rename(number, name string) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	i := slices.IndexFunc(b.extensions, func(e extension) bool { return e.Number == number })
	if i < 0 {
		return false
	}
	b.extensions[i].Name = name
	return true
}

func (b *pbx) recordings() []recording {
	var all []recording
	for _, c := range b.cdrs {
		if c.Recording > 0 {
			all = append(all, recording{N: c.Recording, Call: c, Size: defaultRecordingSize})
		}
	}
	slices.SortFunc(all, func(x, y recording) int { return cmp.Compare(x.N, y.N) })
	return all
}

// call is one under way.
type call struct {
	ID      int    `json:"id"`
	From    string `json:"from"`
	To      string `json:"to"`
	Trunk   string `json:"trunk"`
	State   string `json:"state"` // ringing, talking, hold
	Seconds int    `json:"seconds"`
}

// callsAt is a pure function of the second: every visitor sees the same calls.
// Each slot is a line on which calls of its own period follow each other.
func callsAt(unix int64) []call {
	calls := []call{}
	for slot := range callSlots {
		period := int64(47 + 13*slot)
		n, phase := (unix+int64(slot)*29)/period, (unix+int64(slot)*29)%period
		if phase >= period*4/5 {
			continue
		}
		seed := int(n%100000)*callSlots + slot
		c := call{
			ID: seed%90000 + 10000, Seconds: int(phase), State: "talking",
			Trunk: []string{"Telco SIP A", "Telco SIP B", "ISDN PRI", "Internal"}[mix(seed, 7)%4],
		}
		who := people[mix(seed, 13)%len(people)]
		outside := fmt.Sprintf("020 7946 %04d", mix(seed, 29)%1000)
		switch {
		case c.Trunk == "Internal":
			c.From, c.To = who, people[(mix(seed, 13)+1+mix(seed, 19)%40)%len(people)]
		case mix(seed, 3)%2 == 0:
			c.From, c.To = outside, who
		default:
			c.From, c.To = who, outside
		}
		switch {
		case phase < 6:
			c.State = "ringing"
		case phase%31 > 24:
			c.State = "hold"
		}
		calls = append(calls, c)
	}
	return calls
}

// system is one reading of the appliance's health.
type system struct {
	Tick     int    `json:"tick"`
	At       string `json:"at"`
	CPU      int    `json:"cpu"`    // per cent
	Memory   int    `json:"memory"` // per cent
	Channels int    `json:"channels"`
}

func systemAt(tick int, at time.Time) system {
	s := int(at.Unix() % 100000)
	wave := s % 60
	if wave > 30 {
		wave = 60 - wave
	}
	return system{
		Tick: tick, At: at.UTC().Format(time.RFC3339), Channels: len(callsAt(at.Unix())),
		CPU: 11 + wave/2 + mix(s, 3)%9, Memory: 41 + mix(s/20, 5)%4,
	}
}

// mix scatters small numbers: a step of splitmix64 (Steele, Lea and Flood, 2014).
func mix(i, salt int) int {
	z := uint64(i)*0x9e3779b97f4a7c15 + uint64(salt)*0xd1342543de82ef95
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	return int((z ^ z>>31) >> 33)
}
