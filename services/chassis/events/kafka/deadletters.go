package kafka

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/souk-shop/souk/services/chassis/events"
)

// The headers of a dead letter.
const (
	reasonHeader   = "souk-reason"
	attemptsHeader = "souk-attempts"
	keyHeader      = "souk-key" // the key that the record had
)

// bury keeps a record among the dead letters of a group. Its key there is its place, so that
// one that was kept twice, by a process that died in between, is one letter. A letter that
// died again after a replay has another place.
func (b *Broker) bury(ctx context.Context, group string, record *kgo.Record, reason string, attempts int) error {
	letter := &kgo.Record{
		Key:   fmt.Appendf(nil, "%s/%d/%d/%d", record.Topic, record.Partition, record.Offset, record.Timestamp.UnixMilli()),
		Value: record.Value,
		Headers: append(record.Headers[:len(record.Headers):len(record.Headers)],
			kgo.RecordHeader{Key: reasonHeader, Value: []byte(reason)},
			kgo.RecordHeader{Key: attemptsHeader, Value: []byte(strconv.Itoa(attempts))},
			kgo.RecordHeader{Key: keyHeader, Value: record.Key}),
	}
	if err := b.produceWithin(ctx, deadLetters(group), letter); err != nil {
		return fmt.Errorf("keep a dead letter: %w", err)
	}
	return nil
}

func (b *Broker) produceWithin(ctx context.Context, t topic, r *kgo.Record) error {
	ctx, cancel := context.WithTimeout(ctx, 2*requestTimeout)
	defer cancel()
	return b.produce(ctx, t, r)
}

// deadPrefix comes before the group in the name of a topic of dead letters.
const deadPrefix = "souk-dead-letters."

// DeadGroups implements events.DeadLetters.
func (b *Broker) DeadGroups(ctx context.Context) ([]string, error) {
	topics, err := b.admin.ListTopics(ctx)
	if err != nil {
		return nil, fmt.Errorf("dead letters: %w", err)
	}
	var groups []string
	for _, name := range topics.Names() { // sorted
		if group, ok := strings.CutPrefix(name, deadPrefix); ok {
			groups = append(groups, group)
		}
	}
	return groups, nil
}

// DeadLetters implements events.DeadLetters.
func (b *Broker) DeadLetters(ctx context.Context, group string, each func(events.DeadLetter) bool) error {
	return b.letters(ctx, group, func(l events.DeadLetter, _ *kgo.Record) (bool, error) { return each(l), nil })
}

// Replay implements events.DeadLetters.
func (b *Broker) Replay(ctx context.Context, group string, which func(events.DeadLetter) bool) (n int, err error) {
	if err := b.letters(ctx, group, func(l events.DeadLetter, record *kgo.Record) (bool, error) {
		if which != nil && !which(l) {
			return true, nil
		}
		again := &kgo.Record{Key: []byte(header(record)(keyHeader)), Value: record.Value}
		for _, h := range record.Headers {
			if h.Key != reasonHeader && h.Key != attemptsHeader && h.Key != keyHeader {
				again.Headers = append(again.Headers, h)
			}
		}
		if err := b.produceWithin(ctx, replays(group), again); err != nil {
			return false, fmt.Errorf("replay %s: %w", l.ID(), err)
		}
		if err := b.delete(ctx, group, record.Key); err != nil {
			return false, fmt.Errorf("replay %s: %w", l.ID(), err)
		}
		n++
		return true, nil
	}); err != nil {
		return n, err
	}
	return n, b.sweep(ctx, group)
}

// delete writes the record that deletes a letter.
func (b *Broker) delete(ctx context.Context, group string, key []byte) error {
	ctx, cancel := context.WithTimeout(ctx, 2*requestTimeout)
	defer cancel()
	return b.send(ctx, &kgo.Record{Topic: deadLetters(group).name, Key: key})
}

// sweep deletes replays that the group has handled: that topic has no other bound.
func (b *Broker) sweep(ctx context.Context, group string) error {
	t := replays(group)
	offsets, err := b.admin.FetchOffsetsForTopics(ctx, groupID(t, group), t.name)
	if err != nil {
		return fmt.Errorf("sweep %s: %w", t.name, err)
	}
	handled := kadm.Offsets{}
	offsets.Each(func(o kadm.OffsetResponse) {
		if o.Err == nil && o.At > 0 {
			handled.Add(o.Offset)
		}
	})
	if len(handled) == 0 {
		return nil
	}
	return b.deleteBefore(ctx, handled)
}

// letters reads the dead letters of a group that are there now: once to see which were
// deleted, once to pass on the others.
func (b *Broker) letters(ctx context.Context, group string, each func(events.DeadLetter, *kgo.Record) (bool, error)) error {
	if _, err := (events.Subscription{Group: group, Sources: []string{"any"}}).Complete(); err != nil || group == "" {
		return fmt.Errorf("dead letters of %q: a group is needed: %w", group, err)
	}
	name := deadLetters(group).name
	if _, err := b.topicID(ctx, name); isUnknownTopic(err) {
		return nil // nothing died yet
	} else if err != nil {
		return fmt.Errorf("dead letters: %w", err)
	}
	kept := map[string]int64{} // offsets by key
	if err := b.scan(ctx, name, func(r *kgo.Record) (bool, error) {
		if r.Value == nil {
			delete(kept, string(r.Key))
		} else {
			kept[string(r.Key)] = r.Offset
		}
		return true, nil
	}); err != nil || len(kept) == 0 {
		return err
	}
	return b.scan(ctx, name, func(r *kgo.Record) (bool, error) {
		if offset, ok := kept[string(r.Key)]; !ok || offset != r.Offset {
			return true, nil
		}
		return each(letter(group, r), r)
	})
}

func letter(group string, r *kgo.Record) events.DeadLetter {
	l := events.DeadLetter{Group: group, Reason: header(r)(reasonHeader), Since: r.Timestamp.UTC().Truncate(time.Millisecond)}
	l.Attempts, _ = strconv.Atoi(header(r)(attemptsHeader))
	// What is no event is a letter, too: of it there is what there is.
	l.Event, _ = events.FromHeaders(events.KafkaPrefix, header(r), r.Value)
	return l
}

// scan reads a topic of one partition from its beginning to where it ends now, or until one
// call returns false.
func (b *Broker) scan(ctx context.Context, name string, each func(*kgo.Record) (bool, error)) error {
	begins, err := b.offsets(ctx, name, b.admin.ListStartOffsets)
	if err != nil {
		return err
	}
	ends, err := b.offsets(ctx, name, b.admin.ListEndOffsets)
	if err != nil {
		return err
	}
	begin, _ := begins.Lookup(name, 0)
	end, _ := ends.Lookup(name, 0)
	if begin.Offset >= end.Offset {
		return nil
	}
	client, err := b.connect(consuming(kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{name: {0: kgo.NewOffset().At(begin.Offset)}}))...)
	if err != nil {
		return err
	}
	defer client.Close()
	for {
		fetches := client.PollRecords(ctx, pollRecords)
		if ctx.Err() != nil {
			return fmt.Errorf("topic %s: %w", name, ctx.Err())
		}
		if err := fatal(fetches); err != nil {
			return err
		}
		for r := range fetches.RecordsAll() {
			if r.Offset >= end.Offset {
				return nil
			}
			if more, err := each(r); err != nil || !more {
				return err
			}
			if r.Offset == end.Offset-1 {
				return nil // compaction keeps the last record
			}
		}
	}
}
