// Package pbxsim is a simulated PBX: the web portal of an appliance on a
// customer's site, as it meets the agent on loopback. People look at it in the
// demo, tests drive it with a browser, benchmarks load it. Two of them make a
// [Pair] in hot standby. It is not a PBX, it holds no state on disk, and it knows nothing of Trunkline: whatever it needs
// to work behind a relay, a real portal would need too.
//
// # For people
//
//	/login /logout    sign-in by form. Two cookies: the session (Path=/, HttpOnly), and the form's
//	                  guard with Domain= set to the portal's own host. Redirects are absolute
//	                  URLs of the origin that the portal believes it has.
//	/                 dashboard of about 60 small assets; live figures over server-sent events (#sse-tick)
//	/extensions /trunks /cdr /recordings
//	/calls            call monitor over a WebSocket (#call-monitor, #tick, #tick-at)
//	/maintenance      firmware upload, device facts
//	/oplog            operation log: the super administrator only
//
// A sign-in as super administrator may say in on_behalf_of which person it is
// for, and so may the person's header beside a trusted one (Config): the page's
// top and the operation log name that person.
//
// There may be one account for remote access besides ([Portal.SetRemoteAccount]),
// with the Administrator role.
//
// # For programs on the PBX itself
//
// On an address of its own (Config.Local), on loopback, which visitors do not
// come to:
//
//	POST /remote-account   {"version":1,"user":"support","password":"..."}, application/json: that
//	                       account from now on, or with an empty user none; 409 with words if it cannot be
//
// # For programs that are signed in
//
//	/ws/calls                    JSON, one message a second
//	/events/system               server-sent events, one a second
//	/recordings/{n}/download     ?size=, Range, ETag, Content-Length: see [RecordingSHA256]
//	/recordings/{n}/stream       the same bytes, chunked
//	POST /maintenance/firmware   multipart form, or application/octet-stream with X-CSRF-Token;
//	                             answers {"bytes":N,"sha256":"..."}
//
// # For programs that are not
//
// /healthz, /ws/echo (text and binary up to 1 MiB) and the hard cases:
//
//	/test/slow?ms=                     headers after ms
//	/test/drip?n=&ms=&length=1|0       n pieces, ms apart, with Content-Length or chunked
//	/test/headers                      the request as it arrived, in JSON
//	/test/chunked /test/length         ?n= pieces of ?size= bytes
//	/test/trailers                     a body and its SHA-256 in a trailer
//	/test/redirect?to=&code=           absolute relative path scheme lan https upper elsewhere login
//	/test/cookies                      Set-Cookie with every attribute that matters to a mapping
//	/test/status/{code} /test/204 /test/304 /test/early-hints
//	/test/garbage?kind=                binary status header huge nul chunk short lengths smuggle
//	/test/reset?at=start|headers|body  RST there
//	/test/hang                         never answers
//	/test/early                        413 before the body is read
//	/test/close /test/http10           Connection: close; a body that ends with the connection
//	/test/1kb /test/64kb               constant bodies, cheap to serve
//	/test/bytes?n=&size=               a recording without a session
//	/test/upload?hash=1|0              an upload without a session
//	/test/events?n=&ms=                server-sent events without a session
//
// # Checks
//
// A Host that the portal does not know as its own gets 421. A request that
// changes state, or opens a WebSocket, with an Origin (or, without one, a
// Referer) other than the origin it is sent to gets 403. Both hold everywhere
// but on /healthz. A client that sends neither header is no browser and passes.
//
// The portal owns every connection it accepts, hijacked ones too: Run closes
// them and waits for every handler.
package pbxsim
