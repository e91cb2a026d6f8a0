package localshop

import (
	"cmp"
	"fmt"
	"net"
	"net/url"
	"slices"
	"strings"

	"github.com/souk-shop/souk/services/chassis/cell"
	cellmove "github.com/souk-shop/souk/services/chassis/cell/move"
	"github.com/souk-shop/souk/tools/internal/topology"
)

// Link is a connection from one part of the shop to another, or to a store.
type Link struct {
	From, To string

	// variables have the address of To, by their full names: each makes its value of
	// an address, host:port.
	variables variables
	// cell is To's where From knows it as one of several: its variable has all of them.
	cell cell.Cell
}

type variables map[string]func(s *Shop, addr string) string

// Links are all connections between the shop's parts, sorted. Those to Redis, NATS and the
// replica are there only with Options.Redis, EmbeddedEvents and Options.Replica or HAPostgres.
func Links() []Link { return linksOf(topology.Processes()) }

func linksOf(parts []topology.Part) []Link {
	var out []Link
	for _, part := range parts {
		for _, c := range part.Calls {
			if cells := cellsOf(parts, c.To); len(cells) > 0 {
				for _, to := range cells {
					out = append(out, Link{
						From: part.Name, To: to.Name, cell: cell.Cell{Name: to.Cell, Buckets: to.Buckets},
						variables: variables{part.Prefix() + c.Variable: func(_ *Shop, addr string) string { return addr }},
					})
				}
				continue
			}
			out = append(out, Link{From: part.Name, To: c.To, variables: variables{part.Prefix() + c.Variable: func(_ *Shop, addr string) string { return c.Before + addr + c.After }}})
		}
		if part.Redis {
			out = append(out, Link{From: part.Name, To: topology.Redis, variables: variables{redisVariable(part): func(_ *Shop, addr string) string { return addr }}})
		}
		if part.Events {
			out = append(out, Link{From: part.Name, To: topology.NATS, variables: variables{eventsVariable(part): (*Shop).eventsURL}})
		}
		if part.Database {
			out = append(out, Link{From: part.Name, To: topology.Postgres, variables: variables{
				part.Prefix() + "POSTGRES_DSN":       dsnOf(topology.Postgres, part.Name, topology.RuntimeRole(part.Name)),
				part.Prefix() + "POSTGRES_OWNER_DSN": dsnOf(topology.Postgres, part.Name, part.Name),
			}})
		}
		if part.Replica {
			out = append(out, Link{From: part.Name, To: topology.Replica, variables: variables{part.Prefix() + "POSTGRES_REPLICA_DSN": dsnOf(topology.Replica, part.Name, topology.RuntimeRole(part.Name))}})
		}
	}
	slices.SortFunc(out, func(a, b Link) int { return cmp.Or(cmp.Compare(a.From, b.From), cmp.Compare(a.To, b.To)) })
	return out
}

// cellsOf are the parts of a service that runs in cells; none of one that runs once.
func cellsOf(parts []topology.Part, service string) []topology.Part {
	return slices.DeleteFunc(slices.Clone(parts), func(p topology.Part) bool { return p.Cell == "" || p.Service != service })
}

// connect sets where each part finds the others, by Options.Route. It asks once
// for each link: addresses stay the same while the shop runs.
func (s *Shop) connect() error {
	s.connections = map[string]string{}
	for _, part := range s.parts {
		if part.Events && s.broker == nil && s.opts.Events != "" {
			s.connections[eventsVariable(part)] = s.opts.Events // of somewhere else, which no route leads to
		}
		if g := s.RedisGroup(); part.Redis && g != nil {
			s.connections[redisVariable(part)] = g.Address() // clients are told where the servers are, which no route leads to
		}
	}
	for _, l := range linksOf(s.parts) {
		addr, err := s.routed(l)
		if err != nil {
			return err
		}
		if addr == "" {
			continue
		}
		for name, value := range l.variables {
			text := value(s, addr)
			if l.cell.Name != "" {
				text = l.cell.Name + " " + l.cell.Buckets.String() + " " + text
				if others := s.connections[name]; others != "" {
					text = others + "; " + text
				}
			}
			s.connections[name] = text
		}
	}
	return nil
}

// routed is where a link leads, "" to what was not started.
func (s *Shop) routed(l Link) (string, error) {
	if s.cluster != nil && (l.To == topology.Postgres || l.To == topology.Replica) {
		return s.cluster.addrs(l.From, s.opts.Route)
	}
	addr := s.Addr(l.To)
	if addr == "" || s.opts.Route == nil {
		return addr, nil
	}
	addr, err := s.opts.Route(l.From, l.To, addr)
	if err != nil {
		return "", fmt.Errorf("route from %s to %s: %w", l.From, l.To, err)
	}
	return addr, nil
}

// redisVariable has the address of Redis.
func redisVariable(part topology.Part) string { return part.Prefix() + "REDIS_ADDR" }

// eventsVariable has the address of the broker.
func eventsVariable(part topology.Part) string { return part.Prefix() + "EVENTS_URL" }

// Addr is where a part answers, host:port; "" for a Redis, a broker, a PostgreSQL or a replica
// that was not started, or is several: these have names of their own.
func (s *Shop) Addr(part string) string {
	switch part {
	case topology.Postgres:
		if s.postgres == nil {
			return ""
		}
		return s.postgres.addr()
	case topology.Replica:
		if s.replica == nil {
			return ""
		}
		return s.replica.addr()
	case topology.Redis:
		if s.redis == nil {
			return ""
		}
		return s.redis.addr // "" of several
	case topology.NATS:
		if s.broker == nil {
			return ""
		}
		return s.broker.address()
	case topology.Edge:
		return reachable(s.listeners[part].Addr().(*net.TCPAddr))
	default:
		return s.listeners[part].Addr().String()
	}
}

// Admin is where a part that has a listener for operators answers them, host:port.
func (s *Shop) Admin(part string) string { return s.admin[part].Addr().String() }

// dsnOf makes the connection string of a database for a role, on the primary or on a standby.
func dsnOf(server, database, role string) func(s *Shop, addr string) string {
	return func(s *Shop, addr string) string {
		if s.cluster != nil {
			return s.cluster.dsn(database, role, addr, server == topology.Replica)
		}
		s.postgres.mu.Lock()
		defer s.postgres.mu.Unlock()
		dsn, err := url.Parse(s.postgres.server.DSN(database, role, s.postgres.passwords[role]))
		if err != nil {
			panic(err) // pgserver makes it from a URL
		}
		dsn.Host = addr
		return dsn.String()
	}
}

// CellsOf are the services that run in cells, with the databases of their cells, of the connection
// strings by database; those first that call the others. None of a shop that is not cut.
func CellsOf(databases map[string]string) []cellmove.Service {
	var services []cellmove.Service
	for _, part := range topology.Processes() {
		if !part.Cells {
			continue
		}
		s := cellmove.Service{Name: part.Name, Databases: map[string]string{}}
		for name, dsn := range databases {
			if in, ok := strings.CutPrefix(name, topology.CellName(part.Name, "")); ok {
				s.Databases[in] = dsn
			}
		}
		if len(s.Databases) > 0 {
			services = append(services, s)
		}
	}
	slices.SortStableFunc(services, func(a, b cellmove.Service) int { return cmp.Compare(calls(b.Name), calls(a.Name)) })
	return services
}

// calls is how many services in cells a service calls.
func calls(service string) (n int) {
	part, _ := topology.Find(service)
	for _, c := range part.Calls {
		if to, ok := topology.Find(c.To); ok && to.Cells {
			n++
		}
	}
	return n
}
