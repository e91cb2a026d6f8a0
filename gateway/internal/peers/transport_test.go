package peers

import (
	"errors"
	"io"
	"net"
	"testing"
	"time"

	"github.com/hashicorp/memberlist"
)

// Strangers get a bounded number of connections of gossip, of each of which a bounded number of bytes is
// read.
func TestStrangersAreBounded(t *testing.T) {
	t.Parallel()
	cfg := memberlist.DefaultLocalConfig()
	cfg.BindAddr, cfg.BindPort, cfg.LogOutput = "127.0.0.1", 0, io.Discard
	transport, err := listen(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := transport.Shutdown(); err != nil {
			t.Error(err)
		}
	})
	dial := func() net.Conn {
		t.Helper()
		c, err := net.Dial("tcp", (&net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: cfg.BindPort}).String())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		return c
	}
	take := func() net.Conn {
		t.Helper()
		select {
		case c := <-transport.StreamCh():
			if err := c.SetReadDeadline(time.Now().Add(10 * time.Second)); err != nil {
				t.Fatal(err)
			}
			return c
		case <-time.After(10 * time.Second):
			t.Fatal("no connection is passed on")
			return nil
		}
	}
	var taken []net.Conn
	for range maxStreams {
		dial()
		taken = append(taken, take())
	}
	refused := func(what string) {
		t.Helper()
		c := dial()
		if err := c.SetReadDeadline(time.Now().Add(10 * time.Second)); err != nil {
			t.Fatal(err)
		}
		if _, err := c.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
			t.Errorf("%s: %v", what, err)
		}
	}
	refused("one more than there is room for")
	for range 2 { // memberlist closes some twice
		if err := taken[0].Close(); err != nil && !errors.Is(err, net.ErrClosed) {
			t.Error(err)
		}
	}
	talker := dial()
	go func() { _, _ = talker.Write(make([]byte, 2*maxStream)) }() // it is reset in the middle
	if n, err := io.Copy(io.Discard, take()); n != maxStream || !errors.Is(err, errTooLong) {
		t.Errorf("%d bytes are read: %v", n, err)
	}
	refused("another one after one that was closed twice")
}
