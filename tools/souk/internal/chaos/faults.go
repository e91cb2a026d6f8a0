package chaos

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/souk-shop/souk/services/chassis/retry"
)

const (
	// recoverWithin is how long a part may take to answer again after healing.
	recoverWithin = time.Minute
	// pollEvery is the time between two checks of a condition.
	pollEvery = 10 * time.Millisecond
)

// Faults are all faults, group by group.
func Faults() []Fault {
	return slices.Concat(
		none(), kills(), crashes(), freezes(),
		postgresFaults(), replicaFaults(), failoverFaults(), cellFaults(), frontFaults(), databaseFaults(), diskFault(), poolFaults(), redisFaults(), brokerFaults(),
		partitions(), slownesses(), cuts(), clockFaults(), certificateFaults(),
		providerFaults(), webhookFaults(), outsideFaults(), clientFaults(), rolling(),
	)
}

func none() []Fault {
	return []Fault{{
		Name: "none", Group: "none", Doc: "nothing happens: what a run looks like without a fault",
		Inject: func(_ context.Context, e *Environment) error {
			e.Injected(1, "nothing, as announced")
			return nil
		},
		Gentle: true, Alone: true,
	}}
}

// during begins a fault, keeps it for d (see Environment.hold), and ends it in any case: also when begin
// fails half way and when ctx ends.
func (e *Environment) during(ctx context.Context, d time.Duration, begin func(context.Context) error, end func(context.Context) error) (err error) {
	defer func() {
		ending, cancel := context.WithTimeout(context.WithoutCancel(ctx), recoverWithin)
		defer cancel()
		err = errors.Join(err, end(ending))
	}()
	if err := begin(ctx); err != nil {
		return err
	}
	return e.lasts(ctx, d)
}

// lasts waits for d, or as long as the fault is held; a fault that takes no time is not held.
func (e *Environment) lasts(ctx context.Context, d time.Duration) error {
	if e.hold == nil || d <= 0 {
		return retry.Sleep(ctx, d)
	}
	select {
	case <-e.hold:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// until waits for a condition.
func until(ctx context.Context, what string, so func() (bool, error)) error {
	for {
		switch ok, err := so(); {
		case err != nil:
			return fmt.Errorf("%s: %w", what, err)
		case ok:
			return nil
		}
		if err := retry.Sleep(ctx, pollEvery); err != nil {
			return fmt.Errorf("%s: %w", what, err)
		}
	}
}
