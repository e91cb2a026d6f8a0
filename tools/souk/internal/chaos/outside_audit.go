package chaos

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	netmail "net/mail"
	"slices"
	"strconv"
	"strings"
	"time"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"

	"github.com/souk-shop/souk/services/chassis/events"
	"github.com/souk-shop/souk/services/notification/inbox"
	"github.com/souk-shop/souk/tools/internal/localshop"
	"github.com/souk-shop/souk/tools/internal/topology"
)

// letter is a mail that came.
type letter struct {
	about occasion
	to    string // the envelope's
}

// post is a webhook of the shop's that came.
type post struct {
	id     string
	signed bool
	about  occasion
	is     string
	at     time.Time
	data   json.RawMessage
}

// elsewhere is what those outside of the shop have, and what they are due.
type elsewhere struct {
	letters []letter
	posts   []post
	// odd are mails and webhooks that cannot be read.
	odd []string
	// facts are the events that they are told of.
	facts map[occasion]events.Event
	// mailsSince and hooksSince are since when the notification service tells what happens.
	mailsSince, hooksSince time.Time
	// asked is how often the mail server was asked to take a mail, by what the service wrote
	// before it did.
	asked map[occasion]int
}

func (e *evidence) readOutside(ctx context.Context, shop *localshop.Shop, o *outside) error {
	for _, m := range o.mails.Mails() {
		l, err := readLetter(m)
		if err != nil {
			e.elsewhere.odd = append(e.elsewhere.odd, fmt.Sprintf("a mail to %s cannot be read: %v", m.To, err))
			continue
		}
		e.elsewhere.letters = append(e.elsewhere.letters, l)
	}
	for _, h := range o.came() {
		p, err := readPost(h)
		if err != nil {
			e.elsewhere.odd = append(e.elsewhere.odd, fmt.Sprintf("webhook %q cannot be read: %v: %s", h.id, err, h.body))
			continue
		}
		e.elsewhere.posts = append(e.elsewhere.posts, p)
	}
	dsn := shop.DSN(notifier)
	if err := query(ctx, dsn, "SELECT at FROM beginning", []any{&e.elsewhere.mailsSince}, func() {}); err != nil {
		return err
	}
	if err := query(ctx, dsn, "SELECT max(created_at) FROM webhook_endpoints", []any{&e.elsewhere.hooksSince}, func() {}); err != nil {
		return err
	}
	at, attempts := occasion{source: toldSource}, 0
	e.elsewhere.asked = map[occasion]int{}
	return query(ctx, dsn, "SELECT subject, version, attempts FROM mails", []any{&at.subject, &at.version, &attempts}, func() { e.elsewhere.asked[at] = attempts })
}

// readLetter finds out what a mail is about: its Message-ID says.
func readLetter(m inbox.Mail) (letter, error) {
	parsed, err := netmail.ReadMessage(strings.NewReader(m.Text))
	if err != nil {
		return letter{}, err
	}
	to, err := netmail.ParseAddress(parsed.Header.Get("To"))
	if err != nil {
		return letter{}, fmt.Errorf("To: %w", err)
	}
	if to.Address != m.To {
		return letter{}, fmt.Errorf("its To is %s", to.Address)
	}
	id, _, _ := strings.Cut(strings.Trim(parsed.Header.Get("Message-Id"), "<>"), "@")
	dot := strings.LastIndexByte(id, '.')
	if dot < 0 {
		return letter{}, fmt.Errorf("its Message-ID is %q", parsed.Header.Get("Message-Id"))
	}
	version, err := strconv.ParseInt(id[dot+1:], 10, 64)
	if err != nil {
		return letter{}, fmt.Errorf("Message-ID: %w", err)
	}
	return letter{occasion{toldSource, id[:dot], version}, m.To}, nil
}

func readPost(h heard) (post, error) {
	var body struct {
		Type      string          `json:"type"`
		Timestamp time.Time       `json:"timestamp"`
		Subject   string          `json:"subject"`
		Version   int64           `json:"version"`
		Data      json.RawMessage `json:"data"`
	}
	strict := json.NewDecoder(bytes.NewReader(h.body))
	strict.DisallowUnknownFields()
	if err := strict.Decode(&body); err != nil {
		return post{}, err
	}
	return post{h.id, h.signed, occasion{toldSource, body.Subject, body.Version}, body.Type, body.Timestamp, body.Data}, nil
}

// says compares a webhook with its event.
func (p post) says(e events.Event) error {
	if p.is != e.Type || !p.at.Equal(e.Time) {
		return fmt.Errorf("it is a %s of %s, committed was a %s of %s", p.is, p.at, e.Type, e.Time)
	}
	kind, err := protoregistry.GlobalTypes.FindMessageByName(protoreflect.FullName(e.Type))
	if err != nil {
		return err
	}
	told, committed := kind.New().Interface(), kind.New().Interface()
	if err := errors.Join(protojson.Unmarshal(p.data, told), proto.Unmarshal(e.Data, committed)); err != nil {
		return err
	}
	if !proto.Equal(told, committed) {
		return fmt.Errorf("it says %v, committed was %v", told, committed)
	}
	return nil
}

// repeatsMails says whether what a fault breaks may keep it from being written that the mail server
// has accepted a mail, so that the mail comes twice (docs/mails.md). One that makes no call fail
// lets the service finish what it has begun.
func (f Fault) repeatsMails() bool {
	return !f.Gentle && (f.Breaks == nil || slices.Contains(f.Breaks, notifier) || slices.Equal(f.Breaks, []string{topology.Postgres}))
}

// checkOutside compares what others were told with what was committed.
func (t *trial) checkOutside(v violations) {
	if t.outstanding != (outstanding{}) {
		v.add(ToldOutside, "%s after all else had ended, %d events were not taken, and %d mails and %d webhooks not sent", tellLimit, t.outstanding.Events, t.outstanding.Mails, t.outstanding.Webhooks)
	}
	for _, what := range t.ev.elsewhere.odd {
		v.add(ToldOutside, "%s", what)
	}
	t.checkLetters(v)
	t.checkPosts(v)
}

// checkLetters looks at the mails: one at least of each event that is told by mail, to the order's
// buyer, and more only where a death or the database may have kept it from being written that the
// first was accepted.
func (t *trial) checkLetters(v violations) {
	o := &t.ev.elsewhere
	copies := map[occasion]int{}
	for _, l := range o.letters {
		e, committed := o.facts[l.about]
		buyer := t.buyer(strings.TrimPrefix(l.about.subject, "order."))
		switch {
		case !committed:
			v.add(ToldOutside, "a mail tells of %s, which was never committed", l.about)
		case !slices.Contains(mailed, e.Type):
			v.add(ToldOutside, "a mail tells of %s, a %s", l.about, e.Type)
		case l.to != buyer:
			v.add(ToldOutside, "the mail about %s went to %s; the buyer is %s", l.about, l.to, buyer)
		}
		copies[l.about]++
	}
	for at, e := range o.facts {
		if slices.Contains(mailed, e.Type) && !e.Time.Before(o.mailsSince) && copies[at] == 0 {
			v.add(ToldOutside, "%s, a %s, was told by no mail", at, e.Type)
		}
	}
	again, one := 0, occasion{}
	for at, n := range copies {
		if n > o.asked[at] {
			v.add(ToldOutside, "the mail about %s came %d times, and the service wrote that it was sending it %d times", at, n, o.asked[at])
		}
		if n > 1 {
			again, one = again+n-1, at
		}
	}
	if again > t.repeats {
		v.add(ToldOutside, "%d mails came again, such as that about %s; the fault explains %d", again, one, t.repeats)
	}
}

// checkPosts looks at the webhooks: one at least of each event, signed, with the id and the words of
// the first in each repeat, and in the order of its subject.
func (t *trial) checkPosts(v violations) {
	o := &t.ev.elsewhere
	ids, abouts, newest := map[occasion]string{}, map[string]occasion{}, map[string]int64{}
	for _, p := range o.posts {
		if !p.signed {
			v.add(ToldOutside, "the webhook about %s has no valid signature", p.about)
		}
		if e, committed := o.facts[p.about]; !committed {
			v.add(ToldOutside, "a webhook tells of %s, a %s, which was never committed", p.about, p.is)
		} else if !slices.Contains(hooked, e.Type) {
			v.add(ToldOutside, "a webhook tells of %s, a %s, which the endpoint did not subscribe to", p.about, e.Type)
		} else if err := p.says(e); err != nil {
			v.add(ToldOutside, "the webhook about %s: %v", p.about, err)
		}
		if about, known := abouts[p.id]; known && about != p.about {
			v.add(ToldOutside, "webhook %s tells of %s and of %s", p.id, about, p.about)
		}
		abouts[p.id] = p.about
		id, again := ids[p.about]
		switch {
		case again && id != p.id:
			v.add(ToldOutside, "the webhook about %s is %s, and again %s", p.about, id, p.id)
		case !again && p.about.version < newest[p.about.subject]:
			v.add(ToldOutside, "the webhook about %s came after that of version %d", p.about, newest[p.about.subject])
		}
		ids[p.about] = p.id
		newest[p.about.subject] = max(newest[p.about.subject], p.about.version)
	}
	for at, e := range o.facts {
		if _, came := ids[at]; slices.Contains(hooked, e.Type) && !came && !e.Time.Before(o.hooksSince) {
			v.add(ToldOutside, "%s, a %s, was told by no webhook", at, e.Type)
		}
	}
}

// messages counts mails and webhooks, and those that came again.
func (t *trial) messages() (out Messages) {
	letters, posts := map[occasion]bool{}, map[string]bool{}
	for _, l := range t.ev.elsewhere.letters {
		letters[l.about] = true
	}
	for _, p := range t.ev.elsewhere.posts {
		posts[p.id] = true
	}
	out.Mails, out.Webhooks = len(t.ev.elsewhere.letters), len(t.ev.elsewhere.posts)
	out.MailsAgain, out.WebhooksAgain = out.Mails-len(letters), out.Webhooks-len(posts)
	return out
}
