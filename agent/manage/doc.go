// Package manage is Remote Management as the PBX's own staff have it: what they
// see, what they decide, and what is wrong with what they type. It is what the
// page (agent/page) and the command line (through agent/local) have in common.
//
// It knows neither the agent nor how its words are shown: the agent fills a
// View and does what Actions say.
package manage
