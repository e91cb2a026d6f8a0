package budget

import (
	"fmt"
	"net/http"
	"sync"
	"testing"
	"time"
)

// What is held about a guest is exported and erased now and then: each time leaves an entry
// in the audit log. An address has no more by being many guests, and who is no guest, and is
// refused, takes none of it.
func TestExportsOfAGuest(t *testing.T) {
	t.Parallel()
	g := guard(t, Config{PerSecond: 100_000, Burst: 10_000_000}, hello)
	const path = "/v1/personal-data"
	export := func(address, guest string) *http.Response {
		return g.ask(address+":1", "GET", path, "", "Guest", guest).Result()
	}
	for i := range recordedOfGuestBurst {
		method := []string{"GET", "DELETE"}[i%2]
		if a := g.ask("192.0.2.1:1", method, path, "", "Guest", "ada"); a.Code != 200 {
			t.Fatalf("%s %d: %d %s", method, i, a.Code, a.Body)
		}
	}
	if a := export("192.0.2.2", "ada"); a.StatusCode != 429 || a.Header.Get("Retry-After") != "900" || g.met[len(g.met)-1] != PersonalDataOfGuest {
		t.Errorf("one more: %d %v %v", a.StatusCode, a.Header, g.met)
	}
	if a := g.ask("192.0.2.1:1", "GET", "/v1/orders", "", "Guest", "ada"); a.Code != 200 {
		t.Errorf("anything else: %d %s", a.Code, a.Body)
	}
	for i := recordedOfGuestBurst; i < recordedBurst; i++ {
		if a := export("192.0.2.1", fmt.Sprint("guest ", i)); a.StatusCode != 200 {
			t.Fatalf("of guest %d: %d", i, a.StatusCode)
		}
	}
	if a := export("192.0.2.1", "another"); a.StatusCode != 429 || a.Header.Get("Retry-After") != "60" || g.met[len(g.met)-1] != PersonalDataOfAddress {
		t.Errorf("of the address: %d %v %v", a.StatusCode, a.Header, g.met)
	}
	for range 2 * recordedBurst { // answered by 401
		if a := g.ask("192.0.2.3:1", "GET", path, ""); a.Code != 200 {
			t.Fatalf("without a token: %d %s", a.Code, a.Body)
		}
	}
	g.now = g.now.Add(15 * time.Minute)
	if a := export("192.0.2.1", "ada"); a.StatusCode != 200 {
		t.Errorf("15 minutes later: %d", a.StatusCode)
	}
}

// An export holds what its pages take while it is made, though its answer has no length.
func TestExportsHoldBytes(t *testing.T) {
	t.Parallel()
	arrived, leave := make(chan struct{}), make(chan struct{})
	g := guard(t, Config{PerSecond: 100_000, Sizes: Sizes{Bytes: 2 * exported}}, func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Wait") != "" {
			arrived <- struct{}{}
			<-leave
		}
		hello(w, r)
	})
	var under sync.WaitGroup
	under.Go(func() { g.ask("192.0.2.1:1", "GET", "/v1/personal-data", "", "Guest", "ada", "Wait", "1") })
	<-arrived
	if a := g.ask("192.0.2.1:1", "GET", "/v1/personal-data", "", "Guest", "bob"); a.Code != 429 || a.Body.String() != string(BytesOfAddress) {
		t.Errorf("a second of the address: %d %s", a.Code, a.Body)
	}
	leave <- struct{}{}
	under.Wait()
	if a := g.ask("192.0.2.1:1", "GET", "/v1/personal-data", "", "Guest", "bob"); a.Code != 200 {
		t.Errorf("when the first is done: %d %s", a.Code, a.Body)
	}
}
