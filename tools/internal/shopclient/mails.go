package shopclient

import (
	"context"
	"net/http"
	"net/url"
	"time"
)

// Mail is a mail to a buyer, or to operators about a webhook endpoint.
type Mail struct {
	ID          string    `json:"id"`
	Kind        string    `json:"kind"`
	State       string    `json:"state"`
	Subject     string    `json:"subject"`
	OrderID     string    `json:"order_id"`
	OrderNumber string    `json:"order_number"`
	EndpointID  string    `json:"webhook_endpoint_id"`
	Attempts    int       `json:"attempts"`
	Reason      string    `json:"reason"`
	MessageID   string    `json:"message_id"`
	HappenedAt  time.Time `json:"happened_at"`
	CreatedAt   time.Time `json:"created_at"`
}

// Letter is a mail with its texts; without them once the buyer is erased.
type Letter struct {
	Mail Mail   `json:"mail"`
	To   string `json:"to"`
	Text string `json:"text"`
	HTML string `json:"html"`
}

// MailFilter narrows Mails; empty fields do not.
type MailFilter struct{ OrderID, State string }

// Mails calls each with every mail that the filter selects, the newest first, until it
// returns false; for operators.
func (c *Client) Mails(ctx context.Context, f MailFilter, each func(Mail) (bool, error)) error {
	values := url.Values{"limit": {"100"}}
	for name, s := range map[string]string{"order_id": f.OrderID, "state": f.State} {
		if s != "" {
			values.Set(name, s)
		}
	}
	for {
		var page struct {
			Mails      []Mail `json:"mails"`
			NextCursor string `json:"next_cursor"`
		}
		if _, err := c.do(ctx, request{method: http.MethodGet, path: "/v1/mails?" + values.Encode()}, &page); err != nil {
			return err
		}
		for _, m := range page.Mails {
			if more, err := each(m); err != nil || !more {
				return err
			}
		}
		if page.NextCursor == "" {
			return nil
		}
		values.Set("cursor", page.NextCursor)
	}
}

// Mail returns a mail with its texts; for operators.
func (c *Client) Mail(ctx context.Context, id string) (*Letter, error) {
	out := new(Letter)
	_, err := c.do(ctx, request{method: http.MethodGet, path: "/v1/mails/" + url.PathEscape(id)}, out)
	return out, err
}
