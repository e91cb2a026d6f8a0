package clock_test

import (
	"testing"
	"time"

	"github.com/souk-shop/souk/services/chassis/clock"
	"github.com/souk-shop/souk/services/chassis/config"

	"github.com/sethvargo/go-envconfig"
)

func TestOffset(t *testing.T) {
	t.Parallel()
	for setting, want := range map[string]time.Duration{"": 0, "1h": time.Hour, "-1h": -time.Hour} {
		vars := map[string]string{}
		if setting != "" {
			vars["SOUK_CART_CLOCK_OFFSET"] = setting
		}
		var cfg struct {
			Clock clock.Config `env:", prefix=CLOCK_"`
		}
		if err := config.LoadFrom(t.Context(), envconfig.MapLookuper(vars), "SOUK_CART_", &cfg); err != nil {
			t.Fatal(err)
		}
		// Monotonic readings go along: a time by this clock can be compared with another.
		before := time.Now()
		now := cfg.Clock.Now()
		after := time.Now()
		if now.Before(before.Add(want)) || now.After(after.Add(want)) {
			t.Errorf("%q: it is %s between %s and %s", setting, now, before, after)
		}
	}
}
