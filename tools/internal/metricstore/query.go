package metricstore

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/promql/parser"
	"github.com/prometheus/prometheus/storage"
)

const (
	// maxSamples bounds the memory of a query: 16 bytes for each sample that it holds at a time.
	maxSamples = 500_000
	// queryTimeout ends a query.
	queryTimeout = 2 * time.Second
	// lookback is for how long a sample stands for what came after it. A series that ends says
	// so, but for one whose part was never asked again.
	lookback = time.Minute
)

// parse reads PromQL.
var parse = parser.NewParser(parser.Options{})

func newEngine(log *slog.Logger) *promql.Engine {
	return promql.NewEngine(promql.EngineOpts{
		Logger: log, MaxSamples: maxSamples, Timeout: queryTimeout, LookbackDelta: lookback,
		NoStepSubqueryIntervalFn: func(int64) int64 { return Interval.Milliseconds() },
		Parser:                   parse,
	})
}

// instant is what a query has at a time.
func instant(ctx context.Context, engine *promql.Engine, from storage.Queryable, expr string, at time.Time) (promql.Vector, error) {
	q, err := engine.NewInstantQuery(ctx, from, nil, expr, at)
	if err != nil {
		return nil, err
	}
	defer q.Close()
	res := q.Exec(ctx)
	if res.Err != nil {
		return nil, res.Err
	}
	switch v := res.Value.(type) {
	case promql.Vector:
		return append(promql.Vector(nil), v...), nil // Close takes the list back
	case promql.Scalar:
		return promql.Vector{{T: v.T, F: v.V}}, nil
	}
	return nil, fmt.Errorf("want series, not a %s", res.Value.Type())
}

// ranged calls fn with what a query has from start to end. The matrix is the engine's again when fn returns.
func ranged(ctx context.Context, engine *promql.Engine, from storage.Queryable, expr string, start, end time.Time, step time.Duration, fn func(promql.Matrix)) error {
	q, err := engine.NewRangeQuery(ctx, from, nil, expr, start, end, step)
	if err != nil {
		return err
	}
	defer q.Close()
	res := q.Exec(ctx)
	if res.Err != nil {
		return res.Err
	}
	found, ok := res.Value.(promql.Matrix)
	if !ok {
		return errors.New("want series")
	}
	fn(found)
	return nil
}
