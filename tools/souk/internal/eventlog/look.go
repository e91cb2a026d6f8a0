package eventlog

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/souk-shop/souk/services/chassis/events/consume"
	"github.com/souk-shop/souk/services/chassis/events/log"
	"github.com/souk-shop/souk/services/chassis/pg"
	"github.com/souk-shop/souk/tools/internal/state"
)

// places are the databases that have logs of events and notes of consumers.
type places struct {
	shop      *state.State // nil where the databases were named
	pools     []*pgxpool.Pool
	logs      map[string]pg.DB // by the source
	consumers map[string]pg.DB // by the service
}

func open(ctx context.Context, dsns map[string]string) (*places, error) {
	p := &places{logs: map[string]pg.DB{}, consumers: map[string]pg.DB{}}
	for _, service := range slices.Sorted(maps.Keys(dsns)) {
		pool, err := pgxpool.New(ctx, dsns[service])
		if err != nil {
			p.close()
			return nil, fmt.Errorf("%s: %w", service, err)
		}
		p.pools = append(p.pools, pool)
		var logs, consumes bool
		err = pool.QueryRow(ctx, "SELECT to_regclass('souk_events') IS NOT NULL, to_regclass('souk_consumed') IS NOT NULL").Scan(&logs, &consumes)
		if err != nil {
			p.close()
			return nil, fmt.Errorf("%s: %w", service, err)
		}
		if logs {
			p.logs[service] = pg.DB{Pool: pool}
		}
		if consumes {
			p.consumers[service] = pg.DB{Pool: pool}
		}
	}
	return p, nil
}

func (p *places) close() {
	for _, pool := range p.pools {
		pool.Close()
	}
}

// rewind sets the relay of a source back to the beginning of its log.
func (p *places) rewind(ctx context.Context, source string) error {
	return log.Rewind(ctx, p.logs[source])
}

// report is how far everyone is.
type report struct {
	logs      []logReport
	consumers []consumerReport
	// events is how many the logs have, as the newest versions of their subjects say.
	events int64
}

type logReport struct {
	source   string
	progress log.Progress
}

type consumerReport struct {
	name, source string
	// events are in the log and not taken; oldest is when the first of them became true.
	events int64
	oldest time.Time
	// skipped are events that were passed over as poison.
	skipped int
	// ahead counts subjects of which the consumer has a later version than the log.
	ahead int
}

// maxAsked bounds of how many subjects the oldest event is looked for.
const maxAsked = 10_000

// reader is a consumer of one source.
type reader struct {
	consumerReport
	at    map[string]int64 // versions by subject
	kinds map[string]bool  // a consumer takes all subjects of a kind, or none
	// subjects and versions are those of events that it did not take.
	subjects []string
	versions []int64
}

// look reads how far everyone is: consumers before the logs, so that none seems to be ahead of
// its log.
func (p *places) look(ctx context.Context) (*report, error) {
	readers := map[string][]*reader{} // by source
	for _, service := range slices.Sorted(maps.Keys(p.consumers)) {
		found := map[string]*reader{}
		err := consume.Positions(ctx, p.consumers[service], func(at consume.Position) error {
			r := found[at.Consumer+" "+at.Source]
			if r == nil {
				r = &reader{consumerReport: consumerReport{name: at.Consumer, source: at.Source}, at: map[string]int64{}, kinds: map[string]bool{}}
				found[at.Consumer+" "+at.Source] = r
				readers[at.Source] = append(readers[at.Source], r)
			}
			r.at[at.Subject] = at.Version
			r.kinds[kind(at.Subject)] = true
			r.skipped += at.Skipped
			return nil
		})
		if err != nil {
			return nil, fmt.Errorf("%s: %w", service, err)
		}
	}
	out := &report{}
	for _, source := range slices.Sorted(maps.Keys(p.logs)) {
		l := log.New(p.logs[source].Pool, source)
		progress, err := l.Progress(ctx)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", source, err)
		}
		out.logs = append(out.logs, logReport{source, progress})
		err = l.Subjects(ctx, func(s log.Subject) error {
			out.events += s.Newest
			for _, r := range readers[source] {
				r.compare(s)
			}
			return nil
		})
		if err != nil {
			return nil, fmt.Errorf("%s: %w", source, err)
		}
		for _, r := range readers[source] {
			for _, version := range r.at { // what the log does not have
				if version > 0 {
					r.ahead++
				}
			}
			if r.events > 0 {
				if r.oldest, err = l.Oldest(ctx, r.subjects, r.versions); err != nil {
					return nil, fmt.Errorf("%s: %w", source, err)
				}
			}
			out.consumers = append(out.consumers, r.consumerReport)
		}
	}
	slices.SortFunc(out.consumers, func(a, b consumerReport) int {
		return cmp.Or(cmp.Compare(a.name, b.name), cmp.Compare(a.source, b.source))
	})
	return out, nil
}

// compare counts what the log has of a subject and the consumer did not take.
func (r *reader) compare(s log.Subject) {
	at := r.at[s.Subject]
	delete(r.at, s.Subject)
	switch from := max(at, s.First-1); {
	case !r.kinds[kind(s.Subject)]:
	case at > s.Newest:
		r.ahead++
	case from < s.Newest:
		r.events += s.Newest - from
		if len(r.subjects) < maxAsked {
			r.subjects, r.versions = append(r.subjects, s.Subject), append(r.versions, from+1)
		}
	}
}

func kind(subject string) string {
	name, _, _ := strings.Cut(subject, ".")
	return name
}

// published reports whether each relay has come to where its log ended before.
func (r *report) published(before *report) bool {
	ends := map[string]log.Cursor{}
	for _, l := range before.logs {
		ends[l.source] = l.progress.End
	}
	for _, l := range r.logs {
		if !l.progress.At.Reached(ends[l.source]) {
			return false
		}
	}
	return true
}

// complete reports whether no consumer lacks an event from before.
func (r *report) complete(before *report) bool {
	newest := map[string]time.Time{}
	for _, l := range before.logs {
		newest[l.source] = l.progress.Newest
	}
	for _, c := range r.consumers {
		if c.events > 0 && !c.oldest.After(newest[c.source]) {
			return false
		}
	}
	return true
}

// names counts consumers.
func (r *report) names() int {
	names := map[string]bool{}
	for _, c := range r.consumers {
		names[c.name] = true
	}
	return len(names)
}
