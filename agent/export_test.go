package agent

// OriginForTest is a portal's origin as the relay is told it.
func OriginForTest(s string) (string, error) {
	o, err := parseOrigin(s)
	return o.String(), err
}
