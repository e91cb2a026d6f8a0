package config_test

import (
	"log/slog"
	"testing"
	"time"

	"github.com/souk-shop/souk/services/chassis/admin"
	"github.com/souk-shop/souk/services/chassis/pg"
	"github.com/souk-shop/souk/services/chassis/rpc"
	"github.com/souk-shop/souk/services/chassis/telemetry"
)

// service is what the configuration of a service looks like.
type service struct {
	Server    rpc.ServerConfig `env:", prefix="`
	Telemetry telemetry.Config `env:", prefix="`
	Postgres  pg.Config        `env:", prefix=POSTGRES_"`
	Admin     admin.Config     `env:", prefix=ADMIN_"`
	Catalog   rpc.ClientConfig `env:", prefix=CATALOG_"`
	Migrate   bool             `env:"MIGRATE"`
}

func TestConfigurationOfAService(t *testing.T) {
	var s service
	err := load(&s, map[string]string{
		"SOUK_ORDER_LISTEN": ":7", "SOUK_ORDER_LOG_LEVEL": "warn", "SOUK_ORDER_POSTGRES_DSN": dsn,
		"SOUK_ORDER_ADMIN_LISTEN": ":8", "SOUK_ORDER_CATALOG_TARGET": "catalog:9090", "SOUK_ORDER_MIGRATE": "true",
	})
	if err != nil {
		t.Fatal(err)
	}
	if s.Server.Listen != ":7" || s.Server.Listener != nil || s.Server.DrainTimeout != 15*time.Second || s.Server.MaxConnectionAge != 5*time.Minute ||
		s.Telemetry.LogLevel != slog.LevelWarn || s.Telemetry.LogOutput != nil || s.Telemetry.SpanProcessors != nil ||
		s.Postgres.DSN.Reveal() != dsn || s.Postgres.Tracer != nil || s.Admin.Listen != ":8" ||
		s.Catalog.Target != "catalog:9090" || s.Catalog.Timeout != 5*time.Second || !s.Migrate {
		t.Errorf("%+v", s)
	}
}
