package agent

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"trunkline/agent/manage"
	"trunkline/agent/standby"
	"trunkline/internal/ownfile"
)

// The files of an agent's directory.
const (
	keyFile      = "device.key"    // PKCS#8 PEM
	identityFile = "identity.json" // Identity
	settingsFile = "settings.json" // manage.Settings
	standbyFile  = "standby.json"  // standby.Record
	stateFile    = "state.json"    // Status, for `status` while the agent does not run
	visitsFile   = "visits.json"   // visitsOnDisk
	pageFile     = "page.json"     // the hash of the page's password
	lineFile     = "line.json"     // local.Line, while the agent runs
	lockFile     = "lock"          // flock'ed by the agent that runs
)

const maxKeySize = 4096

// ErrNotActivated means that the directory holds no identity yet.
var ErrNotActivated = errors.New("this PBX is not connected to a provider yet; run `trunkline-agent connect`")

// ErrBusy means that another agent uses the directory.
var ErrBusy = errors.New("another trunkline-agent is using this directory; stop it first")

// dir is an agent's directory, held by this process alone.
type dir struct {
	path string
	lock *os.File
}

// openDir takes the directory at path, making it if it is not there.
func openDir(path string) (*dir, error) {
	if err := ownfile.MakeDir(path); err != nil {
		return nil, fmt.Errorf("data directory: %w", err)
	}
	info, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("data directory: %w", err)
	}
	if ownfile.Writable(info) {
		return nil, fmt.Errorf("%s: others may write to it (mode %04o); `chmod 700` it", path, info.Mode().Perm())
	}
	lock, err := os.OpenFile(filepath.Join(path, lockFile), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("lock: %w", err)
	}
	if err := takeLock(lock, false); err != nil {
		return nil, fmt.Errorf("%s: %w", path, errors.Join(err, lock.Close()))
	}
	return &dir{path: path, lock: lock}, nil
}

// Close lets another agent use the directory.
func (d *dir) Close() error { return d.lock.Close() }

// inUse reports whether an agent holds the directory at path.
func inUse(path string) bool {
	f, err := os.Open(filepath.Join(path, lockFile))
	if err != nil {
		return false
	}
	defer f.Close()
	return errors.Is(takeLock(f, true), ErrBusy)
}

func takeLock(f *os.File, shared bool) error {
	err := ownfile.Lock(f, shared)
	if errors.Is(err, ownfile.ErrLocked) {
		return ErrBusy
	}
	return err
}

func (d *dir) file(name string) string { return filepath.Join(d.path, name) }

// key reads the device's key; fs.ErrNotExist if there is none.
func (d *dir) key() (ed25519.PrivateKey, error) {
	path := d.file(keyFile)
	b, err := readPrivate(path, maxKeySize)
	if err != nil {
		return nil, err
	}
	if block, _ := pem.Decode(b); block != nil && block.Type == "PRIVATE KEY" {
		if k, err := x509.ParsePKCS8PrivateKey(block.Bytes); err == nil {
			if ed, ok := k.(ed25519.PrivateKey); ok {
				return ed, nil
			}
		}
	}
	return nil, &damageError{fmt.Errorf("%s: damaged, or no Ed25519 key; restore it from a backup, or remove it and connect this PBX again", path)}
}

// keyOrNew reads the device's key or makes it. It is on disk before anybody
// hears of it, so that an answer that got lost can be asked for again.
func (d *dir) keyOrNew() (ed25519.PrivateKey, error) {
	k, err := d.key()
	if !errors.Is(err, fs.ErrNotExist) {
		return k, err
	}
	if _, k, err = ed25519.GenerateKey(rand.Reader); err != nil {
		return nil, fmt.Errorf("make the device's key: %w", err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(k)
	if err != nil {
		return nil, fmt.Errorf("encode the device's key: %w", err)
	}
	return k, d.write(keyFile, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
}

// identity reads the identity; ErrNotActivated if there is none.
func (d *dir) identity() (Identity, error) {
	path := d.file(identityFile)
	b, err := readPrivate(path, maxIdentitySize)
	if errors.Is(err, fs.ErrNotExist) {
		return Identity{}, ErrNotActivated
	}
	if err != nil {
		return Identity{}, err
	}
	i, err := parseIdentity(b)
	if err != nil {
		return Identity{}, &damageError{fmt.Errorf("%s: damaged (%w); connect this PBX again: the key beside it is kept, so this stays the same device", path, err)}
	}
	return i, nil
}

// whoAmI is the identity with its key; ErrNotActivated if there is none.
func (d *dir) whoAmI() (Identity, ed25519.PrivateKey, error) {
	i, err := d.identity()
	if err != nil {
		return Identity{}, nil, err
	}
	key, err := d.key()
	if errors.Is(err, fs.ErrNotExist) {
		err = &damageError{fmt.Errorf("%w; connect this PBX again", err)}
	}
	if err != nil {
		return Identity{}, nil, err
	}
	return i, key, nil
}

// settings reads what the PBX's staff decided; the defaults if nothing yet.
func (d *dir) settings() (manage.Settings, error) {
	path := d.file(settingsFile)
	b, err := readPrivate(path, manage.MaxSettings)
	if errors.Is(err, fs.ErrNotExist) {
		return manage.DefaultSettings(), nil
	}
	if err != nil {
		return manage.Settings{}, err
	}
	s, err := manage.ParseSettings(b)
	if err != nil {
		// Whether staff switched remote access off is in it: it stays off until
		// they have said so again.
		s = manage.DefaultSettings()
		s.Off, s.Doubt = true, &manage.Doubt{}
		return s, &damageError{fmt.Errorf("%s: damaged (%w); remote access stays off until the settings are saved again", path, err)}
	}
	return s, nil
}

// standby reads what this PBX last was in its pair.
func (d *dir) standby() (r standby.Record, err error) {
	path := d.file(standbyFile)
	b, err := readPrivate(path, 4<<10)
	if errors.Is(err, fs.ErrNotExist) {
		return r, nil
	}
	if err != nil {
		return r, err
	}
	if err := json.Unmarshal(b, &r); err != nil {
		return standby.Record{}, &damageError{fmt.Errorf("%s: damaged: %w", path, err)}
	}
	return r, nil
}

// damageError is a file that a person must make anew. The agent goes on
// running, so that they can do it.
type damageError struct{ error }

func (e *damageError) Unwrap() error { return e.error }

func damaged(err error) bool {
	var d *damageError
	return errors.As(err, &d)
}

func (d *dir) saveIdentity(i Identity) error { return d.writeJSON(identityFile, i) }

func (d *dir) writeJSON(name string, v any) error {
	b, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return fmt.Errorf("encode %s: %w", name, err)
	}
	return d.write(name, append(b, '\n'))
}

// write replaces a file as a whole. After a power cut there is the old one or
// the new one: the data is on disk before the name points to it, and the name
// before write returns.
func (d *dir) write(name string, b []byte) error {
	tmp := d.file("." + name + ".new")
	f, err := os.OpenFile(tmp, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(b)
	if err = errors.Join(err, f.Sync(), f.Close()); err == nil {
		err = os.Rename(tmp, d.file(name))
	}
	if err != nil {
		return fmt.Errorf("write %s: %w", name, err)
	}
	return ownfile.SyncDir(d.path)
}

// readPrivate reads a file that nobody but its owner may read.
func readPrivate(path string, limit int64) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if ownfile.Readable(info) {
		return nil, fmt.Errorf("%s: others may read it (mode %04o), so it is no secret any more; "+
			"`chmod 600` it if you are sure that nobody did", path, info.Mode().Perm())
	}
	b, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err != nil {
		return nil, err
	}
	if int64(len(b)) > limit {
		return nil, fmt.Errorf("%s: larger than any of ours", path)
	}
	return b, nil
}
