// Package clientaddr finds the address of the client that a request is counted for,
// behind proxies, too.
package clientaddr

import (
	"fmt"
	"log/slog"
	"net/http"
	"net/netip"
	"strings"
	"sync/atomic"
)

// The headers in which a proxy says for whom it asks.
const (
	XForwardedFor = "X-Forwarded-For"
	Forwarded     = "Forwarded" // RFC 7239
)

// maxHops bounds the walk: no path to a shop has more proxies, and a header may have
// thousands of entries.
const maxHops = 16

// Config says whose word on addresses is taken.
type Config struct {
	// Trusted are the networks of the proxies that are believed. Without one the peer is
	// the client.
	Trusted []netip.Prefix
	// Header is the one that these proxies set, XForwardedFor when empty. The other is not
	// read: a proxy hands on what it does not know as the client wrote it.
	Header string
	// Log is told once of a proxy that is not trusted.
	Log *slog.Logger
}

// Resolver finds clients' addresses. Safe for concurrent use.
type Resolver struct {
	trusted []netip.Prefix
	header  string
	log     *slog.Logger
	warned  atomic.Bool
}

// New makes a Resolver.
func New(cfg Config) (*Resolver, error) {
	switch cfg.Header {
	case "":
		cfg.Header = XForwardedFor
	case XForwardedFor, Forwarded:
	default:
		return nil, fmt.Errorf("%q is neither %s nor %s", cfg.Header, XForwardedFor, Forwarded)
	}
	return &Resolver{trusted: cfg.Trusted, header: cfg.Header, log: cfg.Log}, nil
}

// Prefixes reads CIDRs. The error names the one that is not.
func Prefixes(cidrs []string) ([]netip.Prefix, error) {
	var out []netip.Prefix
	for _, s := range cidrs {
		p, err := netip.ParsePrefix(strings.TrimSpace(s))
		if err != nil {
			return nil, fmt.Errorf("%q is no network such as 10.0.0.0/8", s)
		}
		if p.Addr().Is4In6() {
			return nil, fmt.Errorf("%q is an IPv4 network as IPv6: write 10.0.0.0/8", s)
		}
		out = append(out, p.Masked())
	}
	return out, nil
}

// Peer is the address at the other end of a connection; the zero Addr when it has none.
func Peer(remote string) netip.Addr {
	peer, err := netip.ParseAddrPort(remote)
	if err != nil {
		return netip.Addr{}
	}
	return peer.Addr().Unmap().WithZone("")
}

// Of returns the client's address: the peer's or, behind trusted proxies, the last one
// in their header that is not a trusted proxy itself. An entry that is no address ends the
// walk: what stands before it is the client's own word.
func (r *Resolver) Of(req *http.Request) netip.Addr {
	addr := Peer(req.RemoteAddr)
	if !r.Trusts(addr) {
		if !r.warned.Load() {
			r.warn(req, addr)
		}
		return addr
	}
	lines := req.Header[r.header]
	for i, hops := len(lines)-1, 0; i >= 0; i-- {
		for rest := lines[i]; rest != ""; hops++ {
			if hops == maxHops {
				return addr
			}
			var entry string
			if rest, entry = lastEntry(rest); strings.TrimSpace(entry) == "" {
				continue // RFC 9110, section 5.6.1: empty elements are passed over
			}
			hop, ok := r.parse(entry)
			if !ok {
				return addr
			}
			if addr = hop; !r.Trusts(addr) {
				return addr
			}
		}
	}
	return addr
}

// lastEntry splits a list at its last comma that is not in quotes.
func lastEntry(list string) (before, last string) {
	quoted := false
	for i := len(list) - 1; i >= 0; i-- {
		switch {
		case list[i] == '"' && (i == 0 || list[i-1] != '\\'):
			quoted = !quoted
		case list[i] == ',' && !quoted:
			return list[:i], list[i+1:]
		}
	}
	return "", list
}

// parse reads an entry of the header.
func (r *Resolver) parse(entry string) (netip.Addr, bool) {
	if r.header == XForwardedFor {
		return parseNode(entry)
	}
	for pair := range strings.SplitSeq(entry, ";") {
		name, value, _ := strings.Cut(pair, "=")
		if strings.EqualFold(strings.TrimSpace(name), "for") {
			return parseNode(value)
		}
	}
	return netip.Addr{}, false
}

// parseNode reads an address as proxies write it: 203.0.113.7, 203.0.113.7:51234,
// 2001:db8::1, [2001:db8::1], [2001:db8::1]:443, each also in quotes.
func parseNode(node string) (netip.Addr, bool) {
	node = strings.TrimSpace(node)
	if len(node) >= 2 && node[0] == '"' && node[len(node)-1] == '"' {
		node = node[1 : len(node)-1]
	}
	if inner, port, ok := strings.Cut(strings.TrimPrefix(node, "["), "]"); ok && node[0] == '[' {
		if port != "" && !isPort(port) {
			return netip.Addr{}, false
		}
		node = inner
	} else if host, port, ok := strings.Cut(node, ":"); ok && strings.Count(node, ":") == 1 {
		if !isPort(":" + port) {
			return netip.Addr{}, false
		}
		node = host
	}
	addr, err := netip.ParseAddr(node)
	if err != nil {
		return netip.Addr{}, false
	}
	return addr.Unmap().WithZone(""), true
}

// isPort reports that s is ":" and the digits of a port, or an obfuscated one of RFC 7239.
func isPort(s string) bool {
	if len(s) < 2 || s[0] != ':' {
		return false
	}
	return s[1] == '_' || len(s) <= 6 && strings.Trim(s[1:], "0123456789") == ""
}

// warn tells once that a proxy asks whose word is not taken: all its clients are counted
// as one then.
func (r *Resolver) warn(req *http.Request, peer netip.Addr) {
	if !peer.IsPrivate() && !peer.IsLoopback() && !peer.IsLinkLocalUnicast() {
		return // any client may send the header
	}
	for _, name := range []string{XForwardedFor, Forwarded} {
		if req.Header[name] == nil {
			continue
		}
		if r.warned.Swap(true) || r.log == nil {
			return
		}
		r.log.WarnContext(req.Context(), "requests come through a proxy that is not trusted: all its clients share the limits of one address",
			"proxy", peer.String(), "header", name,
			"set", "SOUK_GATEWAY_TRUSTED_PROXIES to the proxies' networks, such as "+network(peer).String()+", and SOUK_GATEWAY_PROXY_HEADER to the header that they set")
		return
	}
}

// network is that of one address.
func network(addr netip.Addr) netip.Prefix { return netip.PrefixFrom(addr, addr.BitLen()) }

// FromProxy reports whether the peer is a trusted proxy.
func (r *Resolver) FromProxy(req *http.Request) bool { return r.Trusts(Peer(req.RemoteAddr)) }

// Trusts reports whether an address is a trusted proxy's.
func (r *Resolver) Trusts(addr netip.Addr) bool {
	for _, p := range r.trusted {
		if p.Contains(addr) {
			return true
		}
	}
	return false
}
