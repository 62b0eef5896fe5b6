// Package boot has the systemd units run by systemd: its test starts one, as the first
// process of a container whose disk is a copy of this machine's, and does there what
// operators do and what happens to services.
package boot
