package localshop

import (
	"cmp"
	"fmt"
	"net/url"
	"slices"
	"strings"
)

// Link is a way by which one part of the shop calls another.
type Link struct {
	// From is a service; To is one, or "postgres" or "redis".
	From, To string

	// variable tells From where To is; without From's prefix.
	variable string
	// value is the variable's for an address, host:port; the address itself when
	// nil.
	value func(s *Shop, addr string) string
}

// Links are all ways by which the shop's parts call each other, in a fixed order.
func Links() []Link {
	out := []Link{
		{From: "catalog", To: "redis", variable: "REDIS_ADDR"},
		{From: "payment", To: "stripesim", variable: "STRIPE_URL", value: func(_ *Shop, addr string) string { return "http://" + addr }},
		{From: "stripesim", To: "gateway", variable: "WEBHOOK_URLS", value: func(_ *Shop, addr string) string { return "http://" + addr + "/webhooks/stripe" }},
	}
	for _, name := range databases {
		out = append(out, Link{From: name, To: "postgres", variable: "POSTGRES_DSN", value: func(s *Shop, addr string) string {
			dsn := s.postgres.dsn(name)
			dsn.Host = addr
			return dsn.String()
		}})
	}
	for from, neighbors := range map[string][]string{
		"order":   {"catalog", "cart", "payment"},
		"gateway": {"catalog", "cart", "order", "payment"},
	} {
		for _, to := range neighbors {
			out = append(out, Link{From: from, To: to, variable: strings.ToUpper(to) + "_TARGET"})
		}
	}
	slices.SortFunc(out, func(a, b Link) int { return cmp.Or(cmp.Compare(a.From, b.From), cmp.Compare(a.To, b.To)) })
	return out
}

// connect fills in where each part finds the others, by Options.Route. Addresses
// are for the shop's life, so that it is asked once for each link.
func (s *Shop) connect() error {
	s.connections = map[string]string{}
	for _, l := range Links() {
		addr := s.Addr(l.To)
		if s.opts.Route != nil {
			var err error
			if addr, err = s.opts.Route(l.From, l.To, addr); err != nil {
				return fmt.Errorf("route from %s to %s: %w", l.From, l.To, err)
			}
		}
		if l.value != nil {
			addr = l.value(s, addr)
		}
		s.connections[prefix(l.From)+l.variable] = addr
	}
	return nil
}

// Addr is where a part answers, host:port.
func (s *Shop) Addr(part string) string {
	switch part {
	case "postgres":
		return s.postgres.dsn(databases[0]).Host
	case "redis":
		return s.redis.addr
	case "gateway":
		return strings.TrimPrefix(s.URL, "http://")
	default:
		return s.listeners[part].Addr().String()
	}
}

// dsn is the connection string of a service's database.
func (p *Postgres) dsn(name string) *url.URL {
	p.mu.Lock()
	defer p.mu.Unlock()
	dsn, err := url.Parse(p.server.DSN(name, name, p.passwords[name]))
	if err != nil {
		panic(err) // pgserver makes it from a URL
	}
	return dsn
}
