// Command insight runs the insight service ("serve"), or brings its database up to date
// ("migrate"). Its configuration is in environment variables that start with
// SOUK_INSIGHT_; see insight.Config.
package main

import (
	"github.com/souk-shop/souk/services/chassis/service"
	"github.com/souk-shop/souk/services/insight"
	"github.com/souk-shop/souk/services/insight/internal/postgres"
)

func main() { service.Main("insight", insight.Run, postgres.Migrate) }
