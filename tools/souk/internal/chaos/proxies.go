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

// Toxic is what happens to the bytes that a proxy carries one way.
type Toxic struct {
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

// Proxies are the connections between the shop's parts, each of which can be
// disturbed. A message is the bytes that arrive at once.
type Proxies struct {
	affected atomic.Int64

	mu      sync.Mutex
	proxies []*proxy
}

// NewProxies returns proxies without toxics.
func NewProxies() *Proxies { return &Proxies{} }

// proxy is how one part reaches another: a listener and its connections.
type proxy struct {
	from, to, target string
	listener         net.Listener
	affected         *atomic.Int64

	mu    sync.Mutex
	conns map[net.Conn]bool
	// toxics of one way, there (what from sends) and back (the answers);
	// changed is closed when it changes.
	toxics  [2]Toxic
	changed chan struct{}
}

const (
	there = 0
	back  = 1
)

// Route is for localshop.Options.Route.
func (w *Proxies) Route(from, to, addr string) (string, error) {
	lis, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	p := &proxy{from: from, to: to, target: addr, listener: lis, affected: &w.affected, conns: map[net.Conn]bool{}, changed: make(chan struct{})}
	w.mu.Lock()
	w.proxies = append(w.proxies, p)
	w.mu.Unlock()
	go p.accept()
	return lis.Addr().String(), nil
}

// Disturb applies a toxic to what sender sends to receiver, whichever of them connects; "" is
// any. It returns how many proxies that are.
func (w *Proxies) Disturb(sender, receiver string, h Toxic) (n int) {
	fits := func(want, is string) bool { return want == "" || want == is }
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, p := range w.proxies {
		if fits(sender, p.from) && fits(receiver, p.to) {
			p.disturb(there, h)
			n++
		}
		if fits(sender, p.to) && fits(receiver, p.from) {
			p.disturb(back, h)
			n++
		}
	}
	return n
}

// Affected is how many messages or connections a toxic has changed so far.
func (w *Proxies) Affected() int { return int(w.affected.Load()) }

// Heal removes all toxics.
func (w *Proxies) Heal() error {
	w.Disturb("", "", Toxic{})
	return nil
}

// Close ends all connections and listeners.
func (w *Proxies) Close() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	var err error
	for _, p := range w.proxies {
		err = errors.Join(err, p.listener.Close())
		p.cut()
	}
	w.proxies = nil
	return err
}

func (w *proxy) disturb(way int, h Toxic) {
	w.mu.Lock()
	w.toxics[way] = h
	close(w.changed)
	w.changed = make(chan struct{})
	w.mu.Unlock()
	if h.Refuse {
		w.cut()
	}
}

// now is the toxic of one way, and a channel that is closed when it changes.
func (w *proxy) now(way int) (Toxic, <-chan struct{}) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.toxics[way], w.changed
}

// cut resets all connections.
func (w *proxy) cut() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.affected.Add(int64(len(w.conns) / 2)) // it has two ends here
	for c := range w.conns {
		reset(c)
	}
	clear(w.conns)
}

func reset(c net.Conn) {
	_ = c.(*net.TCPConn).SetLinger(0) // it may be closed already
	_ = c.Close()
}

func (w *proxy) accept() {
	for {
		conn, err := w.listener.Accept()
		if err != nil {
			return // closed
		}
		go w.connect(conn)
	}
}

// connect carries a connection to its end.
func (w *proxy) connect(near net.Conn) {
	if h, _ := w.now(there); h.Refuse {
		w.affected.Add(1)
		reset(near)
		return
	}
	far, err := new(net.Dialer).DialContext(context.Background(), "tcp", w.target)
	if err != nil {
		reset(near)
		return
	}
	w.mu.Lock()
	refused := w.toxics[there].Refuse // since the check above, and all others were cut
	if !refused {
		w.conns[near], w.conns[far] = true, true
	}
	w.mu.Unlock()
	if refused {
		w.affected.Add(1)
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
func (w *proxy) carry(ctx context.Context, end context.CancelFunc, way int, from, to net.Conn) {
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
			switch chance := rand.Float64(); { // no secret
			case chance < h.Reset:
				w.affected.Add(1)
				abort()
				return
			case chance < h.Reset+h.Truncate:
				w.affected.Add(1)
				_, _ = to.Write(m.data[:len(m.data)/2]) // the other side may have closed
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
			_ = to.(*net.TCPConn).CloseWrite() // the other side may have closed
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
func (w *proxy) await(ctx context.Context, way int, m message) (Toxic, bool) {
	for hit := false; ; {
		h, changed := w.now(way)
		if !h.Lose && h.Delay == 0 {
			return h, true
		}
		if !hit && len(m.data) > 0 {
			w.affected.Add(1)
			hit = true
		}
		var arrives <-chan time.Time // never
		if !h.Lose {
			timer := time.NewTimer(time.Until(m.at.Add(h.Delay)))
			defer timer.Stop()
			arrives = timer.C
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
