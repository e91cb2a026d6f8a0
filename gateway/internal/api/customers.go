package api

import (
	"bytes"
	"context"
	"encoding/hex"
	"encoding/json"
	"math"
	"net/http"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/souk-shop/souk/gateway/internal/auth"
	"github.com/souk-shop/souk/gateway/internal/problem"
	"github.com/souk-shop/souk/gateway/internal/shop/customer"
)

// findCustomers answers GET /v1/customers.
func (a *API) findCustomers(ctx context.Context, in *FindCustomersRequest) (answer, error) {
	if in.Email == "" {
		e := problem.New(problem.RequestInvalid)
		e.Fields = []problem.Field{{Field: "email", Detail: "must be set: it says whom to look for"}}
		return nil, e
	}
	found, err := a.shop.Customers.Find(ctx, viewer(ctx), in.Email)
	if err != nil {
		return nil, err
	}
	out := CustomerList{Customers: make([]FoundCustomer, len(found))}
	for i, c := range found {
		out.Customers[i] = FoundCustomer{CustomerID: c.ID, Orders: c.Orders, LastPlacedAt: c.LastPlacedAt}
	}
	return private(out)
}

// exportPersonalData answers GET /v1/personal-data.
func (a *API) exportPersonalData(ctx context.Context, _ *ExportPersonalDataRequest) (answer, error) {
	return a.exportOf(ctx, auth.FromContext(ctx).Shopper.ID)
}

// exportCustomer answers GET /v1/customers/{customer_id}/personal-data.
func (a *API) exportCustomer(ctx context.Context, in *ExportCustomerRequest) (answer, error) {
	return a.exportOf(ctx, in.CustomerID)
}

// erasePersonalData answers DELETE /v1/personal-data.
func (a *API) erasePersonalData(ctx context.Context, _ *ErasePersonalDataRequest) (answer, error) {
	doc, err := a.erase(ctx, auth.FromContext(ctx).Shopper.ID)
	if err == nil {
		a.session.Forget(ctx)
	}
	return doc, err
}

// eraseCustomer answers DELETE /v1/customers/{customer_id}/personal-data.
func (a *API) eraseCustomer(ctx context.Context, in *EraseCustomerRequest) (answer, error) {
	return a.erase(ctx, in.CustomerID)
}

func (a *API) erase(ctx context.Context, id uuid.UUID) (answer, error) {
	requested, finished, err := a.shop.Customers.Erase(ctx, viewer(ctx), id)
	if err != nil {
		return nil, err
	}
	body, err := encode(Erasure{RequestedAt: requested, FinishedAt: finished}, "")
	if err != nil {
		return nil, err
	}
	doc := &document{status: http.StatusOK, body: body}
	if finished.IsZero() {
		doc.status = http.StatusAccepted
	}
	return doc, nil
}

func (a *API) exportOf(ctx context.Context, id uuid.UUID) (answer, error) {
	// The first page, or the error instead of it, decides the status.
	e, err := a.shop.Customers.Export(ctx, viewer(ctx), id)
	return &personalData{ctx, e}, err
}

// personalData is an answer that is written page by page.
type personalData struct {
	ctx context.Context // the request's
	*customer.Export
}

// write cuts the connection when it cannot go on, so that no client takes half a document for
// a whole one.
func (d *personalData) write(w http.ResponseWriter) {
	h := w.Header()
	h["Cache-Control"], h["Content-Type"] = noStore, jsonType
	h.Set("Content-Disposition", `attachment; filename="personal-data.json"`)
	doc := PersonalData{
		CustomerID: d.ID, ExportedAt: time.Now().UTC(), SessionsSince: d.SessionsSince, DeclinedPayments: opt(int64(math.Ceil(d.DeclinedPayments))),
		Carts: []HeldCart{}, Orders: []HeldOrder{},
	}
	if !d.ErasureRequested.IsZero() {
		doc.Erasure = &Erasure{RequestedAt: d.ErasureRequested, FinishedAt: d.ErasureFinished}
	}
	head, err := json.Marshal(doc)
	const carts, orders = `],"orders":[]}`, `]}` // the last fields, in which pages are written
	if err != nil || !bytes.HasSuffix(head, []byte(carts)) {
		panic(http.ErrAbortHandler)
	}
	_, _ = w.Write(head[:len(head)-len(carts)])
	writePages(d, w, &d.Carts, newHeldCart, d.NextCarts)
	_, _ = w.Write([]byte(strings.TrimSuffix(carts, orders)))
	writePages(d, w, &d.Orders, newHeldOrder, d.Next)
	_, _ = w.Write([]byte(orders + "\n")) // the client may be gone
}

// writePages writes the elements of a list page by page; next turns to the next page.
func writePages[T, U any](d *personalData, w http.ResponseWriter, page *[]T, convert func(*T) U, next func(context.Context) (bool, error)) {
	control := http.NewResponseController(w)
	for first := true; ; {
		_ = control.SetWriteDeadline(time.Now().Add(exportTimeout)) // not every test writer can
		for i := range *page {
			if !first {
				_, _ = w.Write([]byte(","))
			}
			first = false
			text, err := json.Marshal(convert(&(*page)[i]))
			if err != nil {
				panic(http.ErrAbortHandler)
			}
			if _, err := w.Write(text); err != nil {
				panic(http.ErrAbortHandler)
			}
		}
		ctx, cancel := context.WithTimeout(d.ctx, exportTimeout)
		more, err := next(ctx)
		cancel()
		if err != nil {
			panic(http.ErrAbortHandler)
		}
		if !more {
			return
		}
	}
}

func newHeldCart(c *customer.Cart) HeldCart {
	out := HeldCart{ID: c.ID, Version: c.Version, UpdatedAt: c.UpdatedAt, Lines: make([]HeldCartLine, len(c.Lines))}
	for i, l := range c.Lines {
		out.Lines[i] = HeldCartLine{SKU: l.SKU, Quantity: l.Quantity, SeenUnitPrice: optMoney(l.Seen)}
	}
	return out
}

func newHeldOrder(o *customer.Order) HeldOrder {
	out := HeldOrder{
		Order: newOrder(o.Order), PaymentMethod: o.PaymentMethod, IdempotencyKey: o.IdempotencyKey, RequestDigest: hex.EncodeToString(o.RequestHash),
		ClientDigest: hex.EncodeToString(o.AddressKey), SessionSince: o.SessionSince, Traceparent: o.TraceParent,
	}
	if p := o.Payment; p != nil {
		out.Payment = &HeldPayment{
			AttemptID: p.AttemptID, State: p.State, Amount: newMoney(p.Amount), Captured: newMoney(p.Captured), Refunded: newMoney(p.Refunded),
			DeclineCode: p.DeclineCode, ProviderReference: p.ProviderID, PaymentMethod: p.Method, CreatedAt: p.CreatedAt, Refunds: make([]HeldRefund, len(p.Refunds)),
		}
		for i, r := range p.Refunds {
			out.Payment.Refunds[i] = HeldRefund{ID: r.ID, State: r.State, Amount: newMoney(r.Amount), FailureCode: r.FailureCode}
		}
	}
	for _, m := range o.Mails {
		out.Mails = append(out.Mails, HeldMail{ID: m.ID, Kind: m.Kind, State: m.State, Subject: m.Subject, CreatedAt: m.CreatedAt})
	}
	return out
}
