package demo

import (
	"fmt"
	"os"
	"path/filepath"
)

// agentYAML declares the simulated PBX's sign-in form, so that a visit can be
// passwordless once both sides have switched that on.
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
`

// writeAgentConfig returns the path of an agent's configuration file. facts is
// where its PBX says what it is in a pair, or "".
func (d *demo) writeAgentConfig(name, facts string) (string, error) {
	path := filepath.Join(d.o.Data, name+".yaml")
	text := fmt.Appendf(nil, agentYAML, superUser, superPassword)
	if facts != "" {
		text = fmt.Appendf(text, "standby:\n  file: %q\n", facts)
	}
	if err := os.WriteFile(path, text, 0o600); err != nil {
		return "", fmt.Errorf("agent's configuration: %w", err)
	}
	return path, nil
}
