package control

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"go.uber.org/zap"

	"trunkline/control/fleet"
)

// PasswordFile is where the first owner's password is written, mode 0600.
const PasswordFile = "admin-password"

// firstAdmin makes the owner of an empty installation. The password is on disk
// before the owner exists, so that a crash in between locks nobody out.
func (c *Control) firstAdmin(ctx context.Context, f *fleet.Fleet) error {
	path := filepath.Join(c.o.Data, PasswordFile)
	password, made, err := readOrMakePassword(path)
	if err != nil {
		return fmt.Errorf("first admin's password: %w", err)
	}
	created, err := f.Init(ctx, c.o.FirstAdmin, "Administrator", password)
	if err != nil {
		return fmt.Errorf("make the first admin: %w", err)
	}
	if created {
		c.log.Info("first admin made", zap.String("email", c.o.FirstAdmin), zap.String("password_file", path))
	} else if made { // of no use to anybody
		return os.Remove(path)
	}
	return nil
}

func readOrMakePassword(path string) (password string, made bool, err error) {
	b, err := os.ReadFile(path)
	if err == nil {
		// An editor or echo ends the line; no password does.
		if password = strings.TrimSpace(string(b)); password == "" {
			return "", false, fmt.Errorf("%s is empty: remove it, or write a password into it", path)
		}
		return password, false, nil
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return "", false, err
	}
	password = rand.Text()
	// A crash leaves no file or a whole one.
	f, err := os.CreateTemp(filepath.Dir(path), PasswordFile+".*") // mode 0600
	if err != nil {
		return "", false, err
	}
	_, err = f.WriteString(password)
	if err = errors.Join(err, f.Sync(), f.Close()); err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		return "", false, errors.Join(err, os.Remove(f.Name()))
	}
	return password, true, nil
}
