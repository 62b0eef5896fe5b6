package program

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os/exec"
	"time"
)

// ErrTime means that the program was ended because its time was over: what it
// had done by then nobody knows.
var ErrTime = errors.New("it took too long")

// letGo is how long what a program left behind may keep its output open.
const letGo = time.Second

// Call is one run of a program.
type Call struct {
	Argv    []string // the program, and its arguments
	Stdin   []byte
	Timeout time.Duration
	Stdout  int // bytes that are kept, from the beginning; one more shows that there were more
}

// Said is what a program has said.
type Said struct {
	Stdout []byte
	Last   string // line of stderr that is not empty; "" if none, or if it is longer than any should be
}

// Run returns when the program has ended, or ErrTime. An exit status other than
// 0 is an *exec.ExitError; what was said is there in any case.
func (c Call) Run(ctx context.Context) (Said, error) {
	ctx, cancel := context.WithTimeout(ctx, c.Timeout)
	defer cancel()
	cmd := exec.CommandContext(ctx, c.Argv[0], c.Argv[1:]...)
	alone(cmd)
	cmd.WaitDelay = letGo
	cmd.Stdin = bytes.NewReader(c.Stdin)
	out, tail := &head{max: c.Stdout + 1}, &lines{}
	cmd.Stdout, cmd.Stderr = out, tail
	err := cmd.Run()
	switch {
	case errors.Is(err, exec.ErrWaitDelay): // it went well, and has left something behind
		err = nil
	case err != nil && ctx.Err() != nil:
		err = ErrTime
	}
	if err != nil {
		err = fmt.Errorf("%s: %w", c.Argv[0], err)
	}
	return Said{Stdout: out.b, Last: tail.last()}, err
}
