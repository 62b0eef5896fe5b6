// Package controlapi is control's REST API as its callers see it: the JSON of
// requests and answers, and a client. The agent, tools and tests speak the API
// through it; control/api serves these very types and describes them in the
// OpenAPI document, so the two cannot drift.
//
// It decides nothing and knows neither SQL nor NATS: it goes into the agent,
// so it imports the standard library, internal/id and internal/fault only.
//
// Beside `json`, fields carry what control/api checks and documents:
//
//	path, query   where the value is, if not in the body
//	doc           a sentence for the reader of the OpenAPI document
//	min, max      bounds: characters of a string, value of an integer; or the name
//	              of a bound that the rules have
//	size          exact number of bytes of a []byte
//	enum          the values accepted, separated by commas
//	format        "password" or "email", as OpenAPI spells it
//
// A field of a request is required unless its tag says omitempty or omitzero.
// An answer may gain fields; a client ignores those it does not know.
package controlapi

// Base is the path under which this version of the API lives.
const Base = "/api/v1"

// HeartbeatEvery is how often an idle event stream sends a comment, in seconds.
// A client that hears nothing for three times as long takes the stream for dead.
const HeartbeatEvery = 15
