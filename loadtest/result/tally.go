package result

// Tally counts the requests that were due in a time: each is in OK or in one of
// Errors.
type Tally struct {
	OK      int64            `json:"ok,omitzero"`
	Errors  map[string]int64 `json:"errors,omitzero"`  // by code
	Latency Histogram        `json:"latency,omitzero"` // of OK, from when each was due
	Checked Checked          `json:"checked,omitzero"`
}

// Checked is bytes of content whose digest or sequence was known beforehand.
type Checked struct {
	Bytes      int64 `json:"bytes,omitzero"`      // that came as they were sent
	Lost       int64 `json:"lost,omitzero"`       // that never came although no error told so
	Duplicated int64 `json:"duplicated,omitzero"` // that came twice
	Corrupted  int64 `json:"corrupted,omitzero"`  // that came as others
}

// maxCodes bounds the errors of a tally by code; further ones are otherCode.
const (
	maxCodes  = 64
	otherCode = "other"
)

func (t *Tally) fail(code string, n int64) {
	if t.Errors == nil {
		t.Errors = make(map[string]int64)
	}
	if _, known := t.Errors[code]; !known && (len(t.Errors) >= maxCodes-1 || !printable(code, maxName)) {
		code = otherCode
	}
	t.Errors[code] += n
}

// Add counts all of from as well.
func (t *Tally) Add(from Tally) {
	t.OK += from.OK
	for code, n := range from.Errors {
		t.fail(code, n)
	}
	t.Latency.Add(from.Latency)
	t.Checked.Add(from.Checked)
}

// Failed is how many ended in an error.
func (t Tally) Failed() (n int64) {
	for _, e := range t.Errors {
		n += e
	}
	return n
}

// Count is how many were due.
func (t Tally) Count() int64 { return t.OK + t.Failed() }

// ErrorRatio is of those that were due, 0 to 1; 0 if none was.
func (t Tally) ErrorRatio() float64 {
	return float64(t.Failed()) / float64(max(t.Count(), 1))
}

// Add counts all of from as well.
func (c *Checked) Add(from Checked) {
	c.Bytes += from.Bytes
	c.Lost += from.Lost
	c.Duplicated += from.Duplicated
	c.Corrupted += from.Corrupted
}
