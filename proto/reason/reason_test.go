package reason_test

import (
	"net/http"
	"testing"

	"google.golang.org/grpc/codes"

	cartv1 "github.com/souk-shop/souk/proto/gen/souk/cart/v1"
	catalogv1 "github.com/souk-shop/souk/proto/gen/souk/catalog/v1"
	errorv1 "github.com/souk-shop/souk/proto/gen/souk/error/v1"
	orderv1 "github.com/souk-shop/souk/proto/gen/souk/order/v1"
	paymentv1 "github.com/souk-shop/souk/proto/gen/souk/payment/v1"
	"github.com/souk-shop/souk/proto/reason"
)

// Every value of every ErrorReason, but UNSPECIFIED, is explained; what the REST
// API may return also for people.
func TestEveryReasonIsExplained(t *testing.T) {
	t.Parallel()
	values := len(catalogv1.ErrorReason_name) + len(cartv1.ErrorReason_name) + len(orderv1.ErrorReason_name) +
		len(paymentv1.ErrorReason_name) + len(errorv1.ErrorReason_name)
	all := reason.All()
	if len(all) != values-5 {
		t.Errorf("%d reasons have a meaning, the enums have %d values", len(all), values-5)
	}
	for _, r := range all {
		if r.Code == codes.OK || r.Description == "" {
			t.Errorf("%v lacks a code or a description", r.Key)
		}
		if !r.Internal && (r.Title == "" || r.Detail == "" || r.HTTPStatus == http.StatusInternalServerError) {
			t.Errorf("%v lacks a title, a detail or a status", r.Key)
		}
	}
}

// Reasons of the same name mean the same, since the REST API shows the name alone.
func TestSameNameSameMeaning(t *testing.T) {
	t.Parallel()
	byName := map[string]*reason.Info{}
	for _, r := range reason.All() {
		other := byName[r.Name]
		byName[r.Name] = r
		if other == nil || r.Internal || other.Internal {
			continue
		}
		if r.Title != other.Title || r.Detail != other.Detail || r.Description != other.Description || r.HTTPStatus != other.HTTPStatus {
			t.Errorf("%v and %v differ", r.Key, other.Key)
		}
	}
}

func TestReasonOfAnEnum(t *testing.T) {
	t.Parallel()
	info := reason.Of(orderv1.ErrorReason_ERROR_REASON_ORDER_NOT_FOUND)
	key := reason.Key{Domain: "order.souk", Name: "ORDER_NOT_FOUND"}
	if info.Key != key || info.Code != codes.NotFound || info.HTTPStatus != http.StatusNotFound || info.Internal {
		t.Errorf("%+v", info)
	}
	if reason.Find(key) != info || reason.Find(reason.Key{Domain: "cart.souk", Name: key.Name}) != nil {
		t.Error("a reason is found by its domain and name")
	}
	if got := reason.As[orderv1.ErrorReason](key); got != orderv1.ErrorReason_ERROR_REASON_ORDER_NOT_FOUND {
		t.Errorf("as the order service's: %v", got)
	}
	if got := reason.As[cartv1.ErrorReason](key); got != cartv1.ErrorReason_ERROR_REASON_UNSPECIFIED {
		t.Errorf("as the cart service's: %v", got)
	}
}

func TestReasonWithoutMeaningPanics(t *testing.T) {
	t.Parallel()
	defer func() {
		if recover() == nil {
			t.Error("UNSPECIFIED has a meaning")
		}
	}()
	reason.Of(orderv1.ErrorReason_ERROR_REASON_UNSPECIFIED)
}
