package app

import (
	"context"
	"slices"
	"time"

	"github.com/souk-shop/souk/services/order/internal/domain"
)

// Customers is where the tables say who a customer is.
type Customers interface {
	// FindCustomers returns who ordered with an e-mail address, who ordered last first.
	FindCustomers(ctx context.Context, email string) ([]domain.FoundCustomer, error)
	// CustomerRecord returns what is held of a customer beside the orders. guestKey is
	// domain.BuyerLimits.GuestKey.
	CustomerRecord(ctx context.Context, customerID string, guestKey []byte) (domain.CustomerRecord, error)
	// OrdersOf returns up to limit orders of a customer after a position, newest first,
	// with lines, refunds and history, and whether more follow. A page is bounded in bytes, too.
	OrdersOf(ctx context.Context, customerID string, after Position, limit int) (page []domain.Order, more bool, err error)
	// NoteExport notes in the audit log that a customer's data was exported.
	NoteExport(ctx context.Context, customerID string) error
	// BeginErasure notes that a customer's data is to be erased, ends the sessions, and
	// inserts the job that guarantees it, in one commit. Errors: *domain.OpenOrdersError.
	BeginErasure(ctx context.Context, customerID string) (domain.Erasure, error)
	// Erasable returns up to limit settled orders of a customer that are not erased, in
	// the order of their ids, from the one after a given id.
	Erasable(ctx context.Context, customerID, after string, limit int) ([]string, error)
	// OldOrders returns up to limit orders that were cancelled, or else paid, longer than
	// age ago and are not erased, oldest first, from the one after a position.
	OldOrders(ctx context.Context, cancelled bool, age time.Duration, after Position, limit int) ([]Position, error)
	// EraseOrders erases what identifies the buyers of settled orders, and returns of how
	// many. It does nothing to what is erased, or under way.
	EraseOrders(ctx context.Context, orderIDs []string) (int, error)
	// FinishErasure erases what is held beside orders, and notes that nothing is left;
	// false while an order is.
	FinishErasure(ctx context.Context, customerID string, guestKey []byte) (bool, error)
}

// Persons is where other services keep who a customer is. Both are idempotent.
type Persons interface {
	// EraseCarts deletes a customer's carts, and returns how many there were.
	EraseCarts(ctx context.Context, customerID string) (int, error)
	// ErasePayments erases who paid for orders, and returns those of which a payment is
	// still under way: of them nothing was erased.
	ErasePayments(ctx context.Context, orderIDs []string) (open []string, err error)
}

const (
	// exportPage is how many orders a page of an export has at most.
	exportPage = 100
	// eraseBatch is how many orders one statement erases.
	eraseBatch = 200
)

// Export is a page of what is held about a customer.
type Export struct {
	domain.CustomerRecord
	// Orders are up to 100.
	Orders []domain.Order
	// More reports that there are more after the last.
	More bool
}

// ExportCustomer returns a page of what is held about a customer. The first is noted in the
// audit log. elsewhere reports that another service holds something. Errors:
// domain.ErrCustomerNotFound.
func (a *App) ExportCustomer(ctx context.Context, customerID string, after Position, elsewhere bool) (Export, error) {
	record, err := a.Customers.CustomerRecord(ctx, customerID, a.limits.GuestKey(customerID))
	if err != nil {
		return Export{}, err
	}
	if !record.Known && !elsewhere {
		return Export{}, domain.ErrCustomerNotFound
	}
	if after == Newest() {
		if err := a.Customers.NoteExport(ctx, customerID); err != nil {
			return Export{}, err
		}
	}
	out := Export{CustomerRecord: record}
	out.Orders, out.More, err = a.Customers.OrdersOf(ctx, customerID, after, exportPage)
	return out, err
}

// EraseCustomer erases what identifies a customer, as far as it can be done at once; a job
// guarantees the rest. Errors: domain.ErrCustomerNotFound, *domain.OpenOrdersError.
func (a *App) EraseCustomer(ctx context.Context, customerID string) (domain.Erasure, error) {
	record, err := a.Customers.CustomerRecord(ctx, customerID, a.limits.GuestKey(customerID))
	if err != nil {
		return domain.Erasure{}, err
	}
	if !record.Known {
		carts, err := a.Persons.EraseCarts(ctx, customerID)
		if err != nil {
			return domain.Erasure{}, err
		}
		if carts == 0 {
			return domain.Erasure{}, domain.ErrCustomerNotFound
		}
	}
	var begun domain.Erasure
	err = commit(ctx, func(ctx context.Context) (err error) {
		begun, err = a.Customers.BeginErasure(ctx, customerID)
		return err
	})
	if err != nil {
		return domain.Erasure{}, err
	}
	if _, err := a.Erase(ctx, customerID); err != nil {
		return begun, nil //nolint:nilerr // it was accepted: the job makes what is left
	}
	record, err = a.Customers.CustomerRecord(ctx, customerID, a.limits.GuestKey(customerID))
	if err != nil {
		return begun, nil //nolint:nilerr // as above
	}
	return record.Erasure, nil
}

// Erase erases what is left of a customer whose erasure was asked for, and returns whether
// that is all. It may be repeated, also by several processes at once: each batch is erased
// at the other services first, so a crash between the two leaves what is found again.
func (a *App) Erase(ctx context.Context, customerID string) (done bool, err error) {
	if _, err := a.Persons.EraseCarts(ctx, customerID); err != nil {
		return false, err
	}
	for after := ""; ; {
		ids, err := a.Customers.Erasable(ctx, customerID, after, eraseBatch)
		if err != nil {
			return false, err
		}
		if len(ids) == 0 {
			return a.Customers.FinishErasure(ctx, customerID, a.limits.GuestKey(customerID))
		}
		after = ids[len(ids)-1]
		if _, err := a.eraseOrders(ctx, "request", ids); err != nil {
			return false, err
		}
	}
}

// EraseOld erases who the buyers of orders were that are older than they are kept for, in
// batches, and returns of how many. Errors end it: what is left is found the next time.
func (a *App) EraseOld(ctx context.Context, keep domain.Retention) (erased int, err error) {
	for _, rule := range []struct {
		cause string
		age   time.Duration
	}{{"cancelled", keep.Cancelled}, {"paid", keep.Paid}} {
		if rule.age <= 0 {
			continue
		}
		for after := (Position{}); ; {
			old, err := a.Customers.OldOrders(ctx, rule.cause == "cancelled", rule.age, after, eraseBatch)
			if err != nil {
				return erased, err
			}
			if len(old) == 0 {
				break
			}
			after = old[len(old)-1]
			ids := make([]string, len(old))
			for i, o := range old {
				ids[i] = o.ID
			}
			n, err := a.eraseOrders(ctx, rule.cause, ids)
			if erased += n; err != nil {
				return erased, err
			}
		}
	}
	return erased, nil
}

// eraseOrders erases orders whose payments are not under way.
func (a *App) eraseOrders(ctx context.Context, cause string, ids []string) (int, error) {
	open, err := a.Persons.ErasePayments(ctx, ids)
	if err != nil {
		return 0, err
	}
	ids = slices.DeleteFunc(ids, func(id string) bool { return slices.Contains(open, id) })
	n, err := a.Customers.EraseOrders(ctx, ids)
	if err == nil && n > 0 && a.erased != nil {
		a.erased(ctx, cause, n)
	}
	return n, err
}
