// Command notification runs the notification service ("serve"), or brings its database up
// to date ("migrate"). Its configuration is in environment variables that start with
// SOUK_NOTIFICATION_; see notification.Config.
package main

import (
	"github.com/souk-shop/souk/services/chassis/service"
	"github.com/souk-shop/souk/services/notification"
	"github.com/souk-shop/souk/services/notification/internal/postgres"
)

func main() { service.Main("notification", notification.Run, postgres.Migrate) }
