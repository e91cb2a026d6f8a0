// Command catalog runs the catalog service ("serve"), or brings its database up to date
// ("migrate"). Its configuration is in environment variables that start with
// SOUK_CATALOG_; see catalog.Config.
package main

import (
	"github.com/souk-shop/souk/services/catalog"
	"github.com/souk-shop/souk/services/catalog/internal/postgres"
	"github.com/souk-shop/souk/services/chassis/service"
)

func main() { service.Main("catalog", catalog.Run, postgres.Migrate) }
