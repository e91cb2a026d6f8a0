package app

import (
	"context"
	"log/slog"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/souk-shop/souk/services/chassis/events"
)

// models has generation 0 answer while 1 is made, and lets 1 answer when switches is set.
type models struct {
	Models
	switches, leased bool
}

func (models) Model(context.Context) (Model, error) { return Model{Serving: 0, Building: 1}, nil }

func (m models) Lease(context.Context, int16, string, uuid.UUID, time.Duration) (string, bool, error) {
	return "", !m.leased, nil
}

func (models) Advance(context.Context, int16, string, uuid.UUID, time.Duration, Read) (bool, error) {
	return true, nil
}

func (m models) Switch(context.Context, []string) (bool, error) { return m.switches, nil }

// empty are logs that nothing is in.
type empty struct{}

func (empty) Scan(context.Context, string, string, string) (Page, error) {
	return Page{CompleteUntil: time.Unix(1, 0)}, nil
}

// A model that is whole, and behind the one that answers, looks again soon; one that answers,
// that another process reads, or that has just taken its place does not.
func TestAModelThatIsBehindCatchesUp(t *testing.T) {
	t.Parallel()
	serving, building := func(m Model) int16 { return m.Serving }, func(m Model) int16 { return m.Building }
	for _, c := range []struct {
		name   string
		models models
		which  func(Model) int16
		want   bool
	}{
		{"behind", models{}, building, true}, {"answers", models{}, serving, false},
		{"takes its place", models{switches: true}, building, false}, {"another process reads", models{leased: true}, building, false},
	} {
		f := NewFollower(FollowerConfig{
			Logs: empty{}, Models: c.models, Apply: none, Every: time.Second, Now: time.Now, Log: slog.New(slog.DiscardHandler),
		})
		if got, err := f.once(t.Context(), Sources[0], c.which); err != nil || got != c.want {
			t.Errorf("%s: catching up %v, %v", c.name, got, err)
		}
	}
}

func none(context.Context, int16, []events.Delivery) []error { return nil }
