package control_test

import (
	"strings"
	"testing"

	"trunkline/control"
)

func TestValidateNamesTheBusOnce(t *testing.T) {
	c := control.Default()
	c.Zone = "pbx.example.com"
	c.Bus.URL = "http://nats.example.com"
	err := c.Validate()
	if err == nil || !strings.Contains("\n"+err.Error(), "\nbus: url: ") {
		t.Errorf("got %v; want a line that begins with the key, bus: url", err)
	}
}
