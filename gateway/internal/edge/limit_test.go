package edge

import (
	"net/http/httptest"
	"net/netip"
	"testing"
	"time"
)

func TestLimiter(t *testing.T) {
	t.Parallel()
	now := time.Unix(1_000_000, 0)
	l := NewLimiter(LimitConfig{
		PerSecond: 2, Burst: 4, Now: func() time.Time { return now },
		TrustedProxies: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")},
	})
	ask := func(peer, forwarded string) bool {
		r := httptest.NewRequest("GET", "/", nil)
		r.RemoteAddr = peer
		r.Header.Set("X-Forwarded-For", forwarded)
		_, ok := l.take(l.client(r))
		return ok
	}
	for i := range 6 {
		if got := ask("192.0.2.1:1", ""); got != (i < 4) {
			t.Errorf("request %d: %v", i, got)
		}
	}
	if !ask("192.0.2.2:1", "") {
		t.Error("one client's requests count for another")
	}
	if ask("192.0.2.1:1", "203.0.113.1") {
		t.Error("an untrusted peer's X-Forwarded-For was believed")
	}
	now = now.Add(time.Second)
	if !ask("192.0.2.1:1", "") || !ask("192.0.2.1:2", "") || ask("192.0.2.1:3", "") {
		t.Error("two tokens a second did not come back")
	}
	for range 4 {
		ask("10.0.0.1:1", "198.51.100.7, 203.0.113.5, 10.1.1.1")
	}
	if ask("10.2.0.1:1", "1.1.1.1, 203.0.113.5") || !ask("10.0.0.1:1", "203.0.113.6") {
		t.Error("behind a trusted proxy the last untrusted address is the client")
	}
	for range 4 {
		ask("[2001:db8::1]:1", "")
	}
	if ask("[2001:db8::2]:1", "") || !ask("[2001:db8:0:1::1]:1", "") {
		t.Error("an IPv6 client is its /64")
	}
	now = now.Add(time.Hour)
	ask("192.0.2.1:1", "")
	total := 0
	for i := range l.shards {
		total += len(l.shards[i].buckets)
	}
	if total > 8 {
		t.Errorf("%d buckets are kept", total)
	}
}
