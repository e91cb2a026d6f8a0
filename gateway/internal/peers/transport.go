package peers

import (
	"errors"
	"log" //nolint:depguard // memberlist takes no other logger
	"net"
	"sync"

	"github.com/hashicorp/memberlist"
)

const (
	// maxStreams bounds the connections of gossip that are read at a time. A member has one with
	// another for some milliseconds every syncEvery.
	maxStreams = 32
	// maxStream bounds, in bytes, what is read of one. memberlist reads a message whole before it knows
	// whether who sends it has the key, up to 20 MiB. What a member tells is some hundred bytes for
	// each member: this is enough for a thousand.
	maxStream = 512 << 10
	// anyPortTries is how often any free port is looked for: one that is free by TCP may be in use by UDP.
	anyPortTries = 10
)

// transport is memberlist's own, of which strangers get no more than a little memory: maxStreams times
// maxStream, for reachTime. UDP is bounded already: a packet is 64 KiB at most, and packets are taken one
// at a time.
type transport struct {
	*memberlist.NetTransport
	streams chan net.Conn
	room    chan struct{}
	ended   chan struct{}
	end     func()
}

// listen listens where a configuration says, and writes the port into it that was any.
func listen(cfg *memberlist.Config) (*transport, error) {
	opts := &memberlist.NetTransportConfig{BindAddrs: []string{cfg.BindAddr}, BindPort: cfg.BindPort, Logger: log.New(cfg.LogOutput, "", log.LstdFlags)}
	below, err := memberlist.NewNetTransport(opts)
	for range anyPortTries {
		if err == nil || cfg.BindPort != 0 {
			break
		}
		below, err = memberlist.NewNetTransport(opts)
	}
	if err != nil {
		return nil, err
	}
	if cfg.BindPort == 0 {
		cfg.BindPort = below.GetAutoBindPort()
		cfg.AdvertisePort = cfg.BindPort
	}
	t := &transport{NetTransport: below, streams: make(chan net.Conn), room: make(chan struct{}, maxStreams), ended: make(chan struct{})}
	t.end = sync.OnceFunc(func() { close(t.ended) })
	go t.admit()
	return t, nil
}

// StreamCh implements memberlist.Transport.
func (t *transport) StreamCh() <-chan net.Conn { return t.streams }

// Shutdown implements memberlist.Transport.
func (t *transport) Shutdown() error {
	err := t.NetTransport.Shutdown() // it may wait until a connection is taken
	t.end()
	return err
}

// admit passes connections on while there is room for them.
func (t *transport) admit() {
	for {
		select {
		case c := <-t.NetTransport.StreamCh():
			select {
			case t.room <- struct{}{}:
				go t.pass(&stream{Conn: c, left: maxStream, leave: sync.OnceFunc(func() { <-t.room })})
			default:
				_ = c.Close() // members come again
			}
		case <-t.ended:
			return
		}
	}
}

func (t *transport) pass(s *stream) {
	select {
	case t.streams <- s:
	case <-t.ended:
		_ = s.Close()
	}
}

// errTooLong is more than a member has to tell.
var errTooLong = errors.New("peers: too long for gossip")

// stream is a connection of which a bounded number of bytes is read.
type stream struct {
	net.Conn
	left  int
	leave func()
}

// Read implements net.Conn.
func (s *stream) Read(b []byte) (int, error) {
	if s.left == 0 {
		return 0, errTooLong
	}
	n, err := s.Conn.Read(b[:min(len(b), s.left)])
	s.left -= n
	return n, err
}

// Close implements net.Conn.
func (s *stream) Close() error {
	s.leave()
	return s.Conn.Close()
}
