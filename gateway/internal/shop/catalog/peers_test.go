package catalog

import (
	"context"
	"reflect"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/souk-shop/souk/gateway/internal/client"
	accessv1 "github.com/souk-shop/souk/proto/gen/souk/access/v1"
	catalogv1 "github.com/souk-shop/souk/proto/gen/souk/catalog/v1"
	peerv1 "github.com/souk-shop/souk/proto/gen/souk/peer/v1"
	"github.com/souk-shop/souk/services/chassis/access"
	"github.com/souk-shop/souk/services/chassis/cache"
	"github.com/souk-shop/souk/services/chassis/telemetry"
)

// full sets each field of a message, with values that differ.
func full(m protoreflect.Message, n *int64) {
	fields := m.Descriptor().Fields()
	for i := range fields.Len() {
		f := fields.Get(i)
		value := func() protoreflect.Value {
			*n++
			switch f.Kind() {
			case protoreflect.StringKind:
				if f.Name() == "currency" {
					return protoreflect.ValueOfString("GBP")
				}
				return protoreflect.ValueOfString("text " + time.Duration(*n).String())
			case protoreflect.BoolKind:
				return protoreflect.ValueOfBool(true)
			case protoreflect.Int32Kind:
				return protoreflect.ValueOfInt32(int32(*n))
			case protoreflect.Int64Kind:
				return protoreflect.ValueOfInt64(*n)
			case protoreflect.EnumKind:
				return protoreflect.ValueOfEnum(f.Enum().Values().Get(f.Enum().Values().Len() - 1).Number())
			default:
				panic(f.FullName())
			}
		}
		switch {
		case f.IsList():
			for range 2 {
				if f.Message() != nil {
					full(m.Mutable(f).List().AppendMutable().Message(), n)
				} else {
					m.Mutable(f).List().Append(value())
				}
			}
		case f.Message() != nil:
			full(m.Mutable(f).Message(), n)
		default:
			m.Set(f, value())
		}
	}
}

// What a peer makes of a message of ours is what we made of the catalog's: a field that is
// shown and not passed on fails here.
func TestAPageIsPassedOnWhole(t *testing.T) {
	t.Parallel()
	var n int64
	res := &catalogv1.ListProductsResponse{}
	full(res.ProtoReflect(), &n)
	q := &ProductQuery{Facets: true, InStock: true}
	page, err := q.page(res)
	if err != nil {
		t.Fatal(err)
	}
	again, err := q.page(page.message())
	if err != nil || !reflect.DeepEqual(page, again) {
		t.Errorf("%v: %+v became %+v", err, page, again)
	}
	list := &catalogv1.ListCategoriesResponse{}
	full(list.ProtoReflect(), &n)
	categories := categoryList(list)
	if got := categoryList(&catalogv1.ListCategoriesResponse{Categories: categoryMessages(categories.Categories)}); !reflect.DeepEqual(got, categories) {
		t.Errorf("%+v became %+v", categories, got)
	}
}

// What a peer lists for a request is what it was asked for: a filter that is not passed on
// fails here.
func TestAQueryIsPassedOnWhole(t *testing.T) {
	t.Parallel()
	var n int64
	req := &catalogv1.ListProductsRequest{}
	full(req.ProtoReflect(), &n)
	req.Filter.State, req.Viewer = 0, anyone
	if got := queryOf(req).request(anyone); !proto.Equal(got, req) {
		t.Errorf("%v became %v", req, got)
	}
}

// fleetless is the catalog service, which says for whom it was asked.
type fleetless struct {
	Client
	viewers []*accessv1.Viewer
}

func (f *fleetless) ListProducts(_ context.Context, req *catalogv1.ListProductsRequest, _ ...grpc.CallOption) (*catalogv1.ListProductsResponse, error) {
	f.viewers = append(f.viewers, req.GetViewer())
	return &catalogv1.ListProductsResponse{}, nil
}

// Peers are given what any shopper is shown, whatever they ask for.
func TestPeersAreGivenNothingPersonal(t *testing.T) {
	t.Parallel()
	kept, err := cache.New(cache.Config{Name: "gateway", MemoryTTL: time.Minute, MemoryWeight: 100}, telemetry.Discard())
	if err != nil {
		t.Fatal(err)
	}
	defer kept.Close()
	service := &fleetless{}
	c := New(Config{Client: service, Caller: client.New(client.Config{}), Cache: kept})
	for name, test := range map[string]struct {
		req  *catalogv1.ListProductsRequest
		want codes.Code
	}{
		"any shopper's":    {&catalogv1.ListProductsRequest{Viewer: anyone}, codes.OK},
		"an operator's":    {&catalogv1.ListProductsRequest{Viewer: access.Operator("ada")}, codes.InvalidArgument},
		"without a viewer": {&catalogv1.ListProductsRequest{}, codes.InvalidArgument},
		"what is archived": {&catalogv1.ListProductsRequest{Viewer: anyone, Filter: &catalogv1.ProductFilter{State: catalogv1.ProductState_PRODUCT_STATE_ARCHIVED}}, codes.InvalidArgument},
	} {
		before := len(service.viewers)
		_, err := c.Fill(t.Context(), &peerv1.FillRequest{Query: &peerv1.FillRequest_Products{Products: test.req}, MaxAge: durationpb.New(0)})
		if status.Code(err) != test.want || len(service.viewers) > before != (test.want == codes.OK) {
			t.Errorf("%s: %v, the catalog was asked for %v", name, err, service.viewers[before:])
		}
	}
	if _, err := c.Fill(t.Context(), &peerv1.FillRequest{MaxAge: durationpb.New(0)}); status.Code(err) != codes.InvalidArgument {
		t.Errorf("no query: %v", err)
	}
}

// confused is a peer that answers another question than it was asked.
type confused struct{ asked int }

func (*confused) Owns(string) bool { return false }

func (p *confused) Fill(_ context.Context, _ string, req *peerv1.FillRequest) (*peerv1.FillResponse, bool) {
	p.asked++
	if req.GetCategories() != nil {
		return &peerv1.FillResponse{Answer: &peerv1.FillResponse_Products{Products: &catalogv1.ListProductsResponse{}}}, true
	}
	return &peerv1.FillResponse{Answer: &peerv1.FillResponse_Categories{Categories: &catalogv1.ListCategoriesResponse{}}}, true
}

// An answer to another question is none: the catalog is asked.
func TestAnAnswerToAnotherQuestion(t *testing.T) {
	t.Parallel()
	kept, err := cache.New(cache.Config{Name: "gateway", MemoryTTL: time.Minute, MemoryWeight: 100}, telemetry.Discard())
	if err != nil {
		t.Fatal(err)
	}
	defer kept.Close()
	service, peer := &fleetless{}, &confused{}
	c := New(Config{Client: service, Caller: client.New(client.Config{}), Cache: kept, Peers: peer})
	if _, err := c.ListProducts(t.Context(), ProductQuery{}); err != nil || len(service.viewers) != 1 || peer.asked != 1 {
		t.Errorf("%v: the catalog was asked %d times, the peer %d", err, len(service.viewers), peer.asked)
	}
}
