package chaos

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
)

// Told is what others were told by a shop, counted where they are.
type Told struct {
	Receivers []Receiver
	// Violations are those of the invariants of telling.
	Violations map[string][]string
}

// Receiver is one of those whom a shop tells.
type Receiver struct {
	// To is "buyers, by mail" or the URL of the endpoint of webhooks.
	To string
	// Due is how many events are to be told of, Once how many came once, Again how many came more
	// often, and Missing how many did not come.
	Due, Once, Again, Missing int
	// Edge says where it cannot be once.
	Edge string
}

const (
	mailEdge = "where the mail server's answer was not noted"
	hookEdge = "where the endpoint's answer was not noted"
)

// told judges what others were told, and counts it.
func (t *trial) told(endpoint string) *Told {
	v := violations{}
	t.checkTelling(v)
	t.checkOutside(v)
	letters, posts := map[occasion]int{}, map[occasion]int{}
	for _, l := range t.ev.elsewhere.letters {
		letters[l.about]++
	}
	for _, p := range t.ev.elsewhere.posts {
		posts[p.about]++
	}
	mails, hooks := Receiver{To: "buyers, by mail", Edge: mailEdge}, Receiver{To: endpoint, Edge: hookEdge}
	for at, e := range t.ev.elsewhere.facts {
		if slices.Contains(mailed, e.Type) && !e.Time.Before(t.ev.elsewhere.mailsSince) {
			mails.count(letters[at])
		}
		if slices.Contains(hooked, e.Type) && !e.Time.Before(t.ev.elsewhere.hooksSince) {
			hooks.count(posts[at])
		}
	}
	return &Told{Receivers: []Receiver{mails, hooks}, Violations: v}
}

// count adds an event that is due and came so often.
func (r *Receiver) count(came int) {
	r.Due++
	switch came {
	case 0:
		r.Missing++
	case 1:
		r.Once++
	default:
		r.Again++
	}
}

func (r *Receiver) String() string {
	missing := "none missing"
	if r.Missing > 0 {
		missing = fmt.Sprintf("%d MISSING", r.Missing)
	}
	if r.Again == 0 && r.Missing == 0 {
		return "each once, " + missing
	}
	if r.Again == 0 {
		return fmt.Sprintf("%d once, %s", r.Once, missing)
	}
	return fmt.Sprintf("%d once, %d again %s, %s", r.Once, r.Again, r.Edge, missing)
}

// Print writes the receivers as a table, and what broke an invariant; it returns an error when
// something did.
func (t *Told) Print(w io.Writer) error {
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(tw, "came, outside of the shop\tdue\tcame\tof which\t")
	for _, r := range t.Receivers {
		fmt.Fprintf(tw, "%s\t%d\t%d\t%s\t\n", r.To, r.Due, r.Due-r.Missing, &r)
	}
	if err := tw.Flush(); err != nil {
		return err
	}
	fmt.Fprintln(w)
	if len(t.Violations) == 0 {
		return nil
	}
	printViolations(w, t.Violations)
	return fmt.Errorf("what the shop told breaks %s", strings.Join(violations(t.Violations).names(), ", "))
}
