package webhook

import (
	"encoding/base64"
	"errors"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestTypes(t *testing.T) {
	t.Parallel()
	known := []string{"souk.order.v1.OrderPaid", "souk.order.v1.OrderPlaced", "souk.catalog.v1.PriceChanged"}
	got, err := ParseTypes([]string{"souk.order.v1.*", "souk.catalog.v1.PriceChanged", "souk.order.v1.*"}, known)
	if want := []string{"souk.catalog.v1.PriceChanged", "souk.order.v1.*"}; err != nil || !slices.Equal(got, want) {
		t.Errorf("%v %v", got, err)
	}
	e := Endpoint{Types: got}
	for eventType, want := range map[string]bool{"souk.order.v1.OrderPaid": true, "souk.catalog.v1.PriceChanged": true, "souk.catalog.v1.StockLevelChanged": false, "souk.order.v12.X": false} {
		if e.Takes(eventType) != want {
			t.Errorf("%s: %v", eventType, !want)
		}
	}
	if _, err := ParseTypes([]string{"*"}, known); err != nil {
		t.Error(err)
	}
	for field, patterns := range map[string][]string{
		"event_types":    nil,
		"event_types[0]": {"souk.order.v1.OrderLost"},
		"event_types[1]": {"*", "souk.order.v1.Order*"},
		"event_types[2]": {"*", "*", "*.OrderPaid"},
		"event_types[3]": {"*", "*", "*", "souk.parcel.*"},
	} {
		_, err := ParseTypes(patterns, known)
		bad, ok := errors.AsType[*InvalidError](err)
		if !ok || bad.Field != field || !errors.Is(err, ErrInvalid) {
			t.Errorf("%v: %v", patterns, err)
		}
	}
}

func TestMessageID(t *testing.T) {
	t.Parallel()
	id := MessageID("order", "order.1", 2)
	if id != MessageID("order", "order.1", 2) || id == MessageID("order", "order.1", 3) || id == MessageID("payment", "order.1", 2) {
		t.Error("an id is of one event")
	}
	if strings.ContainsAny(id, ". ") || len(id) != 36 {
		t.Error(id)
	}
}

// The example of the specification's own libraries.
func TestSignature(t *testing.T) {
	t.Parallel()
	key, err := base64.StdEncoding.DecodeString("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
	if err != nil {
		t.Fatal(err)
	}
	at := time.Unix(1614265330, 0)
	now := Secret{Key: key}
	one := Sign([]Secret{now}, "msg_p5jXN8AQM9LWM0D4loKWxJek", at, []byte(`{"test": 2432232314}`))
	if one != "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=" {
		t.Error(one)
	}
	before := Secret{Key: []byte("another key of more than twenty four bytes"), ExpiresAt: at.Add(time.Hour)}
	two := Sign([]Secret{now, before}, "msg_p5jXN8AQM9LWM0D4loKWxJek", at, []byte(`{"test": 2432232314}`))
	if first, second, _ := strings.Cut(two, " "); first != one || second == "" || second == first {
		t.Error("with two secrets: " + two)
	}
	before.ExpiresAt = at
	if expired := Sign([]Secret{now, before}, "msg_p5jXN8AQM9LWM0D4loKWxJek", at, []byte(`{"test": 2432232314}`)); expired != one {
		t.Error("with one that has expired: " + expired)
	}
	if text := now.Format(); text != "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw" {
		t.Error(text)
	}
}

func TestDecide(t *testing.T) {
	t.Parallel()
	now := time.Unix(1e9, 0)
	well, dead := &Endpoint{}, &Endpoint{Failures: 40, FailingSince: now.Add(-DisableAfter)}
	var all time.Duration
	for n, pause := range Schedule {
		out := Decide(well, n, Answer{Status: 500}, now, 0)
		if out.State != Pending || out.After != pause || out.Pause != 0 || out.Disable != "" {
			t.Errorf("attempt %d: %+v", n, out)
		}
		all += out.After
	}
	if all < DisableAfter || all > DisableAfter+12*time.Hour {
		t.Errorf("it is tried for %v", all)
	}
	for name, tc := range map[string]struct {
		endpoint *Endpoint
		attempts int
		answer   Answer
		want     Outcome
	}{
		"delivered":                          {well, 0, Answer{Status: 204}, Outcome{State: Delivered}},
		"delivered at last":                  {dead, 9, Answer{Status: 200}, Outcome{State: Delivered}},
		"a redirect is not followed":         {well, 0, Answer{Status: 302}, Outcome{State: Pending, After: Schedule[0]}},
		"no answer":                          {well, 1, Answer{}, Outcome{State: Pending, After: Schedule[1]}},
		"the last attempt":                   {well, len(Schedule), Answer{}, Outcome{State: Failed}},
		"gone":                               {well, 0, Answer{Status: 410}, Outcome{State: Failed, Disable: Gone}},
		"asked to wait":                      {well, 0, Answer{Status: 503, RetryAfter: time.Hour}, Outcome{State: Pending, After: time.Hour, Pause: time.Hour}},
		"of one message":                     {well, 0, Answer{Status: 422, RetryAfter: time.Hour}, Outcome{State: Pending, After: time.Hour}},
		"asked for longer than it may":       {well, 0, Answer{Status: 429, RetryAfter: 1000 * time.Hour}, Outcome{State: Pending, After: MaxRetryAfter, Pause: MaxRetryAfter}},
		"asked for less than the schedule's": {well, 2, Answer{Status: 429, RetryAfter: time.Second}, Outcome{State: Pending, After: Schedule[2], Pause: time.Second}},
		"the third failure pauses":           {&Endpoint{Failures: 2, FailingSince: now}, 0, Answer{}, Outcome{State: Pending, After: Schedule[0], Pause: time.Second}},
		"nothing delivered for three days":   {dead, 3, Answer{}, Outcome{State: Pending, After: Schedule[3], Pause: maxPause, Disable: Failing}},
		"almost":                             {&Endpoint{Failures: 1, FailingSince: now.Add(time.Second - DisableAfter)}, len(Schedule), Answer{}, Outcome{State: Failed}},
	} {
		if got := Decide(tc.endpoint, tc.attempts, tc.answer, now, 0); got != tc.want {
			t.Errorf("%s: %+v, want %+v", name, got, tc.want)
		}
	}
	if out := Decide(well, 0, Answer{}, now, 0.5); out.After != Schedule[0]+Schedule[0]/10 {
		t.Errorf("jitter: %v", out.After)
	}
}

func TestAddresses(t *testing.T) {
	t.Parallel()
	loopback := Guard{HTTP: true, Ports: []uint16{8080}, Networks: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}}
	for addr, want := range map[string][2]bool{ // by the strictest guard, by one that allows loopback
		"93.184.215.14:443":             {true, true},
		"93.184.215.14:80":              {false, true},
		"93.184.215.14:8080":            {false, true},
		"93.184.215.14:22":              {},
		"[2606:2800:220:1::1]:443":      {true, true},
		"127.0.0.1:443":                 {false, true},
		"127.9.9.9:8080":                {false, true},
		"[::ffff:127.0.0.1]:443":        {false, true},
		"[::1]:443":                     {},
		"[::]:443":                      {},
		"0.0.0.0:443":                   {},
		"10.1.2.3:443":                  {},
		"[::ffff:10.1.2.3]:443":         {},
		"100.64.0.1:443":                {},
		"100.127.255.255:443":           {},
		"100.128.0.1:443":               {true, true},
		"169.254.169.254:443":           {},
		"168.63.129.16:443":             {},
		"172.16.0.1:443":                {},
		"172.32.0.1:443":                {true, true},
		"192.168.1.1:443":               {},
		"192.0.0.192:443":               {},
		"198.19.0.1:443":                {},
		"224.0.0.1:443":                 {},
		"255.255.255.255:443":           {},
		"[64:ff9b::7f00:1]:443":         {},
		"[64:ff9b:1::a00:1]:443":        {},
		"[2002:7f00:1::]:443":           {},
		"[2001::1]:443":                 {},
		"[::7f00:1]:443":                {},
		"[::ffff:0:7f00:1]:443":         {},
		"[fd00:ec2::254]:443":           {},
		"[fe80::1]:443":                 {},
		"[fe80::1%eth0]:443":            {},
		"[2606:2800:220:1::1%eth0]:443": {},
		"[fec0::1]:443":                 {},
		"[ff02::1]:443":                 {},
	} {
		a := netip.MustParseAddrPort(addr)
		for i, g := range []Guard{{}, loopback} {
			if err := g.Address(a); (err == nil) != want[i] {
				t.Errorf("%s by %+v: %v", addr, g, err)
			}
		}
	}
	if err := (Guard{}).Address(netip.AddrPort{}); err == nil {
		t.Error("no address is none to call")
	}
}

func TestURLs(t *testing.T) {
	t.Parallel()
	loopback := Guard{HTTP: true, Ports: []uint16{0}, Networks: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}}
	for text, want := range map[string][2]bool{
		"https://example.com/hooks?a=b":                    {true, true},
		"https://example.com:443/":                         {true, true},
		"https://93.184.215.14/":                           {true, true},
		"https://example.com:8443/":                        {false, true},
		"http://example.com/":                              {false, true},
		"http://127.0.0.1:4000/":                           {false, true},
		"http://[::1]:4000/":                               {},
		"https://user:pw@example.com/":                     {},
		"https://user@example.com/":                        {},
		"https://example.com/#a":                           {},
		"https://example.com/#":                            {},
		"ftp://example.com/":                               {},
		"file:///etc/passwd":                               {},
		"https:///hooks":                                   {},
		"https:example.com":                                {},
		"example.com":                                      {},
		"":                                                 {},
		"https://exa mple.com/":                            {},
		"https://example.com/\r\nHost: b":                  {},
		"https://bücher.example/":                          {},
		"https://10.0.0.1/":                                {},
		"https://[::ffff:10.0.0.1]/":                       {},
		"https://2130706433/":                              {},
		"https://127.1/":                                   {},
		"https://0x7f000001/":                              {},
		"https://0177.0.0.1/":                              {},
		"https://example.com:99999/":                       {},
		"https://example.com:0/":                           {},
		"https://" + strings.Repeat("a", MaxURL) + ".com/": {},
	} {
		for i, g := range []Guard{{}, loopback} {
			_, err := g.URL(text)
			if (err == nil) != want[i] || err != nil && !errors.Is(err, ErrInvalid) {
				t.Errorf("%s by %+v: %v", text, g, err)
			}
		}
	}
}
