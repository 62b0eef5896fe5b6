package demo

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"

	"trunkline/internal/pbxsim"
)

// agentYAML declares the simulated PBX's sign-in form, so that a visit can be
// passwordless once both sides have switched that on, and how the PBX is told of
// its account for remote access.
const agentYAML = `portal:
  login:
    adapter: form
    form:
      page: /login
      action: /login
      user: %q
      password: %q
      user_field: username
      password_field: password
      token_field: csrf
      person_field: on_behalf_of
      success: {status: [303], cookie: pbx_session}
  account:
    command: [%q, demo, %s, %q]
`

// AccountCommand is the command of the demo that agents run.
const AccountCommand = "pbx-account"

// TellPBX hands the simulated PBX whose local door is at url what its agent says
// of the account for remote access.
func TellPBX(ctx context.Context, url string, word io.Reader) error {
	return pbxsim.OrderAccount(ctx, url, word)
}

// writeAgentConfig returns the path of an agent's configuration file. local is
// the PBX's door for programs; facts is where it says what it is in a pair, or "".
func (d *demo) writeAgentConfig(name, local, facts string) (string, error) {
	self, err := ourselves()
	if err != nil {
		return "", err
	}
	path := filepath.Join(d.o.Data, name+".yaml")
	text := fmt.Appendf(nil, agentYAML, superUser, superPassword, self, AccountCommand, local)
	if facts != "" {
		text = fmt.Appendf(text, "standby:\n  file: %q\n", facts)
	}
	if err := os.WriteFile(path, text, 0o600); err != nil {
		return "", fmt.Errorf("agent's configuration: %w", err)
	}
	return path, nil
}

// ourselves is this program's path. It goes by the name that it was started by,
// and not by its file: the next start of it is then what an upgrade has put there.
func ourselves() (string, error) {
	path, err := exec.LookPath(os.Args[0])
	if err == nil {
		path, err = filepath.Abs(path)
	}
	if err != nil {
		return "", fmt.Errorf("find this program: %w", err)
	}
	return path, nil
}
