// Package clock is a process's wall clock, which fault tests set wrong.
package clock

import "time"

// Config is how wrong the clock is.
type Config struct {
	// Offset is added to the time of day; negative is behind. Durations are
	// measured right. For fault tests only.
	Offset time.Duration `env:"OFFSET, default=0s"`
}

// Now is the time of day by that clock.
func (c Config) Now() time.Time { return time.Now().Add(c.Offset) }
