package clientaddr

import (
	"bytes"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
)

func resolver(t testing.TB, header string, trusted ...string) *Resolver {
	t.Helper()
	networks, err := Prefixes(trusted)
	if err != nil {
		t.Fatal(err)
	}
	r, err := New(Config{Trusted: networks, Header: header})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func request(peer string, header string, lines ...string) *http.Request {
	r := httptest.NewRequest("GET", "/", nil)
	r.RemoteAddr = peer
	for _, l := range lines {
		r.Header.Add(header, l)
	}
	return r
}

func TestOf(t *testing.T) {
	t.Parallel()
	const proxy = "10.0.0.1:4711"
	for _, c := range []struct {
		name, peer, header string
		lines              []string
		want               string
	}{
		{"no proxy", "192.0.2.1:1", XForwardedFor, nil, "192.0.2.1"},
		{"not trusted", "192.0.2.1:1", XForwardedFor, []string{"203.0.113.7"}, "192.0.2.1"},
		{"IPv4 as IPv6", "[::ffff:192.0.2.1]:1", XForwardedFor, nil, "192.0.2.1"},
		{"no header", proxy, XForwardedFor, nil, "10.0.0.1"},
		{"an address", proxy, XForwardedFor, []string{"203.0.113.7"}, "203.0.113.7"},
		{"with a port", proxy, XForwardedFor, []string{"203.0.113.7:51234"}, "203.0.113.7"},
		{"IPv6", proxy, XForwardedFor, []string{"2001:db8::1"}, "2001:db8::1"},
		{"IPv6 in brackets", proxy, XForwardedFor, []string{"[2001:db8::1]"}, "2001:db8::1"},
		{"IPv6 with a port", proxy, XForwardedFor, []string{"[2001:db8::1]:443"}, "2001:db8::1"},
		{"in quotes", proxy, XForwardedFor, []string{`"[2001:db8::1]:443"`}, "2001:db8::1"},
		{"hops", proxy, XForwardedFor, []string{"198.51.100.7, 203.0.113.5:80, 10.1.1.1:443"}, "203.0.113.5"},
		{"hops in lines", proxy, XForwardedFor, []string{"198.51.100.7", "203.0.113.5", "10.1.1.1"}, "203.0.113.5"},
		{"all trusted", proxy, XForwardedFor, []string{"10.9.9.9, 10.1.1.1"}, "10.9.9.9"},
		{"garbage ends the walk", proxy, XForwardedFor, []string{"203.0.113.5, unknown, 10.1.1.1"}, "10.1.1.1"},
		{"garbage alone", proxy, XForwardedFor, []string{"1.2.3.4.5"}, "10.0.0.1"},
		{"a port that is none", proxy, XForwardedFor, []string{"203.0.113.5:http"}, "10.0.0.1"},
		{"empty entries", proxy, XForwardedFor, []string{"203.0.113.5, ,"}, "203.0.113.5"},
		{"a zone", proxy, XForwardedFor, []string{"fe80::1%eth0"}, "fe80::1"},
		{"endless", proxy, XForwardedFor, []string{"203.0.113.5" + strings.Repeat(", 10.1.1.1", 1000)}, "10.1.1.1"},
		{"the other header", proxy, Forwarded, []string{"for=203.0.113.5"}, "10.0.0.1"},
	} {
		if got := resolver(t, "", "10.0.0.0/8").Of(request(c.peer, c.header, c.lines...)); got != netip.MustParseAddr(c.want) {
			t.Errorf("%s: %s, want %s", c.name, got, c.want)
		}
	}
	for _, c := range [][2]string{
		{"for=203.0.113.5", "203.0.113.5"},
		{`For="[2001:db8::1]:4711";proto=https;by=10.0.0.1`, "2001:db8::1"},
		{`proto=https; for="203.0.113.5:_x"`, "203.0.113.5"},
		{`for=198.51.100.7, for="203.0.113.5, 1.1.1.1"`, "10.0.0.1"},
		{"for=198.51.100.7, for=203.0.113.5;by=10.0.0.2, for=10.1.1.1", "203.0.113.5"},
		{"for=198.51.100.7, for=_hidden", "10.0.0.1"},
		{"for=198.51.100.7, proto=http", "10.0.0.1"},
	} {
		if got := resolver(t, Forwarded, "10.0.0.0/8").Of(request(proxy, Forwarded, c[0])); got != netip.MustParseAddr(c[1]) {
			t.Errorf("Forwarded: %s: %s, want %s", c[0], got, c[1])
		}
	}
}

// A proxy on the network of the shop that is not trusted is told of once, with what to
// set; what other clients send is not.
func TestWarnsOfAProxyThatIsNotTrusted(t *testing.T) {
	t.Parallel()
	var log bytes.Buffer
	r, err := New(Config{Log: slog.New(slog.NewTextHandler(&log, nil))})
	if err != nil {
		t.Fatal(err)
	}
	r.Of(request("203.0.113.5:1", XForwardedFor, "1.1.1.1"))
	r.Of(request("10.0.0.1:1", XForwardedFor))
	if log.Len() != 0 {
		t.Errorf("warned for nothing: %s", &log)
	}
	r.Of(request("10.0.0.1:1", XForwardedFor, "1.1.1.1"))
	r.Of(request("10.0.0.2:1", Forwarded, "for=1.1.1.1"))
	if text := log.String(); strings.Count(text, "\n") != 1 || !strings.Contains(text, "SOUK_GATEWAY_TRUSTED_PROXIES") || !strings.Contains(text, "10.0.0.1/32") {
		t.Errorf("warned: %s", text)
	}
}

func TestPrefixes(t *testing.T) {
	t.Parallel()
	for _, wrong := range []string{"everyone", "10.0.0.1", "10.0.0.0/33", "::ffff:10.0.0.0/104", ""} {
		if _, err := Prefixes([]string{"10.0.0.0/8", wrong}); err == nil || !strings.Contains(err.Error(), `"`+wrong+`"`) {
			t.Errorf("%q: %v", wrong, err)
		}
	}
	if _, err := New(Config{Header: "X-Real-IP"}); err == nil {
		t.Error("any header is taken")
	}
}

func FuzzOf(f *testing.F) {
	f.Add(`"[2001:db8::1]:443", 203.0.113.7:1`, "for=\"[::1]\";by=x, for=1.1.1.1")
	f.Fuzz(func(t *testing.T, x, forwarded string) {
		for header, value := range map[string]string{XForwardedFor: x, Forwarded: forwarded} {
			if addr := resolver(t, header, "10.0.0.0/8").Of(request("10.0.0.1:1", header, value)); !addr.IsValid() || addr.Zone() != "" || addr.Is4In6() {
				t.Errorf("%q: %v", value, addr)
			}
		}
	})
}
