// Package topology is the one table of the shop's parts. What starts, builds,
// deploys, breaks, audits or draws the shop takes its list of parts from here:
// localshop, images, k8s and chaos directly, the chart and the Tiltfile through
// helm/souk/topology.yaml, and the docs through the picture that Mermaid draws.
package topology

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/souk-shop/souk/gateway"
	"github.com/souk-shop/souk/services/cart"
	"github.com/souk-shop/souk/services/catalog"
	"github.com/souk-shop/souk/services/chassis/cell"
	chassis "github.com/souk-shop/souk/services/chassis/service"
	"github.com/souk-shop/souk/services/insight"
	"github.com/souk-shop/souk/services/notification"
	"github.com/souk-shop/souk/services/order"
	"github.com/souk-shop/souk/services/payment"
	"github.com/souk-shop/souk/tools/stripesim"
)

//go:generate go run ./generate

// Kind is what a part is.
type Kind string

// The kinds of parts.
const (
	Store    Kind = "store"    // not ours: PostgreSQL, Redis, NATS
	Provider Kind = "provider" // the payment provider's simulator
	Service  Kind = "service"  // gRPC, in the cluster only
	Gateway  Kind = "gateway"  // HTTP, reached from the internet
	Function Kind = "function" // HTTP, pure, started for a request; a shop may do without it
	Tool     Kind = "tool"     // an image that runs to its end, no part of a running shop
)

// The names of the parts that have a role of their own.
const (
	Postgres = "postgres"
	Redis    = "redis"
	NATS     = "nats"
	// Replica is PostgreSQL's standby, which a shop may do without: it is in no table.
	Replica   = "replica"
	Stripesim = "stripesim"
	Edge      = "gateway"
)

// Ops is the name in certificates of tools that call services, which are no part of the
// shop.
const Ops = "ops"

// Part is a process of the shop, or a store that its processes use.
type Part struct {
	// Name of the process, image, command, log, database and role.
	Name string
	Kind Kind
	// Module is the folder of the program's module, and Package its command
	// there; empty for a store.
	Module, Package string
	// Port is where it listens in a container; 0 for a tool.
	Port int
	// Calls are the parts that it opens connections to, besides its stores.
	Calls []Call
	// Database means a PostgreSQL database and a role of its own.
	Database bool
	// Cells means that it may run in cells, each with a database of its own: all that it has
	// belongs to a customer. Cell is which one it is of, "" where it runs once, and Service what
	// it is then: "order" of "order_c1".
	Cells         bool
	Cell, Service string
	// Buckets are those that the cell has.
	Buckets cell.Set
	// Replica means that a standby of its database answers some of its reads, where there
	// is one.
	Replica bool
	// Redis means that it keeps copies in Redis.
	Redis bool
	// Events means that it tells the broker what happened, or is told by it: it does one of
	// the next three.
	Events bool
	// Tells means that it publishes its log of events.
	Tells bool
	// Takes are the groups in which it takes events.
	Takes []Group
	// Follows are the parts whose events it takes from now on, without a group.
	Follows []string
	// CrashPoints are the places at which fault tests can end it.
	CrashPoints []string

	run runner
}

// Group is a group of consumers of events.
type Group struct {
	Name string
	// Sources are the parts whose events it takes.
	Sources []string
}

// Call is how a part finds another one.
type Call struct {
	To string
	// Variable has the address, without the caller's prefix.
	Variable string
	// Before and After surround host:port in the variable's value.
	Before, After string
}

// Parts is the table, in the order of start: each part needs only those before
// it. (The provider's webhooks wait for the gateway.)
var Parts = []Part{
	{Name: Postgres, Kind: Store, Port: 5432},
	{Name: Redis, Kind: Store, Port: 6379},
	{Name: NATS, Kind: Store, Port: 4222},
	{
		Name: Stripesim, Kind: Provider, Module: "tools", Package: "./stripesim/cmd/stripesim", Port: 12111,
		Calls: []Call{{To: Edge, Variable: "WEBHOOK_URLS", Before: "http://", After: "/webhooks/stripe"}},
		run: start(stripesim.Run, func(c *stripesim.Config) places {
			return places{listener: &c.Listener, telemetry: &c.Telemetry}
		}),
	},
	service("payment", serve(payment.Run, func(c *payment.Config) *chassis.Config { return &c.Config }), Part{
		Cells:       true,
		Calls:       []Call{{To: Stripesim, Variable: "STRIPE_URL", Before: "http://"}},
		Replica:     true,
		Events:      true,
		Tells:       true,
		CrashPoints: payment.CrashPoints(),
	}),
	service("catalog", serve(catalog.Run, func(c *catalog.Config) *chassis.Config { return &c.Config }), Part{
		Calls: targets("payment"), Replica: true, Redis: true, Events: true, Tells: true,
	}),
	service("cart", serve(cart.Run, func(c *cart.Config) *chassis.Config { return &c.Config }), Part{Cells: true}),
	service("order", serve(order.Run, func(c *order.Config) *chassis.Config { return &c.Config }), Part{
		Cells:       true,
		Calls:       targets("catalog", "cart", "payment"),
		Replica:     true,
		Events:      true,
		Tells:       true,
		CrashPoints: order.CrashPoints(),
	}),
	service("notification", serve(notification.Run, func(c *notification.Config) *chassis.Config { return &c.Config }), Part{
		Calls: targets("catalog", "order", "payment"), Replica: true, Events: true,
		Takes:       []Group{{Name: "mail", Sources: []string{"order"}}, {Name: "webhooks", Sources: []string{"catalog", "order", "payment"}}},
		CrashPoints: notification.CrashPoints(),
	}),
	service("insight", serve(insight.Run, func(c *insight.Config) *chassis.Config { return &c.Config }), Part{
		Calls: targets("catalog", "order", "payment"), Replica: true, Events: true,
		Takes: []Group{{Name: "insight", Sources: []string{"order", "payment"}}},
	}),
	{
		Name: Edge, Kind: Gateway, Module: "gateway", Package: "./cmd/gateway", Port: 8080,
		Calls: targets("catalog", "cart", "order", "payment", "notification", "insight"), Events: true, Follows: []string{"catalog"},
		run: start(gateway.Run, func(c *gateway.Config) places {
			return places{listener: &c.Listener, telemetry: &c.Telemetry, admin: &c.Admin}
		}),
	},
	{Name: "renderer", Kind: Function, Module: "gateway", Package: "./cmd/renderer", Port: 8080},
	{Name: "smoke", Kind: Tool, Module: "tools", Package: "./smoke/cmd/smoke", Calls: []Call{{To: Edge}}},
}

// service completes what all services have in common: their folder, a database
// and the port of gRPC.
func service(name string, run runner, p Part) Part {
	p.Name, p.Kind, p.Module, p.Package = name, Service, "services", "./"+name+"/cmd/"+name
	p.Port, p.Database, p.run = 9090, true, run
	return p
}

// targets are gRPC calls.
func targets(names ...string) []Call {
	var out []Call
	for _, name := range names {
		out = append(out, Call{To: name, Variable: strings.ToUpper(name) + "_TARGET"})
	}
	return out
}

// Of returns the parts of the kinds, in the order of start.
func Of(kinds ...Kind) []Part {
	return slices.DeleteFunc(slices.Clone(Parts), func(p Part) bool { return !slices.Contains(kinds, p.Kind) })
}

// Processes are the programs of a running shop, in the order of start.
func Processes() []Part { return Of(Provider, Service, Gateway) }

// InCells returns the parts of a shop of so many cells: in place of each part that runs in cells,
// one of each cell, which calls those of its own cell.
func InCells(parts []Part, cells int) []Part {
	if cells <= 1 {
		return parts
	}
	var out []Part
	for _, p := range parts {
		if !p.Cells {
			out = append(out, p)
			continue
		}
		for i, buckets := range cell.Split(cells) {
			one := p
			one.Cell, one.Service, one.Buckets = fmt.Sprint("c", i+1), p.Name, buckets
			one.Name, one.Calls = CellName(p.Name, one.Cell), slices.Clone(p.Calls)
			for j, c := range one.Calls {
				if to, ok := Find(c.To); ok && to.Cells {
					one.Calls[j].To = CellName(c.To, one.Cell)
				}
			}
			out = append(out, one)
		}
	}
	return out
}

// CellName is the name of a service's part of a cell, of its database and its role: "order_c1".
func CellName(service, cell string) string { return service + "_" + cell }

// Identities are the names in certificates (see services/chassis/identity): those of the
// processes that call each other, and Ops. The provider is outside.
func Identities() []string { return append(Names(Of(Service, Gateway)), Ops) }

// Programs are the parts that have an image.
func Programs() []Part { return Of(Provider, Service, Gateway, Function, Tool) }

// Databases are the names of the parts that have one.
func Databases() []string { return DatabasesOf(Parts) }

// DatabasesOf are the names of the parts of some that have one.
func DatabasesOf(parts []Part) []string {
	return Names(slices.DeleteFunc(slices.Clone(parts), func(p Part) bool { return !p.Database }))
}

// RuntimeRole is the role of a service's statements in its database, which the role of
// the database's name owns.
func RuntimeRole(database string) string { return database + "_runtime" }

// Names returns the parts' names.
func Names(parts []Part) []string {
	out := make([]string, 0, len(parts))
	for _, p := range parts {
		out = append(out, p.Name)
	}
	return out
}

// Find returns the part of a name.
func Find(name string) (Part, bool) {
	i := slices.IndexFunc(Parts, func(p Part) bool { return p.Name == name })
	if i < 0 {
		return Part{}, false
	}
	return Parts[i], true
}

// Prefix starts the names of a part's environment variables; those of a part of a cell are known
// to it by its service's prefix.
func (p Part) Prefix() string { return "SOUK_" + strings.ToUpper(p.Name) + "_" }

// ServicePrefix is Prefix of what the part is: by it its process reads its configuration.
func (p Part) ServicePrefix() string { return "SOUK_" + strings.ToUpper(p.Identity()) + "_" }

// Identity is the name in the part's certificate, and of its program.
func (p Part) Identity() string { return cmp.Or(p.Service, p.Name) }
