package chaos

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/souk-shop/souk/services/chassis/events/log"
	"github.com/souk-shop/souk/services/chassis/retry"
)

const (
	// rebuildLimit is how long after the broker has lost its data it may take until consumers have
	// all that was committed before, while orders come in.
	rebuildLimit = time.Minute
	// rebuildWait is how long it is waited for, so that more than the limit is measured.
	rebuildWait = 2 * time.Minute
	// lookEvery is the pause between two looks, which read whole logs.
	lookEvery = 250 * time.Millisecond
)

// Rebuild is how a shop went on after its broker had lost its data and its logs were published
// anew. Times are from the loss; those that it did not come to within rebuildWait are 0.
type Rebuild struct {
	// Events are those that the logs had when the broker was there again.
	Events int64 `json:"events"`
	// Published is when these were at the broker again, Taken when each consumer had them, and
	// Told when the mails and webhooks about them were sent.
	Published time.Duration `json:"published_ns"`
	Taken     time.Duration `json:"taken_ns"`
	Told      time.Duration `json:"told_ns"`
	// Orders were accepted from when the broker was there again to the end of the last of these.
	Orders int           `json:"orders"`
	Took   time.Duration `json:"took_ns"`
}

func (r *Rebuild) String() string {
	s := fmt.Sprintf("the broker lost %d events: published again after %s, taken by every consumer after %s, mails and webhooks about them sent after %s",
		r.Events, after(r.Published), after(r.Taken), after(r.Told))
	if r.Orders > 0 {
		s += fmt.Sprintf("; meanwhile %.1f orders a second came in", float64(r.Orders)/r.Took.Seconds())
	}
	return s
}

func after(d time.Duration) string {
	if d == 0 {
		return "more than " + rebuildWait.String()
	}
	return round(d).String()
}

// rebuild waits until the shop has told everybody what is in its logs now, and notes how long it
// took since the broker's data was lost. republish has the logs published.
func (e *Environment) rebuild(ctx context.Context, lost time.Time, republish func(context.Context) error) error {
	before, at := e.orders(), time.Now()
	ends, err := e.ends(ctx)
	if err != nil {
		return err
	}
	heads, err := e.heads(ctx)
	if err != nil {
		return err
	}
	r := Rebuild{}
	for _, version := range heads {
		r.Events += version
	}
	if err := republish(ctx); err != nil {
		return err
	}
	waiting, cancel := context.WithTimeout(ctx, rebuildWait)
	defer cancel()
	for _, phase := range []struct {
		into *time.Duration
		done func(context.Context) (bool, error)
	}{
		{&r.Published, func(ctx context.Context) (bool, error) { return e.published(ctx, ends) }},
		{&r.Taken, func(ctx context.Context) (bool, error) { return e.taken(ctx, heads) }},
		{&r.Told, func(ctx context.Context) (bool, error) { return e.toldUntil(ctx, at) }},
	} {
		err := await(waiting, phase.done)
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case errors.Is(err, context.DeadlineExceeded): // what follows is late, too
		case err != nil:
			return err
		default:
			*phase.into = time.Since(lost)
		}
	}
	r.Orders, r.Took = e.orders()-before, time.Since(at)
	e.mu.Lock()
	defer e.mu.Unlock()
	e.rebuilds = append(e.rebuilds, r)
	return nil
}

// await looks until done reports true, or ctx ends.
func await(ctx context.Context, done func(context.Context) (bool, error)) error {
	for {
		if ok, err := done(ctx); ok || err != nil {
			return err
		}
		if err := retry.Sleep(ctx, lookEvery); err != nil {
			return err
		}
	}
}

// orders is how many orders were accepted until now; 0 without shoppers of the run's own.
func (e *Environment) orders() int {
	if e.Workload == nil {
		return 0
	}
	return e.Workload.rec.accepted()
}

// progress calls each with how far the relay of every log is.
func (e *Environment) progress(ctx context.Context, each func(source string, p log.Progress)) error {
	for _, source := range e.witness.publishers {
		pool, err := pgxpool.New(ctx, e.Shop.DSN(source))
		if err != nil {
			return err
		}
		p, err := log.New(pool, source).Progress(ctx)
		pool.Close()
		if err != nil {
			return fmt.Errorf("%s: %w", source, err)
		}
		each(source, p)
	}
	return nil
}

// ends are the places of the last events of the logs.
func (e *Environment) ends(ctx context.Context) (map[string]log.Cursor, error) {
	out := map[string]log.Cursor{}
	return out, e.progress(ctx, func(source string, p log.Progress) { out[source] = p.End })
}

// published reports whether each relay has come to a place of its log.
func (e *Environment) published(ctx context.Context, ends map[string]log.Cursor) (bool, error) {
	all := true
	err := e.progress(ctx, func(source string, p log.Progress) { all = all && p.At.Reached(ends[source]) })
	return all, err
}

// heads are the newest versions of subjects, the occasion's version being 0.
func (e *Environment) heads(ctx context.Context) (map[occasion]int64, error) {
	out := map[occasion]int64{}
	for _, source := range e.witness.publishers {
		subject, version := occasion{source: source}, int64(0)
		err := query(ctx, e.Shop.DSN(source), "SELECT subject, max(version) FROM souk_events GROUP BY subject",
			[]any{&subject.subject, &version}, func() { out[subject] = version })
		if err != nil {
			return nil, err
		}
	}
	return out, nil
}

// taken reports whether the witness, and each consumer that takes their kind, has all subjects up
// to a version.
func (e *Environment) taken(ctx context.Context, heads map[occasion]int64) (bool, error) {
	var now told
	if err := now.readTaken(ctx, e.Shop, e.witness); err != nil {
		return false, err
	}
	all := true
	now.untaken(heads, func(_ string, _ occasion, taken, version int64) { all = all && taken >= version })
	e.witness.mu.Lock()
	defer e.witness.mu.Unlock()
	for subject, version := range heads {
		all = all && e.witness.newest[subject] >= version
	}
	return all, nil
}

// toldUntil reports whether no mail and no webhook is to be sent about an event from before at.
func (e *Environment) toldUntil(ctx context.Context, at time.Time) (bool, error) {
	var open int64
	err := query(ctx, e.Shop.DSN(notifier), fmt.Sprintf(`
		SELECT (SELECT count(*) FROM mails WHERE state IN ('queued', 'sending') AND happened_at < to_timestamp(%[1]d / 1e6))
			+ (SELECT count(*) FROM webhook_deliveries d JOIN webhook_messages m ON m.id = d.message_id
				WHERE d.state = 'pending' AND m.happened_at < to_timestamp(%[1]d / 1e6))`, at.UnixMicro()),
		[]any{&open}, func() {})
	return open == 0, err
}

// checkRebuilds finds those after which consumers did not have in time what there was.
func (t *trial) checkRebuilds(v violations) {
	for _, r := range t.rebuilds {
		if r.Taken == 0 || r.Taken > rebuildLimit {
			v.add(SettlesInTime, "%s; %s is the limit for consumers", &r, rebuildLimit)
		}
	}
}
