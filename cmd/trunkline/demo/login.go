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

// writeAgentConfig returns the path of the agent's configuration file.
func (d *demo) writeAgentConfig() (string, error) {
	path := filepath.Join(d.o.Data, "agent.yaml")
	err := os.WriteFile(path, fmt.Appendf(nil, agentYAML, superUser, superPassword), 0o600)
	if err != nil {
		return "", fmt.Errorf("agent's configuration: %w", err)
	}
	return path, nil
}
