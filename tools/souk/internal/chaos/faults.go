package chaos

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"
)

const (
	// comeback is how long a part may take to answer again once it is healed.
	comeback = time.Minute
	// glance is the time between two looks at whether something has happened.
	glance = 10 * time.Millisecond
)

// Faults are all faults, group by group.
func Faults() []Fault {
	return slices.Concat(
		none(), kills(), crashes(), freezes(),
		postgresFaults(), diskFault(), poolFaults(), redisFaults(),
		partitions(), slownesses(), cuts(), clockFaults(),
		providerFaults(), webhookFaults(), clientFaults(), rolling(),
	)
}

func none() []Fault {
	return []Fault{{
		Name: "none", Group: "none", Doc: "nothing happens: what a run looks like without a fault",
		Strike: func(_ context.Context, s *Stage) error {
			s.Struck(1, "nothing, as announced")
			return nil
		},
		Gentle: true, Alone: true,
	}}
}

// spell breaks something, holds it broken for d, and mends it whatever happens:
// also when begin fails half way and when ctx ends.
func (s *Stage) spell(ctx context.Context, d time.Duration, begin func(context.Context) error, end func(context.Context) error) (err error) {
	defer func() {
		mending, cancel := context.WithTimeout(context.WithoutCancel(ctx), comeback)
		defer cancel()
		err = errors.Join(err, end(mending))
	}()
	if err := begin(ctx); err != nil {
		return err
	}
	return s.Hold(ctx, d)
}

// until waits for something to be so.
func until(ctx context.Context, what string, so func() (bool, error)) error {
	for {
		switch ok, err := so(); {
		case err != nil:
			return fmt.Errorf("%s: %w", what, err)
		case ok:
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%s: %w", what, ctx.Err())
		case <-time.After(glance):
		}
	}
}
