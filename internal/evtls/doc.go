// Package evtls lets a server's TLS connections cost no goroutine and no buffer
// while nothing comes: a few loops watch all their sockets, and crypto/tls is
// resumed on one when bytes are there.
//
//	raw := evtls.NewConn(poller, tcp)
//	c := tls.Server(raw, cfg)
//	... // handshake and the first words, blocking as ever
//	err := raw.Watch(c, func() (again bool) {
//		n, err := raw.TryRead(buf)
//		...
//		return !evtls.WouldBlock(err)
//	})
//
// Writing stays as it is, in the writer's own goroutine, and is gathered by the
// cork that a Conn contains.
//
// It is no event-loop framework: who has to wait for anything but bytes does so
// elsewhere. Where the system has no epoll, or this crypto/tls is not the one
// that was expected, the same calls are served by a goroutine per connection.
package evtls
