package api

import (
	"html/template"
	"net/http"
	"net/url"
	"strings"

	"github.com/souk-shop/souk/tools/stripesim/internal/id"
	"github.com/souk-shop/souk/tools/stripesim/internal/store"
	"github.com/souk-shop/souk/tools/stripesim/internal/wire"
)

// authenticatePage stands for the page of the card's issuer.
var authenticatePage = template.Must(template.New("").Parse(`<!doctype html>
<html lang="en"><title>Authenticate</title>
<h1>Is it you who pays {{.Amount}}?</h1>
<form method="post"><button name="outcome" value="succeed">Yes</button> <button name="outcome" value="fail">No</button></form>
`))

// showAuthenticate shows the payer the page.
func (a *API) showAuthenticate(w http.ResponseWriter, r *http.Request) {
	found, err := a.store.Read(func(st *store.State) (any, *store.Error) {
		return getIntent(st, request{id: r.PathValue("id"), params: newParams(nil)})
	})
	if err != nil {
		writeError(w, id.New("req_"), err)
		return
	}
	in, _ := found.(*store.Intent)
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	_ = authenticatePage.Execute(w, struct{ Amount string }{store.FormatAmount(in.Amount, in.Currency)}) // the payer is gone if it fails
}

// authenticate takes the payer's answer, and sends the payer back to the shop
// if the shop has given a return URL.
func (a *API) authenticate(w http.ResponseWriter, r *http.Request) {
	intentID, requestID := strings.Clone(r.PathValue("id")), id.New("req_")
	form, err := readForm(w, r)
	if err != nil {
		writeError(w, requestID, err)
		return
	}
	answer := a.store.Execute(store.Request{ID: requestID}, func(st *store.State) (*store.Entry, *store.Error) {
		return st.AuthenticateIntent(intentID, form.Get("outcome"))
	})
	if answer.Err != nil {
		writeError(w, requestID, answer.Err)
		return
	}
	in, _ := answer.Object.(*store.Intent)
	if in.Authentication.ReturnURL == "" {
		writeJSON(w, requestID, http.StatusOK, wire.NewPaymentIntent(in, nil))
		return
	}
	to, parseErr := url.Parse(in.Authentication.ReturnURL)
	if parseErr != nil { // it was checked
		writeError(w, requestID, store.Broken(parseErr))
		return
	}
	query := to.Query()
	query.Set("payment_intent", in.ID)
	query.Set("payment_intent_client_secret", wire.ClientSecret(in))
	query.Set("redirect_status", map[bool]string{true: "succeeded", false: "failed"}[in.Failure == nil])
	to.RawQuery = query.Encode()
	http.Redirect(w, r, to.String(), http.StatusSeeOther)
}
