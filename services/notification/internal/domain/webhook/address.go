package webhook

import (
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// Guard says which URLs and addresses webhooks are sent to. The zero Guard is the strictest:
// https on port 443, to addresses of the public internet.
type Guard struct {
	// HTTP allows URLs that begin with http://.
	HTTP bool
	// Ports are allowed besides 443, and 80 where HTTP is; a 0 allows all.
	Ports []uint16
	// Networks are allowed although they are not of the public internet.
	Networks []netip.Prefix
}

// special are the networks that are not the public internet, by IANA's registries of special
// purpose addresses, and those that lead into others: an address of NAT64, of 6to4 or of Teredo
// has an IPv4 address in it, which a gateway of the network would call.
var special = func() (out []netip.Prefix) {
	for _, text := range []string{
		"0.0.0.0/8",         // this network
		"10.0.0.0/8",        // private
		"100.64.0.0/10",     // carrier-grade NAT
		"127.0.0.0/8",       // loopback
		"169.254.0.0/16",    // link-local; 169.254.169.254 has the metadata of clouds
		"172.16.0.0/12",     // private
		"192.0.0.0/24",      // protocol assignments
		"192.0.2.0/24",      // documentation
		"192.31.196.0/24",   // AS112
		"192.52.193.0/24",   // AMT
		"192.88.99.0/24",    // 6to4 relays
		"192.168.0.0/16",    // private
		"192.175.48.0/24",   // AS112
		"198.18.0.0/15",     // benchmarks
		"198.51.100.0/24",   // documentation
		"203.0.113.0/24",    // documentation
		"224.0.0.0/4",       // multicast
		"240.0.0.0/4",       // reserved, broadcast
		"168.63.129.16/32",  // Azure's host
		"::/96",             // unspecified, loopback, IPv4-compatible
		"::ffff:0:0:0/96",   // IPv4-translated
		"64:ff9b::/96",      // NAT64
		"64:ff9b:1::/48",    // NAT64, local
		"100::/64",          // discard
		"2001::/23",         // protocol assignments: Teredo, ORCHID
		"2001:db8::/32",     // documentation
		"2002::/16",         // 6to4
		"2620:4f:8000::/48", // AS112
		"3fff::/20",         // documentation
		"5f00::/16",         // segment routing
		"fc00::/7",          // unique local; fd00:ec2::254 has the metadata of a cloud
		"fe80::/10",         // link-local
		"fec0::/10",         // site-local
		"ff00::/8",          // multicast
	} {
		out = append(out, netip.MustParsePrefix(text))
	}
	return out
}()

// Address returns nil for an address that may be called, else ErrAddressNotAllowed.
func (g Guard) Address(a netip.AddrPort) error {
	addr := a.Addr().Unmap().WithZone("")
	in := func(p netip.Prefix) bool { return p.Contains(addr) }
	if !addr.IsValid() || a.Addr().Zone() != "" && !addr.IsLinkLocalUnicast() {
		return ErrAddressNotAllowed
	}
	if !g.port(a.Port()) || slices.ContainsFunc(special, in) && !slices.ContainsFunc(g.Networks, in) {
		return ErrAddressNotAllowed
	}
	return nil
}

func (g Guard) port(port uint16) bool {
	return port == 443 || g.HTTP && port == 80 || slices.Contains(g.Ports, port) || slices.Contains(g.Ports, 0)
}

// URL returns a URL in the form in which it is kept, or says what is wrong with it. What its
// host's name leads to is looked at when it is called, each time: names change.
func (g Guard) URL(text string) (string, error) {
	const field = "url"
	u, err := url.Parse(text)
	switch {
	case err != nil || len(text) > MaxURL || u.Host == "" || u.Opaque != "" || strings.ContainsFunc(text, func(r rune) bool { return r <= ' ' || r > '~' }):
		return "", invalid(field, "a URL such as https://example.com/webhooks, of "+strconv.Itoa(MaxURL)+" ASCII characters at most")
	case u.Scheme != "https" && !(g.HTTP && u.Scheme == "http"):
		return "", invalid(field, "it must begin with https://")
	case u.User != nil:
		return "", invalid(field, "it must have no user and no password: what is sent is signed")
	case u.Fragment != "" || strings.Contains(text, "#"):
		return "", invalid(field, "it must have no fragment")
	}
	port := uint16(443)
	if u.Scheme == "http" {
		port = 80
	}
	if p := u.Port(); p != "" {
		n, err := strconv.ParseUint(p, 10, 16)
		if err != nil || n == 0 {
			return "", invalid(field, "the port must be from 1 to 65535")
		}
		port = uint16(n)
	}
	if !g.port(port) {
		return "", invalid(field, "webhooks are not sent to port "+strconv.Itoa(int(port)))
	}
	host := strings.ToLower(strings.TrimSuffix(u.Hostname(), "."))
	if addr, err := netip.ParseAddr(host); err == nil {
		if g.Address(netip.AddrPortFrom(addr, port)) != nil {
			return "", invalid(field, "webhooks are not sent to the address "+host)
		}
		return u.String(), nil
	}
	last := host[strings.LastIndexByte(host, '.')+1:]
	if host == "" || last == "" || strings.Trim(last, "0123456789") == "" || strings.HasPrefix(last, "0x") {
		// Resolvers read 2130706433, 127.1 and 0x7f000001 as addresses.
		return "", invalid(field, "the host must be a name, or an address in its usual form")
	}
	return u.String(), nil
}
