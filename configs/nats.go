// Package configs is the example configuration files. They are for people to
// copy; what a program wants of them it finds here.
package configs

import _ "embed"

// NATSServer is nats-server.conf.
//
//go:embed nats-server.conf
var NATSServer string
