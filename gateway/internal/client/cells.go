package client

import (
	"cmp"
	"context"
	"slices"
	"strings"

	"github.com/google/uuid"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	orderv1 "github.com/souk-shop/souk/proto/gen/souk/order/v1"
	paymentv1 "github.com/souk-shop/souk/proto/gen/souk/payment/v1"
	"github.com/souk-shop/souk/services/chassis/cell"
	"github.com/souk-shop/souk/services/chassis/cell/route"
)

// merges make one answer of the cells' where a call is about all customers. With a cell that
// does not answer there is none: a list would look like one on which nothing is missing.
var merges = route.Merges{
	orderv1.OrderService_ListOrders_FullMethodName:            mergeOrders,
	orderv1.OrderService_FindCustomers_FullMethodName:         mergeCustomers,
	paymentv1.PaymentService_HandleWebhook_FullMethodName:     mergeWebhook,
	paymentv1.PaymentService_Reconcile_FullMethodName:         mergeReconcile,
	paymentv1.PaymentService_GetReconciliation_FullMethodName: mergeReconciliation,
}

// mergeOrders merges the cells' lists, newest first. A cursor is a time and an id, which are a
// place in each cell's list. A cell's page has fewer orders than were asked for where they are
// large. The list of a number is its cell's, by the bucket at its end; where that has none of it, the
// bucket may have moved, and all are asked. While a bucket moves two cells may have an order: what
// is shown is the later one.
func mergeOrders(ctx context.Context, cells []route.Cell, req, reply proto.Message) error {
	in := proto.CloneOf(req.(*orderv1.ListOrdersRequest))
	in.WithCursors = true
	var lists []*orderv1.ListOrdersResponse
	var err error
	if number := in.GetFilter().GetNumber(); len(number) > 2 {
		if b, bad := cell.ParseBucket(strings.ToUpper(number[len(number)-2:])); bad == nil {
			one := slices.DeleteFunc(slices.Clone(cells), func(c route.Cell) bool { return !c.Buckets.Has(b) })
			if lists, err = route.AskAll[*orderv1.ListOrdersRequest, *orderv1.ListOrdersResponse](ctx, one, in); err != nil {
				return err
			}
		}
	}
	if !slices.ContainsFunc(lists, func(l *orderv1.ListOrdersResponse) bool { return len(l.GetOrders()) > 0 }) {
		if lists, err = route.AskAll[*orderv1.ListOrdersRequest, *orderv1.ListOrdersResponse](ctx, cells, in); err != nil {
			return err
		}
	}
	type placed struct {
		order  *orderv1.Order
		cursor string
	}
	newestFirst := func(a, b placed) int {
		return cmp.Or(b.order.GetPlacedAt().AsTime().Compare(a.order.GetPlacedAt().AsTime()), cmp.Compare(b.order.GetId(), a.order.GetId()))
	}
	laterFirst := func(a, b placed) int {
		return cmp.Or(newestFirst(a, b), cmp.Compare(b.order.GetVersion(), a.order.GetVersion()))
	}
	var all []placed
	var end *placed // the page goes to it at most: where a list breaks off, older orders of its cell are missing
	limit := int(in.GetPageSize())
	for _, list := range lists {
		for i, o := range list.GetOrders() {
			all = append(all, placed{o, list.GetCursors()[i]})
		}
		if n := len(list.GetOrders()); n > 0 && list.GetNextCursor() != "" {
			if last := all[len(all)-1]; end == nil || newestFirst(last, *end) < 0 {
				end = &last
			}
		}
		if in.GetPageSize() == 0 {
			limit = max(limit, len(list.GetOrders()))
		}
	}
	slices.SortFunc(all, laterFirst)
	all = slices.CompactFunc(all, func(a, b placed) bool { return a.order.GetId() == b.order.GetId() })
	page := all[:min(limit, len(all))]
	if end != nil {
		page = slices.DeleteFunc(page, func(p placed) bool { return newestFirst(p, *end) > 0 })
	}
	out := &orderv1.ListOrdersResponse{}
	for _, p := range page {
		out.Orders = append(out.Orders, p.order)
	}
	if n := len(page); n > 0 && (end != nil || n < len(all)) {
		out.NextCursor = page[n-1].cursor
	}
	return assign(reply, out)
}

// mergeCustomers puts the customers of the cells one after another, the one who ordered last first. One
// whose bucket moves two cells may have: what is shown is of the one that has more of the orders.
func mergeCustomers(ctx context.Context, cells []route.Cell, req, reply proto.Message) error {
	found, err := route.AskAll[*orderv1.FindCustomersRequest, *orderv1.FindCustomersResponse](ctx, cells, req.(*orderv1.FindCustomersRequest))
	if err != nil {
		return err
	}
	out := &orderv1.FindCustomersResponse{}
	for _, f := range found {
		out.Customers = append(out.Customers, f.GetCustomers()...)
	}
	slices.SortStableFunc(out.GetCustomers(), func(a, b *orderv1.FoundCustomer) int {
		return cmp.Or(b.GetLastPlacedAt().AsTime().Compare(a.GetLastPlacedAt().AsTime()), cmp.Compare(b.GetOrders(), a.GetOrders()))
	})
	listed := map[string]bool{}
	out.Customers = slices.DeleteFunc(out.GetCustomers(), func(f *orderv1.FoundCustomer) bool {
		again := listed[f.GetCustomerId()]
		listed[f.GetCustomerId()] = true
		return again
	})
	return assign(reply, out)
}

// mergeWebhook has each cell take an event of which it is not known which order it is about:
// those that do not know the order leave it alone. It was kept before if all have.
func mergeWebhook(ctx context.Context, cells []route.Cell, req, reply proto.Message) error {
	kept, err := route.AskAll[*paymentv1.HandleWebhookRequest, *paymentv1.HandleWebhookResponse](ctx, cells, req.(*paymentv1.HandleWebhookRequest))
	if err != nil {
		return err
	}
	out := kept[0]
	for _, k := range kept {
		out.Duplicate = out.GetDuplicate() && k.GetDuplicate()
	}
	return assign(reply, out)
}

// mergeReconcile compares the books of each cell with what the provider has of its orders, as
// one comparison of the same id in each.
func mergeReconcile(ctx context.Context, cells []route.Cell, req, reply proto.Message) error {
	in := proto.CloneOf(req.(*paymentv1.ReconcileRequest))
	if in.GetReconciliationId() == "" {
		id, err := uuid.NewV7()
		if err != nil {
			return err
		}
		in.ReconciliationId = id.String()
	}
	reports, err := route.AskAll[*paymentv1.ReconcileRequest, *paymentv1.ReconcileResponse](ctx, cells, in)
	if err != nil {
		return err
	}
	all := make([]*paymentv1.Reconciliation, len(reports))
	for i, r := range reports {
		all[i] = r.GetReconciliation()
	}
	return assign(reply, &paymentv1.ReconcileResponse{Reconciliation: sum(all)})
}

// mergeReconciliation sums what the cells have of a comparison. A daily one is of one cell
// alone; another that a cell has not begun, because it was away then, is not done. It is not
// found where no cell has it.
func mergeReconciliation(ctx context.Context, cells []route.Cell, req, reply proto.Message) error {
	var all []*paymentv1.Reconciliation
	var missing error
	for _, c := range cells {
		res := &paymentv1.GetReconciliationResponse{}
		err := c.Ask(ctx, req, res)
		switch {
		case err == nil:
			all = append(all, res.GetReconciliation())
		case status.Code(err) == codes.NotFound:
			missing = err
		default:
			return err
		}
	}
	if len(all) == 0 {
		return missing
	}
	out := sum(all)
	out.Done = out.GetDone() && (missing == nil || out.GetDaily())
	return assign(reply, &paymentv1.GetReconciliationResponse{Reconciliation: out})
}

// mostDifferences is how many of a report's differences are listed.
const mostDifferences = 1000

// sum makes one report of the cells'. It is as far as the one that is least far.
func sum(reports []*paymentv1.Reconciliation) *paymentv1.Reconciliation {
	out := proto.CloneOf(reports[0])
	for _, r := range reports[1:] {
		if r.GetFromTime().AsTime().Before(out.GetFromTime().AsTime()) {
			out.FromTime = r.GetFromTime()
		}
		if r.GetToTime().AsTime().After(out.GetToTime().AsTime()) {
			out.ToTime = r.GetToTime()
		}
		out.Done = out.GetDone() && r.GetDone()
		out.Daily = out.GetDaily() && r.GetDaily()
		out.InFlight += r.GetInFlight()
		out.DifferenceCount += r.GetDifferenceCount()
		out.Differences = append(out.Differences, r.GetDifferences()...)
		for _, t := range r.GetTotals() {
			i := slices.IndexFunc(out.GetTotals(), func(o *paymentv1.ReconciliationTotal) bool { return o.GetCurrency() == t.GetCurrency() })
			if i < 0 {
				out.Totals = append(out.Totals, proto.CloneOf(t))
				continue
			}
			o := out.GetTotals()[i]
			o.CapturedHere += t.GetCapturedHere()
			o.CapturedThere += t.GetCapturedThere()
			o.RefundedHere += t.GetRefundedHere()
			o.RefundedThere += t.GetRefundedThere()
			o.MovementsHere += t.GetMovementsHere()
			o.MovementsThere += t.GetMovementsThere()
		}
	}
	slices.SortFunc(out.GetTotals(), func(a, b *paymentv1.ReconciliationTotal) int { return cmp.Compare(a.GetCurrency(), b.GetCurrency()) })
	out.Differences = out.GetDifferences()[:min(len(out.GetDifferences()), mostDifferences)]
	return out
}

// assign writes an answer to where the caller has its own.
func assign(reply, out proto.Message) error {
	proto.Reset(reply)
	proto.Merge(reply, out)
	return nil
}
