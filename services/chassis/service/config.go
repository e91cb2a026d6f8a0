// Package service is the frame of every service: its configuration, its telemetry,
// its database, its gRPC server and health, its admin listener, its signals, and the
// order in which these start and stop. What a service is made of stands in a Spec.
package service

import (
	"fmt"
	"strings"

	"github.com/souk-shop/souk/services/chassis/admin"
	"github.com/souk-shop/souk/services/chassis/cell"
	"github.com/souk-shop/souk/services/chassis/clock"
	"github.com/souk-shop/souk/services/chassis/identity"
	"github.com/souk-shop/souk/services/chassis/pg"
	"github.com/souk-shop/souk/services/chassis/rpc"
	"github.com/souk-shop/souk/services/chassis/telemetry"
)

// Config is what all services are configured with. A service's own Config embeds it
// and adds its variables; where a field is zero its tag's default applies.
type Config struct {
	Server    rpc.ServerConfig
	Identity  identity.Config
	Postgres  pg.Config `env:", prefix=POSTGRES_"`
	Telemetry telemetry.Config
	Admin     admin.Config `env:", prefix=ADMIN_"`
	// Migrate brings the database up to date when the service starts; health waits
	// for it.
	Migrate bool `env:"MIGRATE"`
	// CrashAt kills the process at a crash point of the service, "<point>" or
	// "<point>:<n>" for the n-th time. For fault tests only.
	CrashAt string `env:"CRASH_AT"`
	// Cell is which cell this process is of, such as "c1", of a service that runs in cells, and
	// Buckets are those that the cell has at first, such as "0-511": once its database is migrated
	// that says what is there (docs/cells.md). Without, the service runs in one.
	Cell    string `env:"CELL"`
	Buckets string `env:"BUCKETS"`
	// Clock is wrong in fault tests.
	Clock clock.Config `env:", prefix=CLOCK_"`
}

func (c *Config) base() *Config { return c }

// buckets are those of the cell that the process is of, all without one.
func (c *Config) buckets(spec Spec) (cell.Set, error) {
	variable := "SOUK_" + strings.ToUpper(spec.Name) + "_"
	switch {
	case c.Cell == "" && c.Buckets == "":
		return cell.All(), nil
	case spec.Cells == nil:
		return cell.Set{}, fmt.Errorf("%sCELL and %[1]sBUCKETS: the service does not run in cells", variable)
	case c.Cell == "" || c.Buckets == "":
		return cell.Set{}, fmt.Errorf("%sCELL is %q and %[1]sBUCKETS %q: a cell has a name and buckets", variable, c.Cell, c.Buckets)
	}
	own, err := cell.ParseSet(c.Buckets)
	if err != nil {
		return cell.Set{}, fmt.Errorf("%sBUCKETS: %w", variable, err)
	}
	return own, nil
}

// Configured is a pointer to a struct that embeds Config. If it has a method
// Validate() error, Run calls that once the defaults are there.
type Configured interface{ base() *Config }
