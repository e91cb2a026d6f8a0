package config_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/sethvargo/go-envconfig"
	"github.com/souk-shop/souk/services/chassis/config"
)

type database struct {
	DSN      config.Secret `env:"DSN, required"`
	MaxConns int32         `env:"MAX_CONNS, default=10"`
	Tracer   fmt.Stringer  // set by tests, not by a variable
}

type process struct {
	Listen   string        `env:"LISTEN, default=:9090"`
	Timeout  time.Duration `env:"TIMEOUT, default=5s"`
	Level    slog.Level    `env:"LOG_LEVEL, default=info"`
	Postgres database      `env:", prefix=POSTGRES_"`
	Output   io.Writer
	Hooks    []func()
}

const dsn = "postgres://keeper:hunter2@db/shop"

func load(into any, env map[string]string) error {
	return config.LoadFrom(context.Background(), envconfig.MapLookuper(env), "SOUK_ORDER_", into)
}

func TestLoad(t *testing.T) {
	var p process
	err := load(&p, map[string]string{
		"SOUK_ORDER_POSTGRES_DSN": dsn, "SOUK_ORDER_TIMEOUT": "250ms", "SOUK_ORDER_LOG_LEVEL": "debug",
		"LISTEN": "not ours", "SOUK_CART_LISTEN": "not ours either",
	})
	if err != nil {
		t.Fatal(err)
	}
	if p.Listen != ":9090" || p.Timeout != 250*time.Millisecond || p.Level != slog.LevelDebug ||
		p.Postgres.DSN.Reveal() != dsn || p.Postgres.MaxConns != 10 {
		t.Errorf("%+v", p)
	}
}

func TestLoadReadsTheEnvironment(t *testing.T) {
	t.Setenv("SOUK_TEST_POSTGRES_DSN", dsn)
	var p process
	if err := config.Load(t.Context(), "SOUK_TEST_", &p); err != nil || p.Postgres.DSN.Reveal() != dsn {
		t.Errorf("%+v, %v", p, err)
	}
}

func TestErrorsNameTheVariable(t *testing.T) {
	for name, test := range map[string]struct {
		env  map[string]string
		want []string
	}{
		"missing":        {nil, []string{"SOUK_ORDER_POSTGRES_DSN", "required"}},
		"duration":       {map[string]string{"SOUK_ORDER_TIMEOUT": "soon"}, []string{"SOUK_ORDER_TIMEOUT", "soon"}},
		"level":          {map[string]string{"SOUK_ORDER_LOG_LEVEL": "loud"}, []string{"SOUK_ORDER_LOG_LEVEL", "loud"}},
		"number, nested": {map[string]string{"SOUK_ORDER_POSTGRES_DSN": dsn, "SOUK_ORDER_POSTGRES_MAX_CONNS": "many"}, []string{"SOUK_ORDER_POSTGRES_MAX_CONNS", "many"}},
		"range, nested":  {map[string]string{"SOUK_ORDER_POSTGRES_DSN": dsn, "SOUK_ORDER_POSTGRES_MAX_CONNS": "99999999999"}, []string{"SOUK_ORDER_POSTGRES_MAX_CONNS", "99999999999"}},
	} {
		var p process
		err := load(&p, test.env)
		if err == nil {
			t.Errorf("%s: no error", name)
			continue
		}
		for _, want := range test.want {
			if !strings.Contains(err.Error(), want) {
				t.Errorf("%s: %q does not contain %q", name, err, want)
			}
		}
		if strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: the error tells the password: %v", name, err)
		}
	}
}

func TestSecretsAreRedacted(t *testing.T) {
	p := process{Listen: ":1", Postgres: database{DSN: dsn}}
	var log bytes.Buffer
	logger := slog.New(slog.NewJSONHandler(&log, nil))
	logger.Info("start", "config", p.Postgres, "dsn", p.Postgres.DSN)
	asJSON, err := json.Marshal(p.Postgres)
	if err != nil {
		t.Fatal(err)
	}
	for how, text := range map[string]string{
		"log": log.String(), "json": string(asJSON),
		"%v": fmt.Sprintf("%v", p), "%+v": fmt.Sprintf("%+v", p), "%#v": fmt.Sprintf("%#v", p), "%q": fmt.Sprintf("%q", p.Postgres.DSN), "%x": fmt.Sprintf("%x", p.Postgres.DSN),
	} {
		if strings.Contains(text, "hunter2") || strings.Contains(text, fmt.Sprintf("%x", "hunter2")) {
			t.Errorf("%s shows the secret: %s", how, text)
		}
	}
	if !strings.Contains(log.String(), `"DSN":"[redacted]"`) || !strings.Contains(log.String(), `"dsn":"[redacted]"`) {
		t.Errorf("log: %s", log.String())
	}
	if got := config.Secret("").String(); got != "" {
		t.Errorf("a secret that is not set shows as %q", got)
	}
}

// TestDefaults: a configuration made in code gets what one from variables gets.
func TestDefaults(t *testing.T) {
	t.Parallel()
	code := process{Timeout: time.Minute, Postgres: database{DSN: dsn}}
	if err := config.SetDefaults(&code); err != nil {
		t.Fatal(err)
	}
	var variables process
	if err := load(&variables, map[string]string{"SOUK_ORDER_POSTGRES_DSN": dsn, "SOUK_ORDER_TIMEOUT": "1m"}); err != nil {
		t.Fatal(err)
	}
	if fmt.Sprintf("%#v", code) != fmt.Sprintf("%#v", variables) || code.Timeout != time.Minute || code.Postgres.MaxConns != 10 {
		t.Errorf("in code %#v, from variables %#v", code, variables)
	}
	broken := struct {
		D time.Duration `env:"D, default=soon"`
	}{}
	if err := config.SetDefaults(&broken); err == nil {
		t.Error("a default that cannot be read")
	}
}
