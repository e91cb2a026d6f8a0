package localshop

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// maxLog is the size in bytes at which the log is put aside (one old log is
	// kept).
	maxLog = 64 << 20
	// flushEvery is how long a line may wait in memory; warnings do not.
	flushEvery = 500 * time.Millisecond
)

// logFile takes the JSON lines of all services, each in one Write, puts them
// into a file and shows those of a level and above on a console.
type logFile struct {
	path  string
	show  io.Writer // nil for nothing
	level slog.Level
	// quiet keeps the console still: while the shop starts, its parts complain
	// about each other.
	quiet atomic.Bool

	mu    sync.Mutex
	file  *os.File
	buf   *bufio.Writer
	size  int64
	timer *time.Timer // set while lines wait
}

func openLog(path string, show io.Writer, level slog.Level) (*logFile, error) {
	l := &logFile{path: path, show: show, level: level}
	if err := l.open(); err != nil {
		return nil, err
	}
	if l.size > maxLog {
		if err := l.rotate(); err != nil {
			return nil, err
		}
	}
	return l, nil
}

func (l *logFile) open() error {
	f, err := os.OpenFile(l.path, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	info, err := f.Stat()
	if err != nil {
		return errors.Join(err, f.Close())
	}
	l.file, l.size, l.buf = f, info.Size(), bufio.NewWriterSize(f, 64<<10)
	return nil
}

func (l *logFile) rotate() error {
	if err := errors.Join(l.buf.Flush(), l.file.Close(), os.Rename(l.path, l.path+".old")); err != nil {
		return err
	}
	return l.open()
}

// Write implements io.Writer. An error is the caller's logger's, which has
// nowhere to put it; the shop goes on.
func (l *logFile) Write(line []byte) (int, error) {
	level := levelOf(line)
	if l.show != nil && level >= l.level && !l.quiet.Load() {
		_, _ = l.show.Write(pretty(line)) // a terminal that is gone
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.file == nil {
		return 0, fs.ErrClosed
	}
	n, err := l.buf.Write(line)
	l.size += int64(n)
	switch {
	case err != nil:
	case l.size > maxLog:
		err = l.rotate()
	case level >= slog.LevelWarn:
		err = l.buf.Flush()
	case l.timer == nil:
		l.timer = time.AfterFunc(flushEvery, l.flush)
	}
	return n, err
}

func (l *logFile) flush() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.timer = nil
	if l.file != nil {
		_ = l.buf.Flush() // the next Write returns the same error
	}
}

// Close writes what waits and closes the file. Later lines are lost.
func (l *logFile) Close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.file == nil {
		return nil
	}
	err := errors.Join(l.buf.Flush(), l.file.Close())
	l.file = nil
	return err
}

// levelOf finds the level of a line as slog writes it.
func levelOf(line []byte) slog.Level {
	_, rest, ok := bytes.Cut(line[:min(len(line), 200)], []byte(`"level":"`))
	name, _, closed := bytes.Cut(rest, []byte(`"`))
	level := slog.LevelInfo
	if ok && closed {
		_ = level.UnmarshalText(name) // stays info
	}
	return level
}

// pretty writes a JSON line for people: time, level, service, message, the rest.
func pretty(line []byte) []byte {
	var fields map[string]any
	numbers := json.NewDecoder(bytes.NewReader(line))
	numbers.UseNumber()
	if err := numbers.Decode(&fields); err != nil {
		return line
	}
	take := func(name string) string {
		v, ok := fields[name]
		delete(fields, name)
		if !ok {
			return ""
		}
		return fmt.Sprint(v)
	}
	var b strings.Builder
	clock := take("time")
	if at, err := time.Parse(time.RFC3339Nano, clock); err == nil {
		clock = at.Format(time.TimeOnly)
	}
	fmt.Fprintf(&b, "%s %s", clock, take("level"))
	if service := take("service"); service != "" {
		fmt.Fprintf(&b, " %s:", service)
	}
	fmt.Fprintf(&b, " %s", take("msg"))
	delete(fields, "span_id")
	names := make([]string, 0, len(fields))
	for name := range fields {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		value := fmt.Sprint(fields[name])
		if n, ok := fields[name].(json.Number); ok && name == "took" {
			if ns, err := n.Int64(); err == nil {
				value = time.Duration(ns).Round(time.Microsecond).String()
			}
		}
		if strings.ContainsAny(value, " \n\t\"") {
			value = fmt.Sprintf("%q", value)
		}
		fmt.Fprintf(&b, " %s=%s", name, value)
	}
	b.WriteByte('\n')
	return []byte(b.String())
}
