package nats

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/souk-shop/souk/services/chassis/events"
)

// The headers of a dead letter.
const (
	reasonHeader   = "souk-reason"
	attemptsHeader = "souk-attempts"
)

// bury keeps a message among the dead letters of a group. It has no id there: a letter
// that died again after a replay is no duplicate.
func (b *Broker) bury(ctx context.Context, group string, msg jetstream.Msg, attempts int, reason string) error {
	if err := b.ensure(ctx, dead()); err != nil {
		return err
	}
	letter := &nats.Msg{Subject: deadPrefix + "." + group + "." + origin(msg.Subject(), group), Data: msg.Data(), Header: nats.Header{}}
	for name, values := range msg.Headers() {
		// The broker's own say how the event was published, as in which batch: it would refuse the
		// letter.
		if !strings.HasPrefix(name, "Nats-") {
			letter.Header[name] = values
		}
	}
	letter.Header.Set(reasonHeader, reason)
	letter.Header.Set(attemptsHeader, strconv.Itoa(attempts))
	_, err := b.js.PublishMsg(ctx, letter, jetstream.WithExpectStream(deadStream))
	if err != nil {
		b.forget(deadStream)
		return fmt.Errorf("keep a dead letter: %w", err)
	}
	return nil
}

// stored is a dead letter and its place.
type stored struct {
	events.DeadLetter
	seq     uint64
	subject string // of the event, as it was published
	header  nats.Header
}

// DeadGroups implements events.DeadLetters.
func (b *Broker) DeadGroups(ctx context.Context) ([]string, error) {
	stream, err := b.js.Stream(ctx, deadStream)
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		return nil, nil // nothing died yet
	} else if err != nil {
		return nil, fmt.Errorf("dead letters: %w", err)
	}
	info, err := stream.Info(ctx, jetstream.WithSubjectFilter(deadPrefix+".>"))
	if err != nil {
		return nil, fmt.Errorf("dead letters: %w", err)
	}
	var groups []string
	for subject := range info.State.Subjects {
		group, _, _ := strings.Cut(subject[len(deadPrefix)+1:], ".")
		groups = append(groups, group)
	}
	slices.Sort(groups)
	return slices.Compact(groups), nil
}

// DeadLetters implements events.DeadLetters.
func (b *Broker) DeadLetters(ctx context.Context, group string, each func(events.DeadLetter) bool) error {
	return b.letters(ctx, group, func(_ jetstream.Stream, l stored) (bool, error) { return each(l.DeadLetter), nil })
}

// Replay implements events.DeadLetters.
func (b *Broker) Replay(ctx context.Context, group string, which func(events.DeadLetter) bool) (n int, err error) {
	if err := b.ensure(ctx, replays()); err != nil {
		return 0, err
	}
	err = b.letters(ctx, group, func(stream jetstream.Stream, l stored) (bool, error) {
		if which != nil && !which(l.DeadLetter) {
			return true, nil
		}
		again := &nats.Msg{Subject: replayPrefix + "." + group + "." + l.subject, Data: l.Data, Header: l.header}
		if _, err := b.js.PublishMsg(ctx, again, jetstream.WithMsgID(fmt.Sprintf("%s:%d", deadStream, l.seq)), jetstream.WithExpectStream(replayStream)); err != nil {
			b.forget(replayStream)
			return false, fmt.Errorf("replay %s: %w", l.ID(), err)
		}
		if err := stream.DeleteMsg(ctx, l.seq); err != nil && !errors.Is(err, jetstream.ErrMsgNotFound) {
			return false, fmt.Errorf("replay %s: %w", l.ID(), err)
		}
		n++
		return true, nil
	})
	return n, err
}

// letters reads the dead letters of a group that are there now.
func (b *Broker) letters(ctx context.Context, group string, each func(jetstream.Stream, stored) (bool, error)) error {
	if _, err := (events.Subscription{Group: group, Sources: []string{"any"}}).Complete(); err != nil || group == "" {
		return fmt.Errorf("dead letters of %q: a group is needed: %w", group, err)
	}
	stream, err := b.js.Stream(ctx, deadStream)
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		return nil // nothing died yet
	} else if err != nil {
		return fmt.Errorf("dead letters: %w", err)
	}
	last := stream.CachedInfo().State.LastSeq
	filter := deadPrefix + "." + group + ".>"
	for seq := stream.CachedInfo().State.FirstSeq; seq <= last; seq++ {
		msg, err := stream.GetMsg(ctx, seq, jetstream.WithGetMsgSubject(filter)) // the first from seq on
		if errors.Is(err, jetstream.ErrMsgNotFound) {
			return nil
		} else if err != nil {
			return fmt.Errorf("dead letters: %w", err)
		}
		if seq = msg.Sequence; seq > last {
			return nil
		}
		if more, err := each(stream, letter(group, msg)); err != nil || !more {
			return err
		}
	}
	return nil
}

func letter(group string, msg *jetstream.RawStreamMsg) stored {
	l := stored{seq: msg.Sequence, subject: msg.Subject[len(deadPrefix)+len(group)+2:], header: nats.Header{}}
	for name, values := range msg.Header {
		// The broker's own headers say where the letter was.
		if len(name) < 5 || name[:5] != "Nats-" {
			l.header[name] = values
		}
	}
	l.Group, l.Reason, l.Since = group, msg.Header.Get(reasonHeader), msg.Time.UTC().Truncate(time.Millisecond)
	l.Attempts, _ = strconv.Atoi(msg.Header.Get(attemptsHeader))
	// What is no event is a letter, too: of it there is what there is.
	l.Event, _ = events.FromHeaders(events.NATSPrefix, msg.Header.Get, msg.Data)
	l.header.Del(reasonHeader)
	l.header.Del(attemptsHeader)
	return l
}
