// Package mails is `souk mails`: the mails that a shop sent, or keeps.
package mails

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/souk-shop/souk/tools/internal/cli"
	"github.com/souk-shop/souk/tools/internal/shopclient"
)

const usage = `usage: souk mails list [--order ID] [--state STATE] [--limit N]
       souk mails show [--text | --html] MAIL

Shows the mails of a running shop that tell buyers what happened to their orders, and operators
that a webhook endpoint was disabled, with an operator's token that has the scope "orders". A shop without a mail server keeps them:
souk up does, unless SOUK_NOTIFICATION_SMTP_HOST says otherwise.

The text of a mail is made of its order as it is now; once the buyer is erased there is
none. show prints the headers and the text; with --text or --html that part alone:

  souk mails show --html MAIL >mail.html

`

// Command is `souk mails`.
func Command(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	flags := cli.Flags("mails", usage, stderr)
	shop := cli.Operator(flags)
	order := flags.String("order", "", "list: the order's `id`")
	state := flags.String("state", "", "list: queued, sending, sent, kept, failed or withheld")
	limit := flags.Int("limit", 20, "list: how many at most, the newest first; 0 for all")
	text := flags.Bool("text", false, "show: the plain text alone")
	html := flags.Bool("html", false, "show: the HTML alone")
	wait := flags.Duration("wait", time.Minute, "how long it may take")
	action := ""
	if len(args) > 0 {
		action, args = args[0], args[1:]
	}
	if action != "list" && action != "show" {
		flags.Usage()
		if action == "-h" || action == "--help" {
			return nil
		}
		return errors.New("say list or show")
	}
	if err := flags.Parse(args); err != nil {
		return err
	}
	if action == "list" && flags.NArg() != 0 || action == "show" && (flags.NArg() != 1 || *text && *html) {
		flags.Usage()
		return errors.New("list takes no arguments; show takes the id of one mail, and --text or --html")
	}
	client, err := shop.Client()
	if err != nil {
		return err
	}
	defer client.Close()
	ctx, cancel := context.WithTimeout(ctx, *wait)
	defer cancel()
	if action == "list" {
		return list(ctx, client, shopclient.MailFilter{OrderID: *order, State: strings.ToUpper(*state)}, *limit, stdout)
	}
	letter, err := client.Mail(ctx, flags.Arg(0))
	if err != nil {
		return err
	}
	return show(stdout, letter, *text, *html)
}

func list(ctx context.Context, client *shopclient.Client, f shopclient.MailFilter, limit int, w io.Writer) error {
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	n := 0
	err := client.Mails(ctx, f, func(m shopclient.Mail) (bool, error) {
		n++
		state := strings.ToLower(m.State)
		if m.Reason != "" {
			state += " (" + m.Reason + ")"
		}
		_, err := fmt.Fprintf(tw, "%s\t%s\t%s\t%s\n", m.ID, m.CreatedAt.UTC().Format(time.DateTime), m.Subject, state)
		return n != limit, err
	})
	return errors.Join(err, tw.Flush())
}

func show(w io.Writer, l *shopclient.Letter, text, html bool) error {
	if l.Text == "" && (text || html) {
		return errors.New("the mail has no text any more: the buyer is erased")
	}
	var err error
	switch {
	case html:
		_, err = io.WriteString(w, l.HTML)
	case text:
		_, err = io.WriteString(w, l.Text)
	default:
		to := l.To
		switch {
		case to != "":
		case l.Mail.EndpointID != "":
			to = "(operators, who have no address)"
		default:
			to = "(erased)"
		}
		about := "Order: " + l.Mail.OrderID
		if l.Mail.EndpointID != "" {
			about = "Webhook endpoint: " + l.Mail.EndpointID
		}
		state := strings.ToLower(l.Mail.State)
		if l.Mail.Reason != "" {
			state += ": " + l.Mail.Reason
		}
		_, err = fmt.Fprintf(w, "To: %s\nSubject: %s\nDate: %s\nMessage-ID: <%s>\nState: %s\n%s\n\n%s", to, l.Mail.Subject,
			l.Mail.CreatedAt.UTC().Format(time.RFC1123Z), l.Mail.MessageID, state, about, l.Text)
	}
	return err
}
