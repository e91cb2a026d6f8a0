// Package filewatch keeps a value that is made of files as the files are now: a
// certificate and its key, a list of operators.
//
// The contract, for each Value:
//
//   - The files are read every second (Interval). Reading beats being told of changes: it
//     follows the symbolic links that Kubernetes swaps in a mounted secret, works on every
//     file system, and the files are small (MaxSize).
//   - A value is replaced whole, when all its files could be read and make sense together.
//     A file that is missing, half written, or does not fit the others keeps the value that
//     was there; other Values do not wait for it.
//   - What the second look in succession still finds broken is logged, once until it is
//     another fault; the first may have come between two writes that belong together.
//   - souk.file.reloads counts values that were replaced and looks that failed;
//     souk.file.age is the time since the value was read, souk.file.broken the time for
//     which the files have not been usable.
//   - Run ends with its context.
package filewatch

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"

	"github.com/souk-shop/souk/services/chassis/retry"
	"github.com/souk-shop/souk/services/chassis/semconv"
	"github.com/souk-shop/souk/services/chassis/telemetry"
)

// Interval is how soon a changed file is noticed.
const Interval = time.Second

// MaxSize bounds a file, in bytes.
const MaxSize = 1 << 20

// File is one of the files of a value.
type File struct {
	// Variable is the environment variable that has the path: what errors and metrics name.
	Variable string
	Path     string
}

// Config is what a Value is made of.
type Config[T any] struct {
	// Name is the value's in logs and metrics, such as "operators".
	Name string
	// Files are read at each look. Without any, the value stays the zero T.
	Files []File
	// Make makes the value of the files' contents, in their order. It is called when one of
	// them has changed.
	Make func(contents [][]byte) (T, error)
	// Read reads one file; nil means Read.
	Read func(path string) ([]byte, error)
	// Optional lets a file be missing when the value is opened: until it comes, the value is
	// the zero T.
	Optional bool
}

// Value is made of files, and followed. Safe for concurrent use.
type Value[T any] struct {
	cfg     Config[T]
	tel     *telemetry.Telemetry
	reloads metric.Int64Counter
	now     atomic.Pointer[T]

	mu       sync.Mutex // of a look
	contents [][]byte   // what the value was made of; nil for none, or to make it anew
	looked   time.Time
	read     time.Time // when the value was
	since    time.Time // since when the files are broken; zero when they are not
	fault    string
	logged   bool
}

// Open reads the files and returns their value. The caller has Run follow them.
func Open[T any](cfg Config[T], tel *telemetry.Telemetry) (*Value[T], error) {
	if cfg.Read == nil {
		cfg.Read = Read
	}
	v := &Value[T]{cfg: cfg, tel: tel}
	v.now.Store(new(T))
	if len(cfg.Files) == 0 {
		return v, nil
	}
	if err := v.measure(); err != nil {
		return nil, err
	}
	now := time.Now()
	_, broken, err := v.load(now)
	v.looked = now
	switch {
	case err == nil:
	case cfg.Optional && errors.Is(err, fs.ErrNotExist):
		v.since, v.fault, v.logged = now, describe(broken, err).Error(), true
		tel.Log.Warn("a file is missing: it is used when it comes", "name", cfg.Name, "error", v.fault)
	default:
		return nil, describe(broken, err)
	}
	return v, nil
}

func (v *Value[T]) measure() (err error) {
	meter := v.tel.Meter()
	if v.reloads, err = meter.Int64Counter("souk.file.reloads", metric.WithUnit("{reload}"),
		metric.WithDescription("Values that were read anew from changed files; with error.type, looks at a file that is broken.")); err != nil {
		return err
	}
	if _, err = meter.Float64ObservableGauge("souk.file.age", metric.WithUnit("s"),
		metric.WithDescription("Time since the value in use was read from its files."),
		v.sinceThen(func() time.Time { return v.read })); err != nil {
		return err
	}
	_, err = meter.Float64ObservableGauge("souk.file.broken", metric.WithUnit("s"),
		metric.WithDescription("Time for which the files have not been usable; 0 while they are."),
		v.sinceThen(func() time.Time { return v.since }))
	return err
}

// sinceThen observes the time since then, 0 for no time.
func (v *Value[T]) sinceThen(then func() time.Time) metric.Float64ObservableGaugeOption {
	name := metric.WithAttributes(semconv.FileName.String(v.cfg.Name))
	return metric.WithFloat64Callback(func(_ context.Context, o metric.Float64Observer) error {
		v.mu.Lock()
		defer v.mu.Unlock()
		age := 0.0
		if at := then(); !at.IsZero() {
			age = time.Since(at).Seconds()
		}
		o.Observe(age, name)
		return nil
	})
}

// Now is the value, which is not to be changed.
func (v *Value[T]) Now() T { return *v.now.Load() }

// Run follows the files until ctx is done.
func (v *Value[T]) Run(ctx context.Context) error {
	return Follow(ctx, func(ctx context.Context) { v.Look(ctx) })
}

// Follow calls look at each Interval until ctx is done: for a caller whose values depend
// on each other.
func Follow(ctx context.Context, look func(context.Context)) error {
	for retry.Sleep(ctx, Interval) == nil {
		look(ctx)
	}
	return nil
}

// Look reads the files now and reports whether the value is another one.
func (v *Value[T]) Look(ctx context.Context) bool { return v.LookAfter(ctx, 0) }

// LookAfter is Look, but does nothing within a pause after the last look: for callers
// that cannot wait for Run, and whom others can have look.
func (v *Value[T]) LookAfter(ctx context.Context, pause time.Duration) bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	now := time.Now()
	if len(v.cfg.Files) == 0 || now.Sub(v.looked) < pause {
		return false
	}
	v.looked = now
	changed, broken, err := v.load(now)
	if err != nil {
		v.reloads.Add(ctx, 1, metric.WithAttributes(semconv.FileName.String(v.cfg.Name), attribute.String("error.type", broken.Variable)))
		v.broken(ctx, describe(broken, err).Error(), now)
		return false
	}
	if v.logged {
		v.tel.Log.InfoContext(ctx, "a file can be used again", "name", v.cfg.Name)
	}
	v.since, v.fault, v.logged = time.Time{}, "", false
	if changed {
		v.reloads.Add(ctx, 1, metric.WithAttributes(semconv.FileName.String(v.cfg.Name)))
	}
	return changed
}

// Remake has the next look make the value anew, although no file has changed: something
// else that Make uses has.
func (v *Value[T]) Remake() {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.contents = nil
}

func (v *Value[T]) broken(ctx context.Context, fault string, now time.Time) {
	if v.since.IsZero() {
		v.since = now
		v.fault = fault
		return
	}
	if v.logged && v.fault == fault {
		return
	}
	v.fault, v.logged = fault, true
	v.tel.Log.ErrorContext(ctx, "cannot use a changed file: what was read before stays", "name", v.cfg.Name, "error", fault)
}

// load reads the files and makes the value if they have changed. It returns the file
// that is broken with the error.
func (v *Value[T]) load(now time.Time) (changed bool, broken File, err error) {
	contents := make([][]byte, len(v.cfg.Files))
	for i, f := range v.cfg.Files {
		if contents[i], err = v.cfg.Read(f.Path); err != nil {
			return false, f, err
		}
	}
	if v.contents != nil && slices.EqualFunc(contents, v.contents, bytes.Equal) {
		return false, File{}, nil
	}
	made, err := v.cfg.Make(contents)
	if err != nil {
		return false, v.cfg.Files[0], err
	}
	v.now.Store(&made)
	v.contents, v.read = contents, now
	return true, File{}, nil
}

// describe names a file as its operator knows it.
func describe(f File, err error) error {
	return fmt.Errorf("environment variable %s is %q: %w", f.Variable, f.Path, err)
}

// Read reads a file of at most MaxSize bytes.
func Read(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, errors.New("it is not a file")
	}
	content, err := io.ReadAll(io.LimitReader(f, MaxSize+1))
	if err == nil && len(content) > MaxSize {
		err = fmt.Errorf("it has more than %d bytes", MaxSize)
	}
	return content, err
}
