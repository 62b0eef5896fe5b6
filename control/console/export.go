package console

import (
	"encoding/json"
	"net/http"
	"time"

	"trunkline/control/export"
	"trunkline/control/fleet"
	"trunkline/internal/fault"
	"trunkline/internal/id"
)

// exportTime is what an export may take that is read slowly; rows that come
// put it off.
const exportTime = 30 * time.Second

func exportPath(q deviceList, format string) string {
	v := q.keep()
	v.Set("format", format)
	if q.listQuery.Search != "" {
		v.Set("q", q.listQuery.Search)
	}
	if q.Sub {
		v.Set("sub", "1")
	}
	return address("/devices/export", v)
}

// exportDevices sends the list as a file, as it is narrowed and ordered.
func (c *console) exportDevices(w *response, r *http.Request, p fleet.Principal) error {
	q, err := parseDevices(r, r.URL.Query().Get("sub") != "")
	if err != nil {
		return err
	}
	return c.sendDevices(w, r, p, r.URL.Query().Get("format"), q.DeviceQuery, nil)
}

func (c *console) sendDevices(w *response, r *http.Request, p fleet.Principal, format string, q fleet.DeviceQuery, ids []id.Device) error {
	f, err := export.ParseFormat(format)
	if err != nil {
		return fault.New(fault.Invalid, "Choose XLSX or CSV.").In("format")
	}
	gs, err := c.o.Fleet.Groups(r.Context(), p)
	if err != nil {
		return err
	}
	c.download(w, "devices-"+c.now().UTC().Format("2006-01-02")+"."+string(f), f.MediaType())
	slow := newPatience(w)
	sheet := export.Devices(slow, f, gs)
	if err := c.o.Fleet.EachDevice(r.Context(), p, q, ids, sheet.Add); err != nil {
		sheet.Discard()
		return c.cutOff(w, err)
	}
	if err := sheet.Close(); err != nil {
		return c.cutOff(w, err)
	}
	return nil
}

// download names the file that the answer is.
func (c *console) download(w *response, name, kind string) {
	h := w.Header()
	h.Set("Content-Type", kind)
	h.Set("Content-Disposition", `attachment; filename="`+name+`"`)
}

// cutOff ends an answer in the middle: half a file must not look whole. Before
// the first byte an error page can still be sent.
func (c *console) cutOff(w *response, err error) error {
	if w.status == 0 {
		w.Header().Del("Content-Disposition")
		return err
	}
	c.log.Warn("a download was cut off: " + err.Error())
	panic(http.ErrAbortHandler)
}

// patience gives each write its time, instead of one time for all of them.
type patience struct {
	w  *response
	rc *http.ResponseController
}

func newPatience(w *response) *patience {
	return &patience{w: w, rc: http.NewResponseController(w)}
}

func (s *patience) Write(b []byte) (int, error) {
	_ = s.rc.SetWriteDeadline(time.Now().Add(exportTime)) // a test's recorder has none
	return s.w.Write(b)
}

// auditLine is an entry in an export: JSON lines, one entry each.
type auditLine struct {
	Seq     int64     `json:"seq"`
	At      time.Time `json:"at"`
	Actor   string    `json:"actor,omitempty"`
	Remote  string    `json:"remote,omitempty"`
	Action  string    `json:"action"`
	Object  string    `json:"object,omitempty"`
	Outcome string    `json:"outcome"`
	Detail  string    `json:"detail,omitempty"`
}

func (c *console) exportAudit(w *response, r *http.Request, p fleet.Principal) error {
	q, err := parseAudit(r)
	if err != nil {
		return err
	}
	c.download(w, "audit-"+c.now().UTC().Format("2006-01-02")+".jsonl", "application/jsonl")
	out := json.NewEncoder(newPatience(w))
	err = c.o.Fleet.EachAudit(r.Context(), p, q.AuditQuery, func(e fleet.AuditEntry) error {
		return out.Encode(auditLine{e.Seq, e.At, e.Actor, e.Remote, e.Action, e.Object, e.Outcome, e.Detail})
	})
	if err != nil {
		return c.cutOff(w, err)
	}
	if w.status == 0 {
		w.WriteHeader(http.StatusOK) // no entries: an empty file
	}
	return nil
}

// chosenDevices are those whose boxes were ticked.
func chosenDevices(r *http.Request) ([]id.Device, error) {
	raw := r.PostForm["id"]
	if len(raw) == 0 {
		return nil, fault.New(fault.Invalid, "Choose at least one device: tick the boxes beside their names.").In("id")
	}
	if len(raw) > maxLiveIDs {
		return nil, fault.New(fault.Invalid, "At most %d devices can be chosen at once.", maxLiveIDs).In("id")
	}
	out := make([]id.Device, len(raw))
	for i, s := range raw {
		if out[i].UnmarshalText([]byte(s)) != nil {
			return nil, fault.New(fault.Invalid, "The form is damaged. Reload the page.").In("id")
		}
	}
	return out, nil
}
