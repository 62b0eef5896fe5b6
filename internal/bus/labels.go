package bus

import (
	"fmt"
	"regexp"
	"unicode"
	"unicode/utf8"
)

// Bounds of a lease's labels.
const (
	MaxLabels     = 16
	MaxLabelValue = 63 // bytes
)

var labelNames = regexp.MustCompile(`^[a-z0-9]([a-z0-9._-]{0,61}[a-z0-9])?$`)

// CheckLabels names what is wrong with labels.
func CheckLabels(labels map[string]string) error {
	if len(labels) > MaxLabels {
		return fmt.Errorf("%d labels: at most %d", len(labels), MaxLabels)
	}
	for k, v := range labels {
		if !labelNames.MatchString(k) {
			return fmt.Errorf("%q: a name has 1 to 63 lower-case letters, digits, dots, hyphens and underscores, and begins and ends with a letter or digit", k)
		}
		if len(v) > MaxLabelValue || !utf8.ValidString(v) {
			return fmt.Errorf("%s: a value has at most %d bytes of text", k, MaxLabelValue)
		}
		for _, r := range v {
			if !unicode.IsPrint(r) {
				return fmt.Errorf("%s: a value has printable characters only", k)
			}
		}
	}
	return nil
}
