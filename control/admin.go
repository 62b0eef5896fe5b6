package control

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"go.uber.org/zap"
)

// PasswordFile is where the first owner's password is written, mode 0600.
const PasswordFile = "admin-password"

// firstAdmin makes the owner of an empty installation. The password is on disk
// before the owner exists, so that a crash in between locks nobody out.
func (c *Control) firstAdmin(ctx context.Context) error {
	path := filepath.Join(c.o.Data, PasswordFile)
	password, made, err := readOrMakePassword(path)
	if err != nil {
		return fmt.Errorf("first admin's password: %w", err)
	}
	created, err := c.fleet.Init(ctx, c.o.FirstAdmin, "Administrator", password)
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
		return string(b), false, nil
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return "", false, err
	}
	password = rand.Text()
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return "", false, err
	}
	_, err = f.WriteString(password)
	return password, true, errors.Join(err, f.Sync(), f.Close())
}
