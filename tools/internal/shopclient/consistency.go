package shopclient

import (
	"net/http"
	"sync"

	"github.com/souk-shop/souk/services/chassis/consistency"
)

// memory is what a client has to see: its consistency token. nil forgets.
type memory struct {
	mu    sync.Mutex
	token consistency.Token
}

// copy is for another caller, who has to see the same.
func (m *memory) copy() *memory {
	if m == nil {
		return nil
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	return &memory{token: m.token}
}

// Forgetful returns a client that does not send what the shop says of its writes: replicas may
// answer it from before them. It is the control of tests.
func (c *Client) Forgetful() *Client {
	out := *c
	out.memory = nil
	return &out
}

func (m *memory) send(h http.Header) {
	if m == nil {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(m.token) > 0 {
		h.Set(consistency.Header, m.token.String())
	}
}

// learn keeps what an answer says; a header that is none is a defect of the shop.
func (m *memory) learn(h http.Header) error {
	text := h.Get(consistency.Header)
	if m == nil || text == "" {
		return nil
	}
	token, err := consistency.Parse(text)
	if err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.token = m.token.Merge(token)
	return nil
}
