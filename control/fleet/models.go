package fleet

import (
	"fmt"
	"strconv"
	"strings"

	"trunkline/internal/fault"
)

// ModelRule accepts a type of device from a firmware on.
type ModelRule struct {
	Name     string `yaml:"name"`         // as the PBX names itself, in any case
	Short    string `yaml:"short"`        // in the name a device gets at first
	Firmware string `yaml:"min_firmware"` // dotted numbers; "" accepts any
}

// DefaultModels are the types that remote management is known to work with.
func DefaultModels() []ModelRule {
	return []ModelRule{
		{Name: "P-Series Appliance Edition", Short: "P-Series Appliance", Firmware: "37.19.0.110"},
		{Name: "P-Series Software Edition", Short: "P-Series Software", Firmware: "83.19.0.110"},
	}
}

func (m ModelRule) check() error {
	if strings.TrimSpace(m.Name) == "" {
		return fmt.Errorf("device type without a name")
	}
	if m.Firmware == "" {
		return nil
	}
	if _, ok := parseFirmware(m.Firmware); !ok {
		return fmt.Errorf("device type %q: least firmware %q is not dotted numbers", m.Name, m.Firmware)
	}
	return nil
}

// acceptModel decides whether a device of this type and firmware may be
// activated, and gives the short form of the type's name.
func acceptModel(rules []ModelRule, others bool, model, firmware string) (short string, err error) {
	for _, r := range rules {
		if !strings.EqualFold(r.Name, model) {
			continue
		}
		if r.Firmware == "" {
			return r.short(), nil
		}
		need, _ := parseFirmware(r.Firmware)
		have, ok := parseFirmware(firmware)
		if !ok || less(have, need) {
			return "", fault.New(fault.FirmwareOld, "%s needs firmware %s or later, and this one has %q. Upgrade the PBX, then connect again.",
				r.Name, r.Firmware, firmware).In("firmware")
		}
		return r.short(), nil
	}
	if others {
		return model, nil
	}
	names := make([]string, len(rules))
	for i, r := range rules {
		names[i] = r.Name
	}
	return "", fault.New(fault.ModelRefused, "The device type %q is not accepted here. Accepted are: %s.", model, strings.Join(names, ", ")).In("model")
}

func (m ModelRule) short() string {
	if m.Short != "" {
		return m.Short
	}
	return m.Name
}

// parseFirmware reads up to 8 dotted numbers.
func parseFirmware(s string) ([]int, bool) {
	parts := strings.Split(s, ".")
	if len(parts) > 8 {
		return nil, false
	}
	out := make([]int, len(parts))
	for i, p := range parts {
		n, err := strconv.ParseUint(p, 10, 31)
		if err != nil {
			return nil, false
		}
		out[i] = int(n)
	}
	return out, true
}

// less compares part by part; a part that is missing counts as 0.
func less(a, b []int) bool {
	for i := range max(len(a), len(b)) {
		var x, y int
		if i < len(a) {
			x = a[i]
		}
		if i < len(b) {
			y = b[i]
		}
		if x != y {
			return x < y
		}
	}
	return false
}
