package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"trunkline/agent/manage"
	"trunkline/internal/service"
)

// passwordFlags say where a password comes from. There is no flag for the
// password itself: it would be in everybody's ps.
type passwordFlags struct {
	file  string
	stdin bool
}

func (f *passwordFlags) add(c *cobra.Command, whose string) {
	c.Flags().StringVar(&f.file, "password-file", "", "file whose first line is "+whose)
	c.Flags().BoolVar(&f.stdin, "password-stdin", false, "read the password from standard input")
}

func (f *passwordFlags) check() error {
	if f.file != "" && f.stdin {
		return service.Usagef("give --password-file or --password-stdin, not both")
	}
	return nil
}

func (f *passwordFlags) given() bool { return f.file != "" || f.stdin }

// password reads the password from where the flags say, or asks for it.
func (f *passwordFlags) password(c *cobra.Command, ask string) (string, error) {
	switch {
	case f.file != "":
		file, err := os.Open(f.file)
		if err != nil {
			return "", service.Usagef("--password-file: %w", err)
		}
		defer file.Close()
		return readPassword(file)
	case f.stdin:
		return readPassword(c.InOrStdin())
	}
	return prompt(c.Context(), c.ErrOrStderr(), ask)
}

func readPassword(r io.Reader) (string, error) {
	b, err := io.ReadAll(io.LimitReader(r, manage.MaxPassword+3))
	if err != nil {
		return "", fmt.Errorf("read password: %w", err)
	}
	line, _, _ := strings.Cut(string(b), "\n")
	line = strings.TrimSuffix(line, "\r")
	switch {
	case line == "":
		return "", service.Usagef("the password is empty")
	case len(line) > manage.MaxPassword:
		return "", service.Usagef("the password is longer than %d characters", manage.MaxPassword)
	}
	return line, nil
}

// prompt asks on the terminal without echo. A signal gives the terminal its
// echo back; the read that it leaves behind ends with the process.
func prompt(ctx context.Context, out io.Writer, ask string) (string, error) {
	fd := int(os.Stdin.Fd())
	state, err := term.GetState(fd)
	if err != nil {
		return "", service.Usagef("there is no terminal to ask for the password on: give --password-file or --password-stdin")
	}
	type answer struct {
		b   []byte
		err error
	}
	fmt.Fprint(out, ask)
	got := make(chan answer, 1)
	go func() {
		b, err := term.ReadPassword(fd)
		got <- answer{b, err}
	}()
	select {
	case a := <-got:
		fmt.Fprintln(out)
		if a.err != nil {
			return "", fmt.Errorf("read password: %w", a.err)
		}
		return readPassword(strings.NewReader(string(a.b)))
	case <-ctx.Done():
		fmt.Fprintln(out)
		return "", errors.Join(errors.New("interrupted"), term.Restore(fd, state))
	}
}
