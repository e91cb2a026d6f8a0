package webhook

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/souk-shop/souk/tools/stripesim/internal/store"
	"github.com/souk-shop/souk/tools/stripesim/internal/wire"
)

// maxAnswer bounds what is read of an endpoint's answer, in bytes.
const maxAnswer = 1 << 20

// attempt sends the copies that are not accepted yet, all at once.
func (d *Dispatcher) attempt(ctx context.Context, t *task) {
	ev := t.Event
	var pending int
	d.store.Update(func(st *store.State) { pending = st.Pending(ev) })
	body, err := json.Marshal(wire.NewEvent(ev, pending))
	if err != nil {
		d.log.ErrorContext(ctx, "webhook can't be encoded", "event", ev.ID, "error", err)
		return
	}
	var wg sync.WaitGroup
	var accepted atomic.Int64
	for range t.Copies {
		wg.Go(func() {
			if err := d.send(ctx, d.urls[t.Endpoint-1], body); err != nil {
				d.log.InfoContext(ctx, "webhook failed", "event", ev.ID, "type", ev.Type, "endpoint", t.Endpoint, "error", err)
				return
			}
			accepted.Add(1)
		})
	}
	wg.Wait()
	t.Copies -= int(accepted.Load())
}

// send posts an event; an answer that is not 2xx is an error.
func (d *Dispatcher) send(ctx context.Context, url string, body []byte) error {
	d.attempts.Add(1)
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json; charset=utf-8")
	req.Header.Set("User-Agent", "Stripe/1.0 (+https://stripe.com/docs/webhooks)")
	req.Header.Set("Stripe-Signature", sign(d.now(), body, d.secret))
	resp, err := d.client.Do(req)
	if err != nil {
		return err
	}
	_, _ = io.Copy(io.Discard, io.LimitReader(resp.Body, maxAnswer)) // so that the connection can be used again
	if err := resp.Body.Close(); err != nil {
		return err
	}
	if resp.StatusCode < 200 || resp.StatusCode > 299 {
		return fmt.Errorf("endpoint answered %s", resp.Status)
	}
	return nil
}

// sign returns the Stripe-Signature of a body that is sent at a time:
// https://docs.stripe.com/webhooks/signature
func sign(at time.Time, body, secret []byte) string {
	t := strconv.FormatInt(at.Unix(), 10)
	mac := hmac.New(sha256.New, secret)
	mac.Write([]byte(t + "."))
	mac.Write(body)
	return "t=" + t + ",v1=" + hex.EncodeToString(mac.Sum(nil))
}
