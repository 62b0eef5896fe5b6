package pbxsim

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"
	"mime"
	"net/http"
	"time"
)

const (
	maxFirmware   = 4 << 30
	uploadBuffer  = 128 << 10
	uploadStall   = 60 * time.Second // no byte for so long ends an upload
	maxTokenField = 256
)

// Upload is the answer to a firmware upload: what arrived.
type Upload struct {
	Bytes  int64  `json:"bytes"`
	SHA256 string `json:"sha256"`
}

var (
	errNoToken = errors.New("the form's token is missing or wrong")
	errNoFile  = errors.New("the form has no file")
)

// firmware takes the form of the page, where the token comes before the file,
// or the bare file with the token in a header.
func (p *Portal) firmware(w http.ResponseWriter, r *http.Request, s session) {
	r.Body = http.MaxBytesReader(w, r.Body, maxFirmware)
	body, err := firmwareBody(r, s)
	if err != nil {
		w.Header().Set("Connection", "close") // the rest of the body is not worth reading
		status := http.StatusBadRequest
		if errors.Is(err, errNoToken) {
			status = http.StatusForbidden
		}
		http.Error(w, "Upload refused: "+err.Error()+".", status)
		return
	}
	up, err := receive(w, body, sha256.New())
	if err != nil {
		p.uploadFailed(w, err)
		return
	}
	p.ops.add(r, s.Who(), fmt.Sprintf("Uploaded firmware: %d bytes, SHA-256 %.12s...", up.Bytes, up.SHA256))
	writeJSON(w, http.StatusOK, up)
}

func firmwareBody(r *http.Request, s session) (io.Reader, error) {
	kind, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if kind != "multipart/form-data" {
		if !tokenIs(s, r.Header.Get(tokenHeader)) {
			return nil, errNoToken
		}
		return r.Body, nil
	}
	parts, err := r.MultipartReader()
	if err != nil {
		return nil, fmt.Errorf("read form: %w", err)
	}
	part, err := parts.NextPart()
	if err != nil || part.FormName() != tokenField {
		return nil, errNoToken
	}
	token, err := io.ReadAll(io.LimitReader(part, maxTokenField))
	if err != nil || !tokenIs(s, string(token)) {
		return nil, errNoToken
	}
	if part, err = parts.NextPart(); err != nil || part.FormName() != "firmware" {
		return nil, errNoFile
	}
	return part, nil
}

// receive reads to the end without keeping anything; h may be nil.
func receive(w http.ResponseWriter, body io.Reader, h hash.Hash) (up Upload, err error) {
	rc := http.NewResponseController(w)
	buf := make([]byte, uploadBuffer)
	for {
		// Only a listener has deadlines, a test's recorder has none.
		if err := rc.SetReadDeadline(time.Now().Add(uploadStall)); err != nil && !errors.Is(err, http.ErrNotSupported) {
			return up, fmt.Errorf("set upload deadline: %w", err)
		}
		n, err := body.Read(buf)
		up.Bytes += int64(n)
		if h != nil {
			h.Write(buf[:n])
		}
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return up, fmt.Errorf("read upload: %w", err)
		}
	}
	if h != nil {
		up.SHA256 = hex.EncodeToString(h.Sum(nil))
	}
	return up, nil
}

func (p *Portal) uploadFailed(w http.ResponseWriter, err error) {
	w.Header().Set("Connection", "close")
	if _, ok := errors.AsType[*http.MaxBytesError](err); ok {
		http.Error(w, "The file is too large for a firmware image.", http.StatusRequestEntityTooLarge)
		return
	}
	http.Error(w, "The upload broke off.", http.StatusBadRequest)
}

func (p *Portal) testUpload(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, maxFirmware)
	var h hash.Hash
	if r.URL.Query().Get("hash") != "0" {
		h = sha256.New()
	}
	up, err := receive(w, r.Body, h)
	if err != nil {
		p.uploadFailed(w, err)
		return
	}
	writeJSON(w, http.StatusOK, up)
}

func writeJSON(w http.ResponseWriter, status int, v any) {
	b, err := json.Marshal(v)
	if err != nil {
		panic("BUG: marshal own answer: " + err.Error())
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_, _ = w.Write(b)
}
