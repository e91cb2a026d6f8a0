package postgres_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/souk-shop/souk/services/chassis/audit"
	app "github.com/souk-shop/souk/services/notification/internal/app/webhook"
	"github.com/souk-shop/souk/services/notification/internal/domain/webhook"
)

// TestEachActionIsAudited: what an operator does to an endpoint is one entry of the audit log each,
// with what it was and is, also when the operation is repeated; what changes nothing, or is
// refused, is none. No secret is in any.
func TestEachActionIsAudited(t *testing.T) {
	t.Parallel()
	s, in := newShop(t), newInbox(t)
	in.answers(func(string, int64) int { return 410 })
	ctx := audit.As(t.Context(), audit.Actor{Operator: "ada", Caller: "gateway", Action: "/souk.test.v1.Test/Do"})
	entries := func() (all []audit.Entry) {
		t.Helper()
		if err := audit.Read(t.Context(), s.pool, time.Time{}, func(e *audit.Entry) error { all = append(all, *e); return nil }); err != nil {
			t.Fatal(err)
		}
		return all
	}
	var e webhook.Endpoint
	var secrets []webhook.Secret
	var sent webhook.Delivery
	yes, no, text, bad := true, false, "for the warehouse", "http://10.0.0.1/"
	seen := 0
	for _, step := range []struct {
		name          string
		do            func(operation string) error
		before, after string // JSON; "" for none, "-" for no entry
	}{
		{"register", func(operation string) (err error) {
			var secret webhook.Secret
			e, secret, err = s.Create(ctx, operation, app.New{URL: in.url, Types: []string{"*"}})
			secrets = append(secrets, secret)
			return err
		}, "", `{"description":"","enabled":true,"event_types":["*"],"ordered":false,"url":"` + in.url + `"}`},
		{"change", func(operation string) (err error) {
			_, err = s.Update(ctx, operation, e.ID, nil, app.Change{Description: &text, Ordered: &yes})
			return err
		}, `{"description":"","ordered":false}`, `{"description":"for the warehouse","ordered":true}`},
		{"change nothing", func(operation string) (err error) {
			_, err = s.Update(ctx, operation, e.ID, nil, app.Change{Description: &text})
			return err
		}, "-", "-"},
		{"change what is refused", func(operation string) error {
			if _, err := s.Update(ctx, operation, e.ID, nil, app.Change{URL: &bad}); err == nil {
				return fmt.Errorf("%s is taken", bad)
			}
			return nil
		}, "-", "-"},
		{"rotate the secret", func(operation string) error {
			_, secret, err := s.Rotate(ctx, operation, e.ID, time.Hour)
			secrets = append(secrets, secret)
			return err
		}, "", `{"before_until":"*","secret":"rotated"}`},
		{"test", func(operation string) (err error) {
			sent, err = s.Test(ctx, operation, e.ID)
			return err
		}, "", `{"test":"*"}`},
		{"replay", func(operation string) (err error) {
			_, err = s.Replay(ctx, operation, e.ID, sent.ID)
			return err
		}, "", `{"deliveries":1,"replay":"*"}`},
		{"replay what failed", func(operation string) (err error) {
			_, err = s.ReplayFailed(ctx, operation, e.ID, time.Unix(0, 0))
			return err
		}, "", `{"deliveries":0,"replay_failed_since":"1970-01-01T00:00:00Z"}`},
		{"disable", func(operation string) (err error) {
			_, err = s.Update(ctx, operation, e.ID, nil, app.Change{Enabled: &no})
			return err
		}, `{"enabled":true}`, `{"enabled":false}`},
		{"test one that is disabled", func(operation string) error {
			if _, err := s.Test(ctx, operation, e.ID); err == nil {
				return fmt.Errorf("it is sent")
			}
			return nil
		}, "-", "-"},
		{"enable", func(operation string) (err error) {
			_, err = s.Update(ctx, operation, e.ID, nil, app.Change{Enabled: &yes})
			return err
		}, `{"enabled":false}`, `{"enabled":true}`},
		{"delete", func(operation string) error { return s.Delete(ctx, operation, e.ID, nil) },
			`{"description":"for the warehouse","enabled":true,"event_types":["*"],"ordered":true,"url":"` + in.url + `"}`, ""},
	} {
		operation := id()
		for range 2 { // the second is a repeat
			if err := step.do(operation); err != nil {
				t.Fatalf("%s: %v", step.name, err)
			}
		}
		all := entries()
		if step.before == "-" {
			if len(all) != seen {
				t.Errorf("%s is in the log: %+v", step.name, all[seen:])
			}
			seen = len(all)
			continue
		}
		if len(all) != seen+1 {
			t.Fatalf("%s makes %d entries", step.name, len(all)-seen)
		}
		got := all[seen]
		seen++
		if got.Operator != "ada" || got.Object != "webhook endpoint "+e.ID || blank(t, got.Before, step.before) != step.before || blank(t, got.After, step.after) != step.after {
			t.Errorf("%s: %+v", step.name, got)
		}
	}
	for _, entry := range entries() {
		for _, secret := range secrets {
			if strings.Contains(entry.Before+entry.After, strings.TrimPrefix(secret.Format(), "whsec_")) {
				t.Errorf("a secret is in the log: %+v", entry)
			}
		}
	}
	if v, err := audit.Verify(t.Context(), s.pool, audit.Expected{}); err != nil {
		t.Errorf("the chain: %+v, %v", v, err)
	}
}

// blank is JSON with "*" in the place of texts that want has a "*" for.
func blank(t *testing.T, text, want string) string {
	t.Helper()
	if text == "" || want == "" {
		return text
	}
	var got, like map[string]any
	if err := json.Unmarshal([]byte(text), &got); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal([]byte(want), &like); err != nil {
		t.Fatal(err)
	}
	for name, value := range like {
		if is, ok := got[name].(string); ok && value == "*" && is != "" {
			got[name] = "*"
		}
	}
	out, err := json.Marshal(got)
	if err != nil {
		t.Fatal(err)
	}
	return string(out)
}
