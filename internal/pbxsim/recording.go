package pbxsim

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"strconv"
	"sync"
	"time"
)

const (
	defaultRecordingSize = 8 << 20
	maxRecordingSize     = 2 << 30
	// blockSize is the greatest prime below 1 MiB: pieces of a round size that
	// a proxy mixed up do not go unnoticed, as they would with 1 MiB.
	blockSize = 1048573
)

// block is what every recording repeats, so that serving costs a copy.
var block = sync.OnceValue(func() []byte {
	b := make([]byte, blockSize)
	_, _ = rand.NewChaCha8([32]byte([]byte("a recording that nobody recorded"))).Read(b) // never fails
	return b
})

// built is the Last-Modified of recordings and assets.
var built = time.Date(2026, time.September, 14, 8, 30, 0, 0, time.UTC)

// recordingReader is recording n: block, from another offset for each n.
type recordingReader struct {
	n    int
	size int64
	pos  int64
}

func (f *recordingReader) Read(p []byte) (int, error) {
	if f.pos >= f.size {
		return 0, io.EOF
	}
	p = p[:min(int64(len(p)), f.size-f.pos)]
	b, done := block(), 0
	for done < len(p) {
		done += copy(p[done:], b[(f.pos+int64(done)+int64(f.n)*7919)%blockSize:])
	}
	f.pos += int64(done)
	return done, nil
}

func (f *recordingReader) Seek(offset int64, whence int) (int64, error) {
	switch whence {
	case io.SeekCurrent:
		offset += f.pos
	case io.SeekEnd:
		offset += f.size
	}
	if offset < 0 {
		return 0, errors.New("seek before the recording's start")
	}
	f.pos = offset
	return offset, nil
}

// RecordingSHA256 is the SHA-256, in lower case hex, of what
// /recordings/{n}/download?size= answers.
func RecordingSHA256(n int, size int64) string {
	h := sha256.New()
	_, _ = io.Copy(h, &recordingReader{n: n, size: size}) // neither end fails
	return hex.EncodeToString(h.Sum(nil))
}

// recordingOf answers the request itself when it asks for what there is not.
func recordingOf(w http.ResponseWriter, n, size string) (*recordingReader, bool) {
	f := &recordingReader{size: defaultRecordingSize}
	var err error
	if f.n, err = strconv.Atoi(n); err != nil || f.n < 1 || f.n > maxRecordingNum {
		http.Error(w, "No such recording.", http.StatusNotFound)
		return nil, false
	}
	if size != "" {
		if f.size, err = strconv.ParseInt(size, 10, 64); err != nil || f.size < 0 || f.size > maxRecordingSize {
			http.Error(w, fmt.Sprintf("size is 0 to %d bytes.", int64(maxRecordingSize)), http.StatusBadRequest)
			return nil, false
		}
	}
	return f, true
}

func (f *recordingReader) headers(h http.Header) {
	h.Set("Content-Type", "audio/x-wav")
	h.Set("Content-Disposition", fmt.Sprintf(`attachment; filename="recording-%04d.wav"`, f.n))
	h.Set("Cache-Control", "private, no-cache")
	h.Set("ETag", fmt.Sprintf(`"rec-%d-%d"`, f.n, f.size))
}

func (p *Portal) download(w http.ResponseWriter, r *http.Request, s session) {
	f, ok := recordingOf(w, r.PathValue("n"), r.FormValue("size"))
	if !ok {
		return
	}
	if r.Header.Get("Range") == "" { // the first request of a download, not each of its parts
		p.ops.add(r, s.Who(), fmt.Sprintf("Downloaded recording %d", f.n))
	}
	f.headers(w.Header())
	http.ServeContent(w, r, "", built, f)
}

func (p *Portal) stream(w http.ResponseWriter, r *http.Request, s session) {
	f, ok := recordingOf(w, r.PathValue("n"), r.FormValue("size"))
	if !ok {
		return
	}
	p.ops.add(r, s.Who(), fmt.Sprintf("Streamed recording %d", f.n))
	f.headers(w.Header())
	streamBody(w, f)
}

// streamBody sends src chunked, whatever its size.
func streamBody(w http.ResponseWriter, src io.Reader) {
	if err := http.NewResponseController(w).Flush(); err != nil { // no length can be guessed any more
		return
	}
	_, _ = io.Copy(w, src) // an error is the client's leaving
}

func (p *Portal) testBytes(w http.ResponseWriter, r *http.Request) {
	n := r.FormValue("n")
	if n == "" {
		n = "1"
	}
	f, ok := recordingOf(w, n, r.FormValue("size"))
	if !ok {
		return
	}
	f.headers(w.Header())
	http.ServeContent(w, r, "", built, f)
}
