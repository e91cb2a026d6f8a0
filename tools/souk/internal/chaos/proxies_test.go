package chaos

import (
	"bufio"
	"errors"
	"io"
	"net"
	"strings"
	"syscall"
	"testing"
	"time"
)

// echo answers each line with itself, in a server behind a proxy.
func echo(t *testing.T) (*Proxies, string) {
	t.Helper()
	lis, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	go func() {
		for {
			conn, err := lis.Accept()
			if err != nil {
				return
			}
			go func() { defer conn.Close(); _, _ = io.Copy(conn, conn) }()
		}
	}()
	w := NewProxies()
	addr, err := w.Route("order", "catalog", lis.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := errors.Join(w.Heal(), w.Close(), lis.Close()); err != nil {
			t.Error(err)
		}
	})
	return w, addr
}

// caller is the other end.
type caller struct {
	net.Conn
	in *bufio.Reader
}

func call(t *testing.T, addr string) *caller {
	t.Helper()
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return &caller{conn, bufio.NewReader(conn)}
}

// say sends a line and returns what comes back within a time.
func (c *caller) say(t *testing.T, line string, within time.Duration) (string, error) {
	t.Helper()
	if _, err := io.WriteString(c, line+"\n"); err != nil {
		return "", err
	}
	return c.hear(within)
}

func (c *caller) hear(within time.Duration) (string, error) {
	_ = c.SetReadDeadline(time.Now().Add(within))
	line, err := c.in.ReadString('\n')
	return strings.TrimSuffix(line, "\n"), err
}

const (
	soon  = 100 * time.Millisecond
	later = 10 * time.Second
)

func TestAProxyWithoutToxics(t *testing.T) {
	t.Parallel()
	w, addr := echo(t)
	c := call(t, addr)
	for _, line := range []string{"a", strings.Repeat("b", 1<<20), "c"} {
		if got, err := c.say(t, line, later); err != nil || got != line {
			t.Fatalf("%d bytes came back as %d: %v", len(line), len(got), err)
		}
	}
	if err := c.Conn.(*net.TCPConn).CloseWrite(); err != nil {
		t.Fatal(err)
	}
	if _, err := c.hear(later); !errors.Is(err, io.EOF) {
		t.Errorf("after the end: %v", err)
	}
	if n := w.Affected(); n != 0 {
		t.Errorf("%d affected", n)
	}
}

func TestALossIsOneWayAndMadeUpFor(t *testing.T) {
	t.Parallel()
	for _, way := range [][2]string{{"order", "catalog"}, {"catalog", "order"}} {
		w, addr := echo(t)
		c := call(t, addr)
		if n := w.Disturb(way[0], way[1], Toxic{Lose: true}); n != 1 {
			t.Fatalf("%v: %d proxies", way, n)
		}
		if got, err := c.say(t, "hello", soon); !errors.Is(err, syscall.ETIMEDOUT) && !isTimeout(err) {
			t.Errorf("%v: heard %q, %v", way, got, err)
		}
		for w.Affected() != 1 && t.Context().Err() == nil { // it is read before it is lost
			<-time.After(time.Millisecond)
		}
		if err := w.Heal(); err != nil {
			t.Fatal(err)
		}
		if got, err := c.hear(later); err != nil || got != "hello" {
			t.Errorf("%v: after healing heard %q, %v", way, got, err)
		}
	}
	w, _ := echo(t)
	if n := w.Disturb("cart", "order", Toxic{Lose: true}); n != 0 {
		t.Errorf("%d proxies disturbed that do not exist", n)
	}
}

func isTimeout(err error) bool {
	t, ok := errors.AsType[net.Error](err)
	return ok && t.Timeout()
}

func TestADelay(t *testing.T) {
	t.Parallel()
	w, addr := echo(t)
	c := call(t, addr)
	w.Disturb("", "", Toxic{Delay: soon})
	began := time.Now()
	if got, err := c.say(t, "hello", later); err != nil || got != "hello" {
		t.Fatalf("heard %q, %v", got, err)
	}
	if took := time.Since(began); took < 2*soon {
		t.Errorf("there and back took %s", took)
	}
	if w.Affected() != 2 {
		t.Errorf("%d affected", w.Affected())
	}
}

func TestConnectionsEnd(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		toxic Toxic
		way   [2]string
		want  string
		err   error
	}{
		"reset":    {Toxic{Reset: 1}, [2]string{"order", "catalog"}, "", syscall.ECONNRESET},
		"truncate": {Toxic{Truncate: 1}, [2]string{"catalog", "order"}, "hel", io.EOF},
	} {
		w, addr := echo(t)
		c := call(t, addr)
		w.Disturb(test.way[0], test.way[1], test.toxic)
		if got, err := c.say(t, "hello", later); got != test.want || !errors.Is(err, test.err) {
			t.Errorf("%s: heard %q, %v", name, got, err)
		}
		if w.Affected() != 1 {
			t.Errorf("%s: %d affected", name, w.Affected())
		}
		if err := w.Heal(); err != nil {
			t.Fatal(err)
		}
		if got, err := call(t, addr).say(t, "again", later); err != nil || got != "again" {
			t.Errorf("%s: after healing heard %q, %v", name, got, err)
		}
	}
}

func TestARefusal(t *testing.T) {
	t.Parallel()
	w, addr := echo(t)
	open := call(t, addr)
	if got, err := open.say(t, "hello", later); err != nil || got != "hello" {
		t.Fatalf("heard %q, %v", got, err)
	}
	w.Disturb("order", "catalog", Toxic{Refuse: true})
	if got, err := open.hear(later); !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("the open connection heard %q, %v", got, err)
	}
	// The reset may arrive before connect returns.
	conn, err := net.Dial("tcp", addr)
	if err == nil {
		defer conn.Close()
		_, err = conn.Read(make([]byte, 1))
	}
	if !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("a new connection ended with %v", err)
	}
	if w.Affected() < 2 {
		t.Errorf("%d affected", w.Affected())
	}
}
