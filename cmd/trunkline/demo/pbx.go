package demo

import (
	"context"
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"

	"go.uber.org/zap"

	"trunkline/internal/id"
	"trunkline/internal/pbxsim"
)

// pbx is a simulated PBX and the agent on it.
type pbx struct {
	serial id.Serial
	name   string // of the agent's directory and log
	config string // the agent's, a path
	portal *pbxsim.Portal
}

func (d *demo) newPBX(sn id.Serial, company, name, facts string, log *zap.Logger) (p pbx, err error) {
	p = pbx{serial: sn, name: name}
	p.portal, err = pbxsim.New(pbxsim.Config{
		Listen: "127.0.0.1:0", Serial: string(sn), Model: model, Firmware: firmware, Name: company, FactsFile: facts,
		SuperAdmin: superUser, SuperPassword: superPassword, Local: "127.0.0.1:0",
	}, log.Named("pbx"))
	if err != nil {
		return p, fmt.Errorf("simulated PBX: %w", err)
	}
	p.config, err = d.writeAgentConfig(name, p.portal.LocalURL(), facts)
	return p, err
}

// pbxs are all that there are.
func (d *demo) pbxs() []pbx {
	if d.pair == nil {
		return []pbx{d.single}
	}
	return []pbx{d.single, d.pair.primary, d.pair.secondary}
}

func (p pbx) dir(d *demo) string { return filepath.Join(d.o.Data, p.name) }

// connect activates the PBX as its staff would, and sets its account for remote
// access: the PBX is a new one each time, and knows none of an earlier run. Doing
// it again is harmless, and tells an agent of an earlier run where the console is
// this time.
func (p pbx) connect(ctx context.Context, d *demo, email, password string) error {
	if err := p.command(ctx, d, password, "connect", "--server", d.planes.consoleURL(), "--ca", d.planes.caFile(),
		"--email", email, "--sn", string(p.serial), "--model", model, "--firmware", firmware); err != nil {
		return err
	}
	return p.command(ctx, d, adminPassword, "set", "account", adminUser)
}

// command is one of trunkline-agent's that asks for a password.
func (p pbx) command(ctx context.Context, d *demo, password string, args ...string) error {
	cmd := exec.CommandContext(ctx, d.o.Agent, append(args, "--config", p.config, "--data", p.dir(d), "--password-stdin")...)
	cmd.Stdin = strings.NewReader(password + "\n")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("trunkline-agent %s: %w\n%s", args[0], err, out)
	}
	return nil
}

// page is the URL of the PBX's Remote Management page, as its staff ask for it.
func (p pbx) page(ctx context.Context, d *demo) (string, error) {
	out, err := exec.CommandContext(ctx, d.o.Agent, "page", "url", "--data", p.dir(d)).Output()
	if err != nil {
		return "", fmt.Errorf("trunkline-agent page url: %w", err)
	}
	return strings.TrimSpace(string(out)), nil
}

func (p pbx) agent(d *demo, admin, page string) child {
	return child{
		name: "trunkline-" + p.name, path: d.o.Agent, log: d.logFile(p.name), say: d.say,
		args: []string{"run", "--config", p.config, "--data", p.dir(d), "--portal", p.portal.URL(), "--admin", admin, "--page", page},
	}
}
