package chaos

import (
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// Harm is what happens to the bytes that a wire carries one way.
type Harm struct {
	// Lose keeps everything from arriving: connections stay, and nothing comes
	// out. As with TCP, what was lost arrives after healing, if both sides still
	// want it.
	Lose bool
	// Delay is how much later all arrives.
	Delay time.Duration
	// Refuse resets each connection, new ones at once.
	Refuse bool
	// Reset is the share (0 to 1) of messages upon which the connection is reset.
	Reset float64
	// Truncate is the share of messages of which half arrives, and then the
	// connection's end.
	Truncate float64
}

// Wires are the connections between the shop's parts, each of which can be
// harmed. They see bytes, and take for a message what arrives at once.
type Wires struct {
	hits atomic.Int64

	mu    sync.Mutex
	wires []*wire
}

// NewWires returns wires that are whole.
func NewWires() *Wires { return &Wires{} }

// wire is how one part reaches another: a listener and its connections.
type wire struct {
	from, to, target string
	listener         net.Listener
	hits             *atomic.Int64

	mu    sync.Mutex
	conns map[net.Conn]bool
	// harm that is done there (of what from sends) and back (of the answers);
	// changed is closed when it changes.
	harm    [2]Harm
	changed chan struct{}
}

const (
	there = 0
	back  = 1
)

// Route is for localshop.Options.Route.
func (w *Wires) Route(from, to, addr string) (string, error) {
	lis, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	wr := &wire{from: from, to: to, target: addr, listener: lis, hits: &w.hits, conns: map[net.Conn]bool{}, changed: make(chan struct{})}
	w.mu.Lock()
	w.wires = append(w.wires, wr)
	w.mu.Unlock()
	go wr.accept()
	return lis.Addr().String(), nil
}

// Hurt harms what sender sends to receiver, whichever of them connects; "" is
// any. It returns how many wires that are.
func (w *Wires) Hurt(sender, receiver string, h Harm) (n int) {
	fits := func(want, is string) bool { return want == "" || want == is }
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, wr := range w.wires {
		if fits(sender, wr.from) && fits(receiver, wr.to) {
			wr.hurt(there, h)
			n++
		}
		if fits(sender, wr.to) && fits(receiver, wr.from) {
			wr.hurt(back, h)
			n++
		}
	}
	return n
}

// Hits is how many messages or connections came to harm so far.
func (w *Wires) Hits() int { return int(w.hits.Load()) }

// Heal mends all wires.
func (w *Wires) Heal() error {
	w.Hurt("", "", Harm{})
	return nil
}

// Close ends all connections and listeners.
func (w *Wires) Close() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	var err error
	for _, wr := range w.wires {
		err = errors.Join(err, wr.listener.Close())
		wr.cut()
	}
	w.wires = nil
	return err
}

func (w *wire) hurt(way int, h Harm) {
	w.mu.Lock()
	w.harm[way] = h
	close(w.changed)
	w.changed = make(chan struct{})
	w.mu.Unlock()
	if h.Refuse {
		w.cut()
	}
}

// now is the harm done one way, and what tells of its change.
func (w *wire) now(way int) (Harm, <-chan struct{}) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.harm[way], w.changed
}

// cut resets all connections.
func (w *wire) cut() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.hits.Add(int64(len(w.conns) / 2)) // it has two ends here
	for c := range w.conns {
		reset(c)
	}
	clear(w.conns)
}

func reset(c net.Conn) {
	_ = c.(*net.TCPConn).SetLinger(0) // it may be closed already
	_ = c.Close()
}

func (w *wire) accept() {
	for {
		conn, err := w.listener.Accept()
		if err != nil {
			return // closed
		}
		go w.connect(conn)
	}
}

// connect carries a connection to its end.
func (w *wire) connect(near net.Conn) {
	if h, _ := w.now(there); h.Refuse {
		w.hits.Add(1)
		reset(near)
		return
	}
	far, err := new(net.Dialer).DialContext(context.Background(), "tcp", w.target)
	if err != nil {
		reset(near)
		return
	}
	w.mu.Lock()
	refused := w.harm[there].Refuse // since it was asked, and all others were cut
	if !refused {
		w.conns[near], w.conns[far] = true, true
	}
	w.mu.Unlock()
	if refused {
		w.hits.Add(1)
		reset(near)
		reset(far)
		return
	}
	ctx, end := context.WithCancel(context.Background())
	var ways sync.WaitGroup
	ways.Go(func() { w.carry(ctx, end, there, near, far) })
	ways.Go(func() { w.carry(ctx, end, back, far, near) })
	ways.Wait()
	end()
	w.mu.Lock()
	delete(w.conns, near)
	delete(w.conns, far)
	w.mu.Unlock()
	near.Close()
	far.Close()
}

// message is what arrived at once; the last has the reason why there is no more.
type message struct {
	at   time.Time
	data []byte
	err  error
}

// carry moves bytes one way. Reading goes on while what was read is held back,
// so that a delay is no limit of speed. end resets both connections.
func (w *wire) carry(ctx context.Context, end context.CancelFunc, way int, from, to net.Conn) {
	abort := func() { reset(from); reset(to); end() }
	queue := make(chan message, 256)
	go func() {
		defer close(queue)
		for {
			b := make([]byte, 16<<10)
			n, err := from.Read(b)
			select {
			case queue <- message{time.Now(), b[:n], err}:
			case <-ctx.Done():
				return
			}
			if err != nil {
				return
			}
		}
	}()
	for m := range queue {
		h, ok := w.await(ctx, way, m)
		if !ok {
			return
		}
		if len(m.data) > 0 {
			switch chance := rand.Float64(); { //nolint:gosec // no secret
			case chance < h.Reset:
				w.hits.Add(1)
				abort()
				return
			case chance < h.Reset+h.Truncate:
				w.hits.Add(1)
				_, _ = to.Write(m.data[:len(m.data)/2]) // the other side may have gone
				_ = to.Close()
				_ = from.Close()
				end()
				return
			}
			if _, err := to.Write(m.data); err != nil {
				abort()
				return
			}
		}
		if errors.Is(m.err, io.EOF) {
			_ = to.(*net.TCPConn).CloseWrite() // the other side may have gone
			return
		}
		if m.err != nil {
			abort()
			return
		}
	}
}

// await waits until a message that was read at a time may arrive, and returns
// what else is done to it; false when the connection ended meanwhile.
func (w *wire) await(ctx context.Context, way int, m message) (Harm, bool) {
	for hit := false; ; {
		h, changed := w.now(way)
		if !h.Lose && h.Delay == 0 {
			return h, true
		}
		if !hit && len(m.data) > 0 {
			w.hits.Add(1)
			hit = true
		}
		var arrives <-chan time.Time // never
		if !h.Lose {
			arrives = time.After(time.Until(m.at.Add(h.Delay)))
		}
		select {
		case <-arrives:
			return h, true
		case <-changed:
		case <-ctx.Done():
			return h, false
		}
	}
}
