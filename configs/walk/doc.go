// Package walk is a newcomer's way through the example of three machines: its test
// does what docs/operations.md and README.md say, with their own commands, on
// machines that are network namespaces with a root directory each.
package walk
