package chaos

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"strings"
	"sync"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/souk-shop/souk/services/chassis/config"
	"github.com/souk-shop/souk/services/chassis/events"
	"github.com/souk-shop/souk/services/chassis/events/broker"
	"github.com/souk-shop/souk/services/chassis/events/log"
	"github.com/souk-shop/souk/services/chassis/telemetry"
	"github.com/souk-shop/souk/tools/internal/localshop"
	"github.com/souk-shop/souk/tools/internal/topology"
)

// occasion is one event: a version of a subject.
type occasion struct {
	source, subject string
	version         int64
}

func occasionOf(e events.Event) occasion { return occasion{e.Source, e.Subject, e.Version} }

func (o occasion) String() string { return fmt.Sprintf("%s:%d of %s", o.subject, o.version, o.source) }

// content is what an event says.
type content struct {
	is   string // the event's type
	data [sha256.Size]byte
}

func contentOf(e events.Event) content { return content{e.Type, sha256.Sum256(e.Data)} }

// witness is a consumer of all events, outside of the shop and of what is done to it. It asks
// no owner: what it has, the broker delivered.
type witness struct {
	stop func() error
	// publishers are the services that have a log of events, consumers those that take events.
	publishers, consumers []string

	mu        sync.Mutex
	delivered map[occasion]content
	newest    map[occasion]int64 // by subject, the occasion's version being 0
	counts    map[string]int64   // different events by source
	// disordered and altered are what it noticed on the way.
	disordered, altered []string
}

func newWitness() *witness {
	return &witness{delivered: map[occasion]content{}, newest: map[occasion]int64{}, counts: map[string]int64{}, stop: func() error { return nil }}
}

// having are the services whose database has a table.
func having(ctx context.Context, shop *localshop.Shop, table string) (names []string, err error) {
	for _, name := range topology.Databases() {
		var has bool
		if err := queryOf(ctx, shop, name, "SELECT to_regclass('"+table+"') IS NOT NULL", []any{&has}, func() {}); err != nil {
			return nil, err
		}
		if has {
			names = append(names, name)
		}
	}
	return names, nil
}

// watch begins to take what the shop's broker delivers.
func (w *witness) watch(ctx context.Context, shop *localshop.Shop) error {
	var err error
	if w.publishers, err = having(ctx, shop, "souk_events"); err != nil {
		return err
	}
	if w.consumers, err = having(ctx, shop, "souk_consumed"); err != nil {
		return err
	}
	from, err := broker.Open(events.Config{URL: config.Secret(shop.EventsURL())}, telemetry.Discard())
	if err != nil {
		return err
	}
	ready, ended := make(chan struct{}), make(chan error, 1)
	watching, stop := context.WithCancel(context.WithoutCancel(ctx))
	go func() {
		ended <- from.Subscribe(watching, events.Subscription{Group: "witness", Sources: w.publishers, Ready: sync.OnceFunc(func() { close(ready) })},
			func(_ context.Context, d events.Delivery) error { w.take(d.Event); return nil })
	}()
	w.stop = func() error {
		stop()
		return errors.Join(<-ended, from.Close(context.WithoutCancel(ctx)))
	}
	select {
	case <-ready:
		return nil
	case err := <-ended:
		ended <- err
		return errors.Join(errors.New("the broker's witness ended"), w.stop())
	case <-ctx.Done():
		return errors.Join(ctx.Err(), w.stop())
	}
}

func (w *witness) take(e events.Event) {
	at, says := occasionOf(e), contentOf(e)
	w.mu.Lock()
	defer w.mu.Unlock()
	if before, again := w.delivered[at]; again {
		if before != says {
			w.altered = append(w.altered, fmt.Sprintf("%s was delivered twice, as different events", at))
		}
		return
	}
	w.delivered[at] = says
	w.counts[e.Source]++
	subject := occasion{source: e.Source, subject: e.Subject}
	if newest := w.newest[subject]; e.Version < newest {
		w.disordered = append(w.disordered, fmt.Sprintf("%s was delivered for the first time after version %d", at, newest))
	}
	w.newest[subject] = max(w.newest[subject], e.Version)
}

// has is how many different events of a source were delivered.
func (w *witness) has(source string) int64 {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.counts[source]
}

// total is how many different events were delivered.
func (w *witness) total() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.delivered)
}

// eventBacklog is how many committed events were not delivered to the witness yet, and how many
// were not taken by a consumer of the shop.
func eventBacklog(ctx context.Context, e *Environment) (undelivered, unconsumed int64, err error) {
	committed := map[kind]int64{}
	for _, source := range e.witness.publishers {
		k := kind{source: source}
		var n, sum int64
		err := queryOf(ctx, e.Shop, source, "SELECT split_part(subject, '.', 1), count(*) FROM souk_events GROUP BY 1", []any{&k.name, &n}, func() {
			committed[k] += n
			sum += n
		})
		if err != nil {
			return 0, 0, err
		}
		undelivered += max(0, sum-e.witness.has(source))
	}
	for _, name := range e.witness.consumers {
		var consumer string
		var k kind
		var sum int64
		err = errors.Join(err, query(ctx, e.Shop.DSN(name), "SELECT consumer, source, split_part(subject, '.', 1), sum(version)::bigint FROM souk_consumed GROUP BY 1, 2, 3",
			[]any{&consumer, &k.source, &k.name, &sum}, func() { unconsumed += max(0, committed[k]-sum) }))
	}
	return undelivered, unconsumed, err
}

// kind is a kind of subjects of a source. A consumer takes all events of a kind, or none.
type kind struct{ source, name string }

func (o occasion) kind() kind {
	name, _, _ := strings.Cut(o.subject, ".")
	return kind{o.source, name}
}

// told is what the logs have, and how far each consumer is with it.
type told struct {
	logs map[occasion]content
	// taken is the version up to which a consumer took a subject, by "service/consumer", and
	// skipped what it passed over.
	taken   map[string]map[occasion]int64
	skipped []string
}

func (e *evidence) readEvents(ctx context.Context, shop *localshop.Shop, w *witness) error {
	e.elsewhere.facts = map[occasion]events.Event{}
	e.told = told{logs: map[occasion]content{}}
	for _, source := range w.publishers {
		for _, dsn := range shop.DSNsOf(source) {
			if err := e.readLog(ctx, dsn, source); err != nil {
				return err
			}
		}
	}
	return e.told.readTaken(ctx, shop, w)
}

// readTaken reads how far the shop's consumers are.
func (t *told) readTaken(ctx context.Context, shop *localshop.Shop, w *witness) error {
	t.taken = map[string]map[occasion]int64{}
	for _, name := range w.consumers {
		var consumer, skipped string
		var at occasion
		err := query(ctx, shop.DSN(name), "SELECT consumer, source, subject, version, array_to_string(skipped, ', ') FROM souk_consumed",
			[]any{&consumer, &at.source, &at.subject, &at.version, &skipped}, func() {
				who := name + "/" + consumer
				if t.taken[who] == nil {
					t.taken[who] = map[occasion]int64{}
				}
				t.taken[who][occasion{source: at.source, subject: at.subject}] = at.version
				if skipped != "" {
					t.skipped = append(t.skipped, fmt.Sprintf("%s passed over versions %s of %s", who, skipped, at.subject))
				}
			})
		if err != nil {
			return err
		}
	}
	return nil
}

// untaken calls each with every subject, of the kinds that a consumer takes, of which it has taken
// another version than the newest.
func (t *told) untaken(newest map[occasion]int64, each func(who string, subject occasion, taken, version int64)) {
	for who, subjects := range t.taken {
		takes := map[kind]bool{}
		for subject := range subjects {
			takes[subject.kind()] = true
		}
		for subject, version := range newest {
			if taken := subjects[subject]; takes[subject.kind()] && taken != version {
				each(who, subject, taken, version)
			}
		}
	}
}

func (e *evidence) readLog(ctx context.Context, dsn, source string) error {
	pool, err := pgxpool.New(ctx, dsn)
	if err != nil {
		return err
	}
	defer pool.Close()
	var after log.Cursor
	for {
		page, err := log.New(pool, source).Read(ctx, after, 5000)
		if err != nil || len(page) == 0 {
			return err
		}
		for _, entry := range page {
			e.told.logs[occasionOf(entry.Event)] = contentOf(entry.Event)
			if source == toldSource {
				e.elsewhere.facts[occasionOf(entry.Event)] = entry.Event
			}
			after = entry.Cursor
		}
	}
}

// checkTelling compares what was delivered and what consumers took with what was committed.
func (t *trial) checkTelling(v violations) {
	w := t.witness
	w.mu.Lock()
	defer w.mu.Unlock()
	for at, says := range t.ev.told.logs {
		switch got, delivered := w.delivered[at]; {
		case !delivered:
			v.add(ToldAsCommitted, "%s, a %s, was not delivered", at, says.is)
		case got != says:
			v.add(ToldAsCommitted, "%s was delivered as another %s than was committed", at, got.is)
		}
	}
	for at, says := range w.delivered {
		if _, committed := t.ev.told.logs[at]; !committed {
			v.add(ToldAsCommitted, "%s, a %s, was delivered and never committed", at, says.is)
		}
	}
	if !t.forgets { // a broker that lost what it had delivers what follows first
		v[ToldAsCommitted] = append(v[ToldAsCommitted], w.disordered...)
	}
	v[ToldAsCommitted] = append(v[ToldAsCommitted], w.altered...)
	t.checkTaken(v)
	if len(v[ToldAsCommitted]) == 0 {
		delete(v, ToldAsCommitted)
	}
}

// checkTaken finds what consumers did not take of the kinds that they take.
func (t *trial) checkTaken(v violations) {
	newest := map[occasion]int64{}
	for at := range t.ev.told.logs {
		subject := occasion{source: at.source, subject: at.subject}
		newest[subject] = max(newest[subject], at.version)
	}
	t.ev.told.untaken(newest, func(who string, subject occasion, taken, version int64) {
		v.add(ToldOnce, "%s took %d events of %s, which has %d", who, taken, subject.subject, version)
	})
	for _, what := range t.ev.told.skipped {
		v.add(ToldOnce, "%s", what)
	}
}
