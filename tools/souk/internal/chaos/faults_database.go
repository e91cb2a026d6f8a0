package chaos

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/souk-shop/souk/services/chassis/retry"
	"github.com/souk-shop/souk/tools/internal/shopclient"
	"github.com/souk-shop/souk/tools/internal/topology"
)

const (
	// settingLasts is how long a database has another setting.
	settingLasts = 4 * time.Second
	// rowLocked is how long a stock row is locked, and importedProducts how many
	// products an import has.
	rowLocked        = 30 * time.Second
	importedProducts = 20_000
)

// columns are columns whose type changes, by database. They are read by statements
// that the services have prepared.
var columns = map[string][]string{
	"catalog": {"reservations.state"}, // no column that a trigger of the event log names
	"cart":    {"cart_lines.sku"},
	"order":   {"orders.payment_method", "orders.decline_code", "order_lines.name"},
	"payment": {"attempts.payment_method", "attempts.order_number"},
}

// databaseFaults are what an operator, a failover or another client does to a database
// that goes on answering.
func databaseFaults() []Fault {
	return []Fault{{
		Name: "database-read-only", Group: "database",
		Doc: "all connections to the databases end, and new ones take no writes for 4s, as after a failover",
		Inject: func(ctx context.Context, e *Environment) error {
			return e.withSetting(ctx, "default_transaction_read_only", "on")
		},
	}, {
		Name: "database-serializable", Group: "database",
		Doc: "all connections to the databases end, and the default isolation is serializable for 4s",
		Inject: func(ctx context.Context, e *Environment) error {
			return e.withSetting(ctx, "default_transaction_isolation", "serializable")
		},
	}, {
		Name: "column-type-changed", Group: "database", Breaks: slices.Sorted(maps.Keys(columns)),
		Doc:    "columns get another type and their own again, while statements are prepared for the old one",
		Inject: func(ctx context.Context, e *Environment) error { return e.changeTypes(ctx) },
	}, {
		Name: "row-locked-30s", Group: "database", Times: 1, Breaks: []string{"catalog"},
		Doc:    "another client locks the stock row of one SKU for 30s",
		Inject: func(ctx context.Context, e *Environment) error { return e.lockRow(ctx) },
	}, {
		Name: "import-under-load", Group: "database", Times: 2, Alone: true, Breaks: []string{"catalog"},
		Doc:    "20,000 products are imported, and a price is changed again and again meanwhile",
		Inject: func(ctx context.Context, e *Environment) error { return e.importMany(ctx) },
	}}
}

// importMany imports products and changes the price of another one until the import has
// ended; each change must succeed.
func (e *Environment) importMany(ctx context.Context) error {
	owner := e.Workload.owner
	one := "code,sku,name,category,price,currency,stock\nPRICED,PRICED,Thing of many prices,many,1.00,GBP,1\n"
	if _, err := owner.ImportProducts(ctx, strings.NewReader(one)); err != nil {
		return fmt.Errorf("import one: %w", err)
	}
	began := time.Now()
	ended := make(chan error, 1)
	var in *shopclient.Imported
	go func() {
		var err error
		in, err = owner.ImportProducts(ctx, strings.NewReader(manyProducts(importedProducts)))
		ended <- err
	}()
	var longest time.Duration
	for changes := 1; ; changes++ {
		asked := time.Now()
		err := owner.SetPrices(ctx, []shopclient.PriceChange{{SKU: "PRICED", Price: shopclient.Money{Amount: int64(changes), Currency: "GBP"}}})
		if err != nil {
			return fmt.Errorf("price change %d, %s after an import began: %w", changes, time.Since(began).Round(time.Millisecond), err)
		}
		longest = max(longest, time.Since(asked))
		if err := retry.Sleep(ctx, pollEvery); err != nil {
			return err
		}
		select {
		case err := <-ended:
			if err != nil {
				return fmt.Errorf("import: %w", err)
			}
			e.Injected(1, fmt.Sprintf("an import of %d new and %d known products took %s, the longest of %d price changes meanwhile %s",
				in.Created, in.Updated, time.Since(began).Round(time.Millisecond), changes, longest.Round(time.Millisecond)))
			return nil
		default:
		}
	}
}

func manyProducts(n int) string {
	var csv strings.Builder
	csv.WriteString("code,sku,name,description,category,price,currency,stock\n")
	for i := range n {
		fmt.Fprintf(&csv, "MANY-%05d,MANY-%05d,Thing %d of many,Of a delivery,many,%d.00,GBP,%d\n", i, i, i, 1+i%90, 1+i%7)
	}
	return csv.String()
}

// database runs fn with a connection to a service's database that takes writes.
func (e *Environment) database(ctx context.Context, service string, fn func(*pgx.Conn) error) error {
	cfg, err := pgx.ParseConfig(e.Shop.DSN(service))
	if err != nil {
		return err
	}
	cfg.RuntimeParams["application_name"] = "chaos"
	cfg.RuntimeParams["default_transaction_read_only"] = "off"
	cfg.RuntimeParams["idle_in_transaction_session_timeout"] = "0"
	conn, err := pgx.ConnectConfig(ctx, cfg)
	if err != nil {
		return err
	}
	defer func() {
		end, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
		defer cancel()
		_ = conn.Close(end) // ends a transaction, too
	}()
	return fn(conn)
}

// withSetting gives all databases a setting for a while. The setting is that of new
// connections, so the old ones are ended at its begin, and only then.
func (e *Environment) withSetting(ctx context.Context, name, value string) error {
	alter := func(ctx context.Context, conn *pgx.Conn, what string) error {
		var database string
		if err := conn.QueryRow(ctx, "SELECT quote_ident(current_database())").Scan(&database); err != nil {
			return err
		}
		_, err := conn.Exec(ctx, "ALTER DATABASE "+database+" "+what)
		return err
	}
	return e.during(ctx, settingLasts, func(ctx context.Context) error {
		for _, service := range topology.Databases() {
			err := e.database(ctx, service, func(conn *pgx.Conn) error {
				if err := alter(ctx, conn, "SET "+name+" = '"+value+"'"); err != nil {
					return err
				}
				var ended int
				err := conn.QueryRow(ctx, `SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
					WHERE datname = current_database() AND pg_has_role(usesysid, 'USAGE') AND pid <> pg_backend_pid()`).Scan(&ended)
				if err == nil {
					e.Injected(ended, fmt.Sprintf("%s is %s in %s, %d connections ended", name, value, service, ended))
				}
				return err
			})
			if err != nil {
				return fmt.Errorf("%s of %s: %w", name, service, err)
			}
		}
		return nil
	}, func(ctx context.Context) error {
		var failed error
		for _, service := range topology.Databases() {
			failed = errors.Join(failed, e.database(ctx, service, func(conn *pgx.Conn) error { return alter(ctx, conn, "RESET "+name) }))
		}
		return failed
	})
}

// changeTypes changes the columns of all databases, and back.
func (e *Environment) changeTypes(ctx context.Context) error {
	to := func(typ string) func(context.Context) error {
		return func(ctx context.Context) error {
			for _, service := range topology.Databases() {
				err := e.database(ctx, service, func(conn *pgx.Conn) error {
					for _, column := range columns[service] {
						table, column, _ := strings.Cut(column, ".")
						if err := alterType(ctx, conn, table, column, typ); err != nil {
							return fmt.Errorf("%s.%s of %s: %w", table, column, service, err)
						}
						e.Injected(1, fmt.Sprintf("%s.%s of %s became %s", table, column, service, typ))
					}
					return nil
				})
				if err != nil {
					return err
				}
			}
			return nil
		}
	}
	return e.during(ctx, time.Second, to("varchar"), to("text"))
}

// alterType changes a column. A transaction that holds the table and wants another
// one would deadlock with it: it gives up soon and tries again.
func alterType(ctx context.Context, conn *pgx.Conn, table, column, typ string) error {
	for attempt := 0; ; attempt++ {
		_, err := conn.Exec(ctx, "BEGIN; SET LOCAL lock_timeout = '300ms'; ALTER TABLE "+pgx.Identifier{table}.Sanitize()+
			" ALTER "+pgx.Identifier{column}.Sanitize()+" TYPE "+typ+"; COMMIT")
		if err == nil || attempt == 50 || ctx.Err() != nil {
			return err
		}
		if _, err := conn.Exec(ctx, "ROLLBACK"); err != nil {
			return err
		}
		if err := retry.Sleep(ctx, pollEvery); err != nil {
			return err
		}
	}
}

// lockRow locks the stock row that sells most.
func (e *Environment) lockRow(ctx context.Context) error {
	return e.database(ctx, "catalog", func(conn *pgx.Conn) error {
		return e.database(ctx, "catalog", func(watch *pgx.Conn) error {
			if _, err := conn.Exec(ctx, "BEGIN; SET LOCAL lock_timeout = '10s'"); err != nil {
				return err
			}
			var sku string
			began := time.Now()
			if err := conn.QueryRow(ctx, "SELECT sku FROM stock ORDER BY committed DESC, sku LIMIT 1 FOR UPDATE").Scan(&sku); err != nil {
				return err
			}
			var waits, most int
			for time.Since(began) < rowLocked {
				if err := retry.Sleep(ctx, 100*time.Millisecond); err != nil {
					return err
				}
				var waiting int
				if err := watch.QueryRow(ctx, `SELECT count(*) FROM pg_stat_activity
					WHERE datname = current_database() AND wait_event_type = 'Lock' AND application_name <> 'chaos'`).Scan(&waiting); err != nil {
					return err
				}
				if waiting > 0 {
					waits++
				}
				most = max(most, waiting)
			}
			e.Injected(waits, fmt.Sprintf("%d connections at most waited for the stock of %s, in %d of %d looks", most, sku, waits, rowLocked/(100*time.Millisecond)))
			return nil
		})
	})
}
