package cluster

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
)

// node is a machine of the installation.
type node struct {
	name string
	kind byte // of its address
	n    byte // of its kind, from 1
}

// Kinds of nodes, in their addresses.
const (
	kindRelay byte = iota + 1
	kindControl
	kindNATS
	kindDatabase
)

// network is what joins the nodes.
type network interface {
	String() string // for people
	add(node) error
	// addr is a node's IP address.
	addr(node) string
	// inside is what comes before a command that is to run on a node.
	inside(node) []string
	// cut takes a node off the network, and joins it again.
	cut(n node, off bool) error
}

// loopback has an address for each node, and one network for all.
type loopback struct{}

func (loopback) String() string       { return "loopback addresses" }
func (loopback) add(node) error       { return nil }
func (loopback) addr(n node) string   { return fmt.Sprintf("127.0.%d.%d", n.kind, n.n) }
func (loopback) inside(node) []string { return nil }

func (loopback) cut(node, bool) error {
	return errors.New("a node's network is cut in namespaces only: run as root")
}

// namespaces has a network namespace for each node, on one bridge in ours. The
// addresses are for tests of networks (RFC 2544, appendix C.2.2), and ours has no
// other interface: nothing gets out.
type namespaces struct{}

const bridge = "trunk0"

func newNamespaces() (namespaces, error) {
	return namespaces{}, commands(
		"mount -t tmpfs tmpfs /run/netns", // ours, and gone with us
		"ip link set lo up",
		"ip link add "+bridge+" type bridge",
		"ip addr add 198.18.0.1/16 dev "+bridge,
		"ip link set "+bridge+" up",
	)
}

func (namespaces) String() string         { return "a network namespace for each node" }
func (namespaces) addr(n node) string     { return fmt.Sprintf("198.18.%d.%d", n.kind, n.n) }
func (namespaces) inside(n node) []string { return []string{"ip", "netns", "exec", n.name} }

func (s namespaces) add(n node) error {
	mac := fmt.Sprintf("02:00:c6:12:%02x:%02x", n.kind, n.n)
	return commands(
		"ip netns add "+n.name,
		"ip link add "+port(n)+" type veth peer name eth0 address "+mac+" netns "+n.name,
		"ip link set "+port(n)+" master "+bridge+" up",
		"ip -n "+n.name+" addr add "+s.addr(n)+"/16 dev eth0",
		"ip -n "+n.name+" link set lo up",
		"ip -n "+n.name+" link set eth0 up",
		// Agents and browsers are far away: nothing tells them that a node is off
		// the network.
		"ip neigh add "+s.addr(n)+" lladdr "+mac+" dev "+bridge+" nud permanent",
	)
}

func port(n node) string { return "v-" + n.name }

func (namespaces) cut(n node, off bool) error {
	state := "up"
	if off {
		state = "down"
	}
	return commands("ip link set " + port(n) + " " + state)
}

func commands(lines ...string) error {
	for _, line := range lines {
		args := strings.Fields(line)
		if out, err := exec.Command(args[0], args[1:]...).CombinedOutput(); err != nil {
			return fmt.Errorf("%s: %w: %s", line, err, out)
		}
	}
	return nil
}

// isolated is set in the environment of a process that Isolate has started.
const isolated = "TRUNKLINE_CLUSTER_ISOLATED"

// Isolate starts this process's program anew, with the same arguments, in a
// network and a mount namespace of its own, where it may do as it likes. It
// returns in the new one, and where that can't be had: why is then said.
func Isolate() (why string) {
	if os.Getenv(isolated) != "" {
		return ""
	}
	if os.Getuid() != 0 {
		return "not root"
	}
	self, err := os.Executable()
	if err != nil {
		return err.Error()
	}
	unshare, err := exec.LookPath("unshare")
	if err != nil {
		return err.Error()
	}
	if out, err := exec.Command(unshare, "--net", "--mount", "true").CombinedOutput(); err != nil {
		return fmt.Sprintf("%v: %s", err, out)
	}
	if err := os.MkdirAll("/run/netns", 0o755); err != nil {
		return err.Error()
	}
	args := append([]string{unshare, "--net", "--mount", self}, os.Args[1:]...)
	return syscall.Exec(unshare, args, append(os.Environ(), isolated+"=1")).Error()
}

// newNetwork is namespaces in an isolated process, and else loopback.
func newNetwork() (network, error) {
	if os.Getenv(isolated) == "" {
		return loopback{}, nil
	}
	return newNamespaces()
}
