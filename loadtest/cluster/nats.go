package cluster

import (
	"context"
	"crypto/rand"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"trunkline/configs"
	"trunkline/internal/service"
	"trunkline/loadtest/target"
)

// Ports of nats-server: for clients, for its peers, and for those who watch it.
const (
	portNATS, portRoute, portMonitor = "4222", "6222", "8222"
)

// addNATS makes the nodes of the NATS cluster, each configured as
// configs/nats-server.conf says.
func (c *Cluster) addNATS(program string, nodes int) error {
	var routes, servers []string
	for i := range nodes {
		n := node{fmt.Sprintf("nats-%d", i+1), kindNATS, byte(i + 1)}
		if err := c.net.add(n); err != nil {
			return err
		}
		c.nats = append(c.nats, &member{node: n})
		routes = append(routes, "nats://"+c.at(n, portRoute))
		servers = append(servers, "nats://"+c.at(n, portNATS))
	}
	c.bus = strings.Join(servers, ",")
	for _, m := range c.nats {
		conf, err := c.natsConf(m.node, routes)
		if err != nil {
			return err
		}
		file := c.path(m.name + ".conf")
		if err := os.WriteFile(file, []byte(conf), 0o600); err != nil {
			return err
		}
		health := "http://" + c.at(m.node, portMonitor) + "/healthz"
		m.Process = c.process(m.node, []string{program, "-c", file}, func(ctx context.Context) error { return service.Answers(ctx, health) })
	}
	return nil
}

// tlsBlock is left out: in a test nobody else is on the network.
var tlsBlock = regexp.MustCompile(`(?s)\ntls \{.*?\n\}\n`)

func (c *Cluster) natsConf(n node, routes []string) (string, error) {
	text := tlsBlock.ReplaceAllString(configs.NATSServer, "\n")
	from, to := strings.Index(text, "  relay-1 {\n"), strings.LastIndex(text, "}")
	first := text[from:to]
	for i := range c.relays[1:] {
		relay := c.relays[i+1].name
		text = text[:to] + strings.NewReplacer("relay-1", relay, "RELAY_1", envName(relay)).Replace(first) + text[to:]
		to = strings.LastIndex(text, "}")
	}
	for _, who := range append([]*member{{node: node{name: "control"}}}, c.relays...) {
		secret := "x" + rand.Text()
		file := c.path(who.name + ".password")
		if old, err := os.ReadFile(file); err == nil {
			secret = string(old)
		} else if err := os.WriteFile(file, []byte(secret), 0o600); err != nil {
			return "", err
		}
		text = strings.ReplaceAll(text, "$TRUNKLINE_"+envName(who.name)+"_PASSWORD", secret)
	}
	for old, now := range map[string]string{
		"server_name: trunkline": "server_name: " + n.name,
		"0.0.0.0:4222":           c.at(n, portNATS),
		"/var/lib/nats":          filepath.Join(c.dir, n.name),
	} {
		if !strings.Contains(text, old) {
			return "", fmt.Errorf("configs/nats-server.conf has no %q", old)
		}
		text = strings.ReplaceAll(text, old, now)
	}
	return text + fmt.Sprintf("\nhttp: %q\ncluster { name: trunkline, listen: %q, routes: [%s] }\n",
		c.at(n, portMonitor), c.at(n, portRoute), strings.Join(routes, ", ")), nil
}

func envName(s string) string { return strings.ToUpper(strings.ReplaceAll(s, "-", "_")) }

// member is a node with its one process.
type member struct {
	node
	*target.Process
}
