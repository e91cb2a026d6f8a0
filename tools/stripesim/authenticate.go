package stripesim

import (
	"html/template"
	"net/http"
	"net/url"
	"strings"
)

// action is what the payer has to do.
type action struct {
	// origin is the simulator as its caller reaches it, such as "http://stripesim:12111".
	origin string
	// returnURL is where the payer goes then; empty if the shop asks on its own page.
	returnURL string
}

// authenticateURL is where the payer says yes or no.
func (in *intent) authenticateURL() string {
	return in.action.origin + "/_sim/payment_intents/" + in.id + "/authenticate"
}

// origin is the simulator as the caller of a request reaches it.
func origin(r *http.Request) string {
	if r.TLS != nil {
		return "https://" + r.Host
	}
	return "http://" + r.Host
}

// checkReturnURL refuses what no browser can be sent to.
func checkReturnURL(s string) *apiError {
	if s == "" {
		return nil
	}
	if u, err := url.Parse(s); err != nil || u.Host == "" || (u.Scheme != "http" && u.Scheme != "https") {
		return invalid("return_url", "url_invalid", "Not a valid URL")
	}
	return nil
}

// authenticate decides on what the payer says.
func (b *bank) authenticate(id, outcome string) (*event, *apiError) {
	in := b.intents[id]
	switch {
	case in == nil:
		return nil, missing("intent", "payment_intent", id)
	case in.status != requiresAction:
		err := invalid("", "payment_intent_unexpected_state", "This PaymentIntent waits for nobody: it has a status of %s.", in.status)
		err.Status = http.StatusConflict
		return nil, err
	}
	switch outcome {
	case "succeed":
		name := eventCaptured
		if in.manual {
			name = eventAuthorized
		}
		return in.event(name, in.amount, in.card), nil
	case "fail":
		return in.event(eventAuthenticationFailed, in.amount, nil), nil
	}
	return nil, invalid("outcome", "", "Invalid outcome: must be one of succeed, fail")
}

// page is what a payer sees of the issuer.
var authenticatePage = template.Must(template.New("").Parse(`<!doctype html>
<html lang="en"><title>Authenticate</title>
<h1>Is it you who pays {{.Amount}}?</h1>
<form method="post"><button name="outcome" value="succeed">Yes</button> <button name="outcome" value="fail">No</button></form>
`))

// serveAuthenticate shows the page and takes the answer to it.
func (b *bank) serveAuthenticate(w http.ResponseWriter, r *http.Request) {
	id, requestID := strings.Clone(r.PathValue("id")), newID("req_")
	if r.Method == http.MethodGet {
		found, err := b.read(func() (any, *apiError) { return b.getIntent(id, newParams(nil)) })
		if err != nil {
			writeError(w, requestID, err)
			return
		}
		in, _ := found.(*intent)
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		_ = authenticatePage.Execute(w, struct{ Amount string }{format(in.amount, in.currency)}) // the payer is gone if it fails
		return
	}
	form, err := readForm(w, r)
	if err != nil {
		writeError(w, requestID, err)
		return
	}
	a := b.execute(request{id: requestID}, func() (*event, *apiError) { return b.authenticate(id, form.Get("outcome")) })
	if a.err != nil {
		writeError(w, requestID, a.err)
		return
	}
	in, _ := a.object.(*intent)
	if in.action.returnURL == "" {
		writeJSON(w, requestID, http.StatusOK, in.render(nil))
		return
	}
	to, parseErr := url.Parse(in.action.returnURL)
	if parseErr != nil { // it was checked
		writeError(w, requestID, broken(parseErr))
		return
	}
	query := to.Query()
	query.Set("payment_intent", in.id)
	query.Set("payment_intent_client_secret", in.clientSecret())
	query.Set("redirect_status", map[bool]string{true: "succeeded", false: "failed"}[in.failure == nil])
	to.RawQuery = query.Encode()
	http.Redirect(w, r, to.String(), http.StatusSeeOther)
}
