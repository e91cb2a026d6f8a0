package cli

import (
	"errors"
	"flag"
	"strings"

	"github.com/souk-shop/souk/tools/internal/state"
)

// Databases are the flags that name the databases of a shop's services.
type Databases struct {
	shop  *Shop
	named map[string]string
}

// FindDatabases adds the flags --data and --dsn.
func FindDatabases(f *flag.FlagSet) *Databases {
	d := &Databases{shop: Data(f), named: map[string]string{}}
	f.Func("dsn", "a service and its database, `catalog=postgres://...`, instead of --data; may be repeated. A password is better in PGPASSFILE", func(value string) error {
		service, dsn, ok := strings.Cut(value, "=")
		if !ok || service == "" || dsn == "" || strings.ContainsAny(service, " :/") {
			return errors.New("want SERVICE=DSN")
		}
		d.named[service] = dsn
		return nil
	})
	return d
}

// Find returns the databases by service, and the shop that runs on the data folder: nil where
// --dsn names the databases.
func (d *Databases) Find() (map[string]string, *state.State, error) {
	if len(d.named) > 0 {
		return d.named, nil, nil
	}
	shop, err := d.shop.Find()
	if err != nil {
		return nil, nil, err
	}
	return shop.Postgres, shop, nil
}
