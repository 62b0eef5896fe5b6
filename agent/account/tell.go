package account

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os/exec"
	"strings"
	"unicode"

	"trunkline/internal/program"
)

const (
	wordVersion = 1
	// administrator is the role that the account has on the PBX, whatever the
	// PBX calls it. It is not the super administrator's.
	administrator = "administrator"

	maxShown = 300 // of what a program says, in bytes
)

// Word is what the PBX is told: who its one dedicated account is from now on.
// The program gets it as one JSON object on its standard input, where neither
// the list of processes nor their environment shows the password.
type Word struct {
	User     string // "": there is no such account any more
	Password string // secret
	Was      string // another name that the account had so far
	// Doubt are names that the PBX may know besides, since nobody knows how a
	// run before has ended. They let nobody in from now on either.
	Doubt []string
}

// json is the form of version 1.
func (w Word) json() []byte {
	out := struct {
		Version  int      `json:"version"`
		User     string   `json:"user"`
		Password string   `json:"password,omitempty"`
		Role     string   `json:"role,omitempty"`
		Was      string   `json:"was,omitempty"`
		Doubt    []string `json:"doubt,omitempty"`
	}{Version: wordVersion, User: w.User, Password: w.Password, Was: w.Was, Doubt: w.Doubt}
	if w.User != "" {
		out.Role = administrator
	}
	return encode(out)
}

// encode leaves < > & as they are: who reads it with sed has less to undo.
func encode(v any) []byte {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		panic("BUG: encode strings: " + err.Error())
	}
	return b.Bytes()
}

// Error is why the PBX does not have the account as it was told.
type Error struct {
	Words   string // for the PBX's staff, with what the program said
	Unknown bool   // whether it may have it all the same
}

func (e *Error) Error() string { return e.Words }

// Tell runs the program. An error is an *Error.
func (c Config) Tell(ctx context.Context, w Word) error {
	said, err := program.Call{Argv: c.Command, Stdin: w.json(), Timeout: c.Timeout}.Run(ctx)
	var exit *exec.ExitError
	switch last := w.clean(said.Last); {
	case err == nil:
		return nil
	case errors.Is(err, program.ErrTime):
		return &Error{fmt.Sprintf("%s was ended after %s%s", c.Command[0], c.Timeout, quoted(last)), true}
	case errors.As(err, &exit) && !exit.Exited(): // something killed it
		return &Error{fmt.Sprintf("%s ended by a signal (%s)%s", c.Command[0], exit, quoted(last)), true}
	case errors.As(err, &exit):
		return &Error{fmt.Sprintf("%s ended with %s%s", c.Command[0], exit, quoted(last)), false}
	}
	return &Error{fmt.Sprintf("it could not be told: %v", err), false} // nothing has run
}

func quoted(s string) string {
	if s == "" {
		return " and said nothing"
	}
	return " and said: " + s
}

// clean is what a program says as staff may see it: printable, short, and
// without the password, which it may have said as it had got it.
func (w Word) clean(s string) string {
	if w.Password != "" {
		typed := strings.TrimSpace(string(encode(w.Password)))
		s = strings.NewReplacer(w.Password, "(the password)", typed[1:len(typed)-1], "(the password)").Replace(s)
	}
	s = strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(s, "?"))
	if len(s) > maxShown {
		s = strings.ToValidUTF8(s[:maxShown], "") + "..."
	}
	return strings.TrimSpace(s)
}
