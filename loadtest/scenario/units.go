package scenario

import (
	"fmt"
	"math"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// Size is a number of bytes: 512, 64KiB, 2MiB, 1GiB.
type Size int64

// Rate is bits a second: 512kbit, 10Mbit, 1Gbit; 0 is no limit.
type Rate int64

var (
	sizeUnits = []unit{{"GiB", 1 << 30}, {"MiB", 1 << 20}, {"KiB", 1 << 10}, {"", 1}}
	rateUnits = []unit{{"Gbit", 1e9}, {"Mbit", 1e6}, {"kbit", 1e3}, {"bit", 1}}
)

type unit struct {
	name string
	is   int64
}

func (s *Size) UnmarshalYAML(n *yaml.Node) (err error) {
	*s, err = quantity[Size](n, sizeUnits, "64KiB")
	return err
}

func (r *Rate) UnmarshalYAML(n *yaml.Node) (err error) {
	if n.Value == "0" {
		return nil
	}
	*r, err = quantity[Rate](n, rateUnits, "10Mbit")
	return err
}

func (s Size) MarshalYAML() (any, error) { return text(int64(s), sizeUnits), nil }
func (r Rate) MarshalYAML() (any, error) { return text(int64(r), rateUnits), nil }

func text(v int64, units []unit) string {
	for _, u := range units {
		if v != 0 && v%u.is == 0 {
			return strconv.FormatInt(v/u.is, 10) + u.name
		}
	}
	return "0"
}

func quantity[T ~int64](n *yaml.Node, units []unit, example string) (T, error) {
	for _, u := range units {
		digits, ok := strings.CutSuffix(n.Value, u.name)
		if !ok || n.Kind != yaml.ScalarNode {
			continue
		}
		v, err := strconv.ParseUint(digits, 10, 63)
		if err != nil || v > uint64(math.MaxInt64/u.is) {
			break
		}
		return T(v) * T(u.is), nil
	}
	return 0, fmt.Errorf("line %d: %q is not a whole number with a unit, as %s", n.Line, clip(n.Value), example)
}

// clip keeps a hostile file from filling the terminal.
func clip(s string) string {
	if len(s) > 40 {
		return s[:40] + "..."
	}
	return s
}
