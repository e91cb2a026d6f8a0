// Package app has the use cases of the read model: following the logs, making the model
// anew, and answering from it.
package app

import (
	"context"
	"log/slog"
	"time"

	"github.com/google/uuid"

	"github.com/souk-shop/souk/services/chassis/events"
	"github.com/souk-shop/souk/services/chassis/retry"
)

// Source is a log that the model is made of.
type Source struct {
	// Name is the service's.
	Name string
	// Kind narrows its log to one kind of subjects, "" to none.
	Kind string
}

// Sources are the logs. The catalog's tells of which product a SKU is; its stock levels
// are many and of no use here.
var Sources = []Source{{Name: "order"}, {Name: "payment"}, {Name: "catalog", Kind: "product"}}

// Page is a page of a log.
type Page struct {
	Events []events.Event
	// Next is where the next one begins.
	Next string
	// CompleteUntil is before when all that was committed is in this page or an earlier one;
	// zero on a page that others follow.
	CompleteUntil time.Time
}

// Logs are the logs of the services.
type Logs interface {
	// Scan returns a page after a cursor, "" for the first.
	Scan(ctx context.Context, source, kind, cursor string) (Page, error)
}

// Model says which of the two generations answers, and which is being made.
type Model struct {
	// Serving and Building are 0 or 1; None for no generation.
	Serving, Building int16
	BuildingSince     time.Time
}

// None is no generation.
const None int16 = -1

// Progress is how far a generation is with a log.
type Progress struct {
	Generation int16
	Source     string
	// CompleteUntil is zero before the end of the log was reached once.
	CompleteUntil time.Time
	Events        int64
}

// Models is the database.
type Models interface {
	// Model returns the generations.
	Model(ctx context.Context) (Model, error)
	// Progress returns how far the generations are.
	Progress(ctx context.Context) ([]Progress, error)
	// Lease has a process alone read a log for a generation, and returns from where; false while
	// another one does.
	Lease(ctx context.Context, generation int16, source string, reader uuid.UUID, d time.Duration) (cursor string, ok bool, err error)
	// Advance notes how far it is and prolongs the lease; false when it has been lost.
	Advance(ctx context.Context, generation int16, source string, reader uuid.UUID, d time.Duration, read Read) (bool, error)
	// Switch has the generation that is being made answer, if it is as far as the one that
	// does, and reports whether it did.
	Switch(ctx context.Context, sources []string) (bool, error)
	// Begin has the other generation be made, unless one is, and returns since when.
	Begin(ctx context.Context) (time.Time, error)
	// Clear empties the generation that neither answers nor is made, if it stopped answering
	// longer than after ago.
	Clear(ctx context.Context, after time.Duration) error
}

// Read is what Advance notes.
type Read struct {
	// From and Cursor are where the reading began and ended.
	From, Cursor string
	Events       int
	// CompleteUntil is zero where the end was not reached.
	CompleteUntil time.Time
}

// Apply has events take effect in a generation, once each, and returns the error of each.
type Apply func(ctx context.Context, generation int16, ds []events.Delivery) []error

const (
	// lease is how long a reader of a log may be silent before another one reads: what as_of
	// waits for after a process was killed.
	lease = 5 * time.Second
	// batch is how many events one transaction takes while a log is read.
	batch = 5_000
	// readAhead is how many pages are fetched while others are written.
	readAhead = 4
	// clearAfter is for how long a generation that was replaced stays for the answers that are
	// being made of it.
	clearAfter = time.Minute
)

// backoff is when a log that could not be read is read again.
var backoff = retry.Backoff{Initial: 200 * time.Millisecond, Max: 5 * time.Second}

// catchUp is how much more often than the model that answers one that is to take its place
// looks for the end of a log that it has read to its end. As often, each would be ahead with
// one of the logs by turns, for as long as their turns do not meet by chance.
const catchUp = 5

// FollowerConfig is what a Follower is made of.
type FollowerConfig struct {
	Logs   Logs
	Models Models
	Apply  Apply
	// Every is how often the end of each log is looked for.
	Every time.Duration
	// Age is told how far behind the present what is served is.
	Age func(ctx context.Context, source string, age time.Duration)
	Now func() time.Time
	Log *slog.Logger
}

// Follower keeps the model true to the logs. It reads each to its end, for the generation that
// answers and for the one that is being made; what a broker has delivered in between it
// drops. So the model says until when it is complete, and misses nothing that a broker lost.
type Follower struct {
	FollowerConfig
	process uuid.UUID
}

// NewFollower returns a follower. Its Runs have to run.
func NewFollower(cfg FollowerConfig) *Follower {
	return &Follower{FollowerConfig: cfg, process: uuid.New()}
}

// Serve returns what follows a log for the generation that answers, until its context is done.
func (f *Follower) Serve(s Source) func(context.Context) error {
	return f.run(s, func(m Model) int16 { return m.Serving })
}

// Build returns what reads a log for the generation that is being made, and lets that answer
// when it is as far as the other one.
func (f *Follower) Build(s Source) func(context.Context) error {
	return f.run(s, func(m Model) int16 { return m.Building })
}

func (f *Follower) run(s Source, which func(Model) int16) func(context.Context) error {
	return func(ctx context.Context) error {
		failures := 0
		for {
			catching, err := f.once(ctx, s, which)
			pause := f.Every
			if catching {
				pause = retry.Backoff{Initial: f.Every / catchUp}.Delay(1)
			}
			switch {
			case ctx.Err() != nil:
				return nil //nolint:nilerr // the process stops, which is no failure
			case err != nil:
				if failures++; failures == 1 { // once per outage
					f.Log.WarnContext(ctx, "the model is not brought up to date; it is tried again", "source", s.Name, "error", err)
				}
				pause = backoff.Delay(failures)
			case failures > 0:
				f.Log.InfoContext(ctx, "the model is brought up to date again", "source", s.Name, "failures", failures)
				failures = 0
			}
			if retry.Sleep(ctx, pause) != nil {
				return nil //nolint:nilerr // the process stops, which is no failure
			}
		}
	}
}

// once reads a log to its end for one generation. catching is true for one that is to answer,
// was read, and is not yet as far as the one that answers.
func (f *Follower) once(ctx context.Context, s Source, which func(Model) int16) (catching bool, err error) {
	m, err := f.Models.Model(ctx)
	if err != nil {
		return false, err
	}
	g := which(m)
	if g == None {
		return false, nil
	}
	complete, err := f.read(ctx, g, s)
	if err != nil {
		return false, err
	}
	if g == m.Serving {
		if !complete.IsZero() && f.Age != nil {
			f.Age(ctx, s.Name, f.Now().Sub(complete))
		}
		return false, nil
	}
	switched, err := f.Models.Switch(ctx, Names())
	if switched {
		f.Log.InfoContext(ctx, "the model that was made anew answers", "generation", g)
	}
	return !switched && !complete.IsZero(), err
}

// Names are the sources' names.
func Names() []string {
	names := make([]string, len(Sources))
	for i, s := range Sources {
		names[i] = s.Name
	}
	return names
}

// read reads a log to its end and returns until when it is complete; zero when another
// process reads it.
func (f *Follower) read(ctx context.Context, generation int16, s Source) (complete time.Time, err error) {
	cursor, ok, err := f.Models.Lease(ctx, generation, s.Name, f.process, lease)
	if err != nil || !ok {
		return time.Time{}, err
	}
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	from := cursor
	pages := make(chan Page, readAhead)
	var failed error
	go func() {
		defer close(pages)
		for {
			page, err := f.Logs.Scan(ctx, s.Name, s.Kind, cursor)
			if err != nil {
				failed = err
				return
			}
			select {
			case pages <- page:
			case <-ctx.Done():
				return
			}
			if cursor = page.Next; !page.CompleteUntil.IsZero() {
				return
			}
		}
	}()
	for page := range pages {
		page = more(page, pages)
		if err := f.write(ctx, generation, page.Events); err != nil {
			return time.Time{}, err
		}
		read := Read{From: from, Cursor: page.Next, Events: len(page.Events), CompleteUntil: page.CompleteUntil}
		ok, err := f.Models.Advance(ctx, generation, s.Name, f.process, lease, read)
		if err != nil || !ok {
			return time.Time{}, err
		}
		from, complete = page.Next, page.CompleteUntil
	}
	return complete, failed
}

// more adds the pages that are there to a page, up to a batch of events.
func more(page Page, pages <-chan Page) Page {
	for len(page.Events) < batch && page.CompleteUntil.IsZero() {
		select {
		case next, ok := <-pages:
			if !ok {
				return page
			}
			page = Page{Events: append(page.Events, next.Events...), Next: next.Next, CompleteUntil: next.CompleteUntil}
		default:
			return page
		}
	}
	return page
}

// write has events take effect. One that cannot, whatever is tried, is left out and is an
// error in the log: the model is wrong about its subject until a version that can read it
// makes it anew.
func (f *Follower) write(ctx context.Context, generation int16, es []events.Event) error {
	ds := make([]events.Delivery, len(es))
	for i, e := range es {
		ds[i] = events.Delivery{Event: e, Attempt: 1}
	}
	var failed []error
	for i, err := range f.Apply(ctx, generation, ds) {
		switch {
		case err == nil:
		case events.IsPoison(err):
			f.Log.ErrorContext(ctx, "an event is left out of the model", "event", es[i].ID(), "type", es[i].Type, "generation", generation, "error", err)
		default:
			failed = append(failed, err)
		}
	}
	if len(failed) > 0 {
		return failed[0]
	}
	return nil
}

// Sweep empties the generation that was replaced, until ctx is done.
func (f *Follower) Sweep(ctx context.Context) error {
	for {
		if err := f.Models.Clear(ctx, clearAfter); err != nil && ctx.Err() == nil {
			f.Log.WarnContext(ctx, "the model that was replaced is not emptied; it is tried again", "error", err)
		}
		if retry.Sleep(ctx, clearAfter) != nil {
			return nil //nolint:nilerr // the process stops, which is no failure
		}
	}
}

// Live has deliveries of a broker take effect in the generation that answers. Before there
// is one they are dropped: whatever they say is in the logs.
func Live(models Models, apply Apply) func(context.Context, []events.Delivery) []error {
	return func(ctx context.Context, ds []events.Delivery) []error {
		m, err := models.Model(ctx)
		if err == nil && m.Serving != None {
			return apply(ctx, m.Serving, ds)
		}
		errs := make([]error, len(ds))
		for i := range errs {
			errs[i] = err
		}
		return errs
	}
}
