package store

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
)

// errClosed means that the journal takes no more entries.
var errClosed = errors.New("the journal is closed")

// journal is an append-only file of JSON lines, one an entry. The entries that
// are appended while a sync is under way share the next one.
type journal struct {
	file *os.File
	size atomic.Int64 // bytes known to be on disk

	mu      sync.Mutex
	pending *Batch
	last    *Batch        // the latest with an entry to wait for; nil before the first
	wake    chan struct{} // has room for one; closed by close
	closed  bool
	flushed chan struct{} // closed when the flusher has ended
}

// Batch is the entries that one sync makes durable.
type Batch struct {
	lines []byte
	done  chan struct{}
	err   error // valid once done is closed
}

// Wait returns when the batch is on disk, or why it never will be.
func (b *Batch) Wait() error {
	<-b.done
	return b.err
}

// openJournal opens the file at path, creates it if there is none, and replays
// its entries in order. A last line that was torn by a crash was never answered
// and is cut off; damage anywhere else is an error, and so is a journal that
// another process has open.
func openJournal(path string, replay func(*Entry) error) (*journal, error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, err
	}
	file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	if err := lock(file); err != nil {
		return nil, errors.Join(fmt.Errorf("journal %s is in use: %w", path, err), file.Close())
	}
	size, err := replayFile(file, replay)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("journal %s: %w", path, err), release(file))
	}
	if err := cutOff(file, size); err != nil {
		return nil, errors.Join(fmt.Errorf("journal %s: %w", path, err), release(file))
	}
	j := &journal{file: file, pending: newBatch(), wake: make(chan struct{}, 1), flushed: make(chan struct{})}
	j.size.Store(size)
	go j.flush()
	return j, nil
}

// replayFile returns the number of bytes that hold whole entries.
func replayFile(file io.Reader, replay func(*Entry) error) (int64, error) {
	in := bufio.NewReaderSize(file, 1<<16)
	var size, lines int64
	for {
		line, err := in.ReadBytes('\n')
		if errors.Is(err, io.EOF) {
			return size, nil
		}
		if err != nil {
			return 0, err
		}
		lines++
		e := new(Entry)
		if err := json.Unmarshal(line, e); err != nil {
			if _, end := in.Peek(1); errors.Is(end, io.EOF) {
				return size, nil
			}
			return 0, fmt.Errorf("line %d: %w", lines, err)
		}
		if err := replay(e); err != nil {
			return 0, fmt.Errorf("line %d: %w", lines, err)
		}
		size += int64(len(line))
	}
}

func cutOff(file *os.File, size int64) error {
	info, err := file.Stat()
	if err != nil {
		return err
	}
	if info.Size() > size {
		if err := errors.Join(file.Truncate(size), file.Sync()); err != nil {
			return err
		}
	}
	_, err = file.Seek(size, io.SeekStart)
	return err
}

func newBatch() *Batch { return &Batch{done: make(chan struct{})} }

// failedBatch is a batch that will never be on disk.
func failedBatch(err error) *Batch {
	b := newBatch()
	b.err = err
	close(b.done)
	return b
}

// append adds an entry and returns the batch to wait for. Concurrent callers
// keep the order of their entries themselves. An entry that is not urgent is
// written with the next one that is, or by sync: its batch must not be waited for.
func (j *journal) append(e *Entry, urgent bool) *Batch {
	line, err := json.Marshal(e)
	j.mu.Lock()
	defer j.mu.Unlock()
	if err == nil && j.closed {
		err = errClosed
	}
	if err != nil {
		return failedBatch(err)
	}
	b := j.pending
	b.lines = append(append(b.lines, line...), '\n')
	if !urgent {
		return b
	}
	j.last = b
	select {
	case j.wake <- struct{}{}:
	default:
	}
	return b
}

// sync returns when everything is on disk, also what is not urgent.
func (j *journal) sync() error {
	j.mu.Lock()
	if len(j.pending.lines) > 0 && !j.closed {
		j.last = j.pending
		select {
		case j.wake <- struct{}{}:
		default:
		}
	}
	j.mu.Unlock()
	return j.settled()
}

// settled returns when every urgent entry appended so far is on disk.
func (j *journal) settled() error {
	j.mu.Lock()
	last := j.last
	j.mu.Unlock()
	if last == nil {
		return nil
	}
	return last.Wait()
}

// flush writes batches until the journal is closed. Once the disk has failed
// every further batch fails: the state in memory is ahead of the journal.
func (j *journal) flush() {
	defer close(j.flushed)
	var failed error
	for open := true; open; {
		_, open = <-j.wake
		j.mu.Lock()
		b := j.pending
		j.pending = newBatch()
		j.mu.Unlock()
		if failed == nil && len(b.lines) > 0 {
			failed = j.write(b.lines)
		}
		b.err = failed
		close(b.done)
	}
}

func (j *journal) write(lines []byte) error {
	if _, err := j.file.Write(lines); err != nil {
		return err
	}
	if err := j.file.Sync(); err != nil {
		return err
	}
	j.size.Add(int64(len(lines)))
	return nil
}

// close makes durable what was appended and releases the file.
func (j *journal) close() error {
	j.mu.Lock()
	if !j.closed {
		j.closed = true
		close(j.wake)
	}
	j.mu.Unlock()
	<-j.flushed
	return release(j.file)
}

func release(file *os.File) error { return errors.Join(unlock(file), file.Close()) }

// reader reads what is durable now, from the first entry on.
func (j *journal) reader() io.Reader {
	return io.NewSectionReader(j.file, 0, j.size.Load())
}
