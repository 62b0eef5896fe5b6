package api

import (
	"bufio"
	"fmt"
	"net/http"
	"time"

	"trunkline/control/export"
	"trunkline/control/fleet"
	"trunkline/internal/controlapi"
)

const (
	downloadChunk   = 32 << 10
	downloadTimeout = time.Minute // for a reader to take a chunk
)

// download is a file of any length on its way. Nothing is sent before the
// first chunk is full, or the end: what is refused before that is a problem
// document as everywhere. An error after it cuts the connection, so that half
// a file cannot pass for a whole one.
type download struct {
	x           *exchange
	media, name string
	buffer      *bufio.Writer
}

func (d *download) Write(b []byte) (int, error) {
	if d.buffer == nil {
		d.buffer = bufio.NewWriterSize(chunks{d}, downloadChunk)
	}
	return d.buffer.Write(b)
}

// end sends the rest, or says what went wrong.
func (d *download) end(err error) error {
	if err == nil {
		if _, err = d.Write(nil); err == nil {
			if err = d.buffer.Flush(); err == nil && d.x.status == 0 {
				d.begin() // an empty file
			}
		}
	}
	if err != nil && d.x.status != 0 {
		d.x.refuse(err) // for the log
		panic(http.ErrAbortHandler)
	}
	return err
}

func (d *download) begin() {
	d.x.streamed = true
	h := d.x.Header()
	h.Set("Content-Type", d.media)
	h.Set("Content-Disposition", `attachment; filename="`+d.name+`"`)
	d.x.WriteHeader(http.StatusOK)
}

// chunks passes a full buffer on.
type chunks struct{ *download }

func (c chunks) Write(b []byte) (int, error) {
	if c.x.status == 0 {
		c.begin()
	}
	// Not every ResponseWriter knows deadlines; the server's own timeout holds then.
	_ = http.NewResponseController(c.x).SetWriteDeadline(time.Now().Add(downloadTimeout))
	n, err := c.x.Write(b)
	if err != nil {
		err = fmt.Errorf("%w (%w)", errClientGone, err)
	}
	return n, err
}

func (a *api) exportDevices(x *exchange, r *http.Request, who fleet.Principal, q controlapi.DeviceExport) error {
	if err := checkFilter(q.DeviceFilter); err != nil {
		return err
	}
	format, err := export.ParseFormat(q.Format)
	if err != nil {
		return invalid("format", err.Error())
	}
	groups, err := a.fleet.Groups(r.Context(), who)
	if err != nil {
		return err
	}
	d := download{x: x, media: format.MediaType(), name: "devices." + string(format)}
	sheet := export.Devices(&d, format, groups)
	if err := a.fleet.EachDevice(r.Context(), who, filter(q.DeviceFilter), q.Select, sheet.Add); err != nil {
		sheet.Discard()
		return d.end(err)
	}
	return d.end(sheet.Close())
}
