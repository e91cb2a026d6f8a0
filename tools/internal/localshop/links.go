package localshop

import (
	"cmp"
	"fmt"
	"net/url"
	"slices"
	"strings"

	"github.com/souk-shop/souk/tools/internal/topology"
)

// Link is a connection from one part of the shop to another, or to a store.
type Link struct {
	From, To string

	// variable has the address of To, by its full name.
	variable string
	// value makes the variable's value of an address, host:port.
	value func(s *Shop, addr string) string
}

// Links are all connections between the shop's parts, sorted. Those to Redis are
// there only with Options.Redis.
func Links() []Link {
	var out []Link
	for _, part := range topology.Processes() {
		for _, c := range part.Calls {
			out = append(out, Link{part.Name, c.To, part.Prefix() + c.Variable, func(_ *Shop, addr string) string { return c.Before + addr + c.After }})
		}
		if part.Redis {
			out = append(out, Link{part.Name, topology.Redis, part.Prefix() + "REDIS_ADDR", func(_ *Shop, addr string) string { return addr }})
		}
		if part.Database {
			out = append(out, Link{part.Name, topology.Postgres, part.Prefix() + "POSTGRES_DSN", func(s *Shop, addr string) string {
				dsn := s.postgres.dsn(part.Name)
				dsn.Host = addr
				return dsn.String()
			}})
		}
	}
	slices.SortFunc(out, func(a, b Link) int { return cmp.Or(cmp.Compare(a.From, b.From), cmp.Compare(a.To, b.To)) })
	return out
}

// connect sets where each part finds the others, by Options.Route. It asks once
// for each link: addresses stay the same while the shop runs.
func (s *Shop) connect() error {
	s.connections = map[string]string{}
	for _, l := range Links() {
		if l.To == topology.Redis && s.redis == nil {
			continue
		}
		addr := s.Addr(l.To)
		if s.opts.Route != nil {
			var err error
			if addr, err = s.opts.Route(l.From, l.To, addr); err != nil {
				return fmt.Errorf("route from %s to %s: %w", l.From, l.To, err)
			}
		}
		s.connections[l.variable] = l.value(s, addr)
	}
	return nil
}

// Addr is where a part answers, host:port; "" for a Redis that was not started.
func (s *Shop) Addr(part string) string {
	switch part {
	case topology.Postgres:
		return s.postgres.addr()
	case topology.Redis:
		if s.redis == nil {
			return ""
		}
		return s.redis.addr
	case topology.Edge:
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
