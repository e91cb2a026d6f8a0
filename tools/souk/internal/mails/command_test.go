package mails

import (
	"strings"
	"testing"

	"github.com/souk-shop/souk/tools/internal/shopclient"
)

// TestShow: a mail to operators says what it is about and has its text, with an address and
// without; one to a buyer who is erased has none.
func TestShow(t *testing.T) {
	t.Parallel()
	toOperators := shopclient.Mail{Subject: "An endpoint was disabled", EndpointID: "e1", State: "KEPT"}
	for name, tc := range map[string]struct {
		letter  shopclient.Letter
		textual bool
		want    []string
		err     string
	}{
		"to operators":           {letter: shopclient.Letter{Mail: toOperators, To: "ops@shop.test", Text: "why"}, want: []string{"To: ops@shop.test\n", "Webhook endpoint: e1\n", "\n\nwhy"}},
		"to nobody":              {letter: shopclient.Letter{Mail: toOperators, Text: "why"}, want: []string{"To: (operators, who have no address)\n", "\n\nwhy"}},
		"to nobody, its text":    {letter: shopclient.Letter{Mail: toOperators, Text: "why"}, textual: true, want: []string{"why"}},
		"to a buyer":             {letter: shopclient.Letter{Mail: shopclient.Mail{OrderID: "o1"}, To: "ada@example.com", Text: "thanks"}, want: []string{"To: ada@example.com\n", "Order: o1\n"}},
		"to who is erased":       {letter: shopclient.Letter{Mail: shopclient.Mail{OrderID: "o1"}}, want: []string{"To: (erased)\n"}},
		"the text of who is not": {letter: shopclient.Letter{Mail: shopclient.Mail{OrderID: "o1"}}, textual: true, err: "erased"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var out strings.Builder
			err := show(&out, &tc.letter, tc.textual, false)
			if (err != nil) != (tc.err != "") || err != nil && !strings.Contains(err.Error(), tc.err) {
				t.Fatalf("error %v, want %q", err, tc.err)
			}
			for _, want := range tc.want {
				if !strings.Contains(out.String(), want) {
					t.Errorf("%q has no %q", out.String(), want)
				}
			}
		})
	}
}
