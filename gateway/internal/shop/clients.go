package shop

import (
	"context"

	cartv1 "github.com/souk-shop/souk/proto/gen/souk/cart/v1"
	catalogv1 "github.com/souk-shop/souk/proto/gen/souk/catalog/v1"
	orderv1 "github.com/souk-shop/souk/proto/gen/souk/order/v1"
	paymentv1 "github.com/souk-shop/souk/proto/gen/souk/payment/v1"
)

// The RPCs that the shop makes, without the call options it never uses, in the
// shape that call takes.

func (s *Shop) listProducts(ctx context.Context, r *catalogv1.ListProductsRequest) (*catalogv1.ListProductsResponse, error) {
	return s.clients.Catalog.ListProducts(ctx, r)
}

func (s *Shop) getProduct(ctx context.Context, r *catalogv1.GetProductRequest) (*catalogv1.GetProductResponse, error) {
	return s.clients.Catalog.GetProduct(ctx, r)
}

func (s *Shop) getVariants(ctx context.Context, r *catalogv1.GetVariantsRequest) (*catalogv1.GetVariantsResponse, error) {
	return s.clients.Catalog.GetVariants(ctx, r)
}

func (s *Shop) listCategories(ctx context.Context, r *catalogv1.ListCategoriesRequest) (*catalogv1.ListCategoriesResponse, error) {
	return s.clients.Catalog.ListCategories(ctx, r)
}

func (s *Shop) listRelated(ctx context.Context, r *catalogv1.ListRelatedRequest) (*catalogv1.ListRelatedResponse, error) {
	return s.clients.Catalog.ListRelated(ctx, r)
}

func (s *Shop) upsertProducts(ctx context.Context, r *catalogv1.UpsertProductsRequest) (*catalogv1.UpsertProductsResponse, error) {
	return s.clients.Catalog.UpsertProducts(ctx, r)
}

func (s *Shop) adjustStock(ctx context.Context, r *catalogv1.AdjustStockRequest) (*catalogv1.AdjustStockResponse, error) {
	return s.clients.Catalog.AdjustStock(ctx, r)
}

func (s *Shop) setPrices(ctx context.Context, r *catalogv1.SetPricesRequest) (*catalogv1.SetPricesResponse, error) {
	return s.clients.Catalog.SetPrices(ctx, r)
}

func (s *Shop) createCart(ctx context.Context, r *cartv1.CreateCartRequest) (*cartv1.CreateCartResponse, error) {
	return s.clients.Cart.CreateCart(ctx, r)
}

func (s *Shop) getCart(ctx context.Context, r *cartv1.GetCartRequest) (*cartv1.GetCartResponse, error) {
	return s.clients.Cart.GetCart(ctx, r)
}

func (s *Shop) setLines(ctx context.Context, r *cartv1.SetLinesRequest) (*cartv1.SetLinesResponse, error) {
	return s.clients.Cart.SetLines(ctx, r)
}

func (s *Shop) placeOrder(ctx context.Context, r *orderv1.PlaceOrderRequest) (*orderv1.PlaceOrderResponse, error) {
	return s.clients.Order.PlaceOrder(ctx, r)
}

func (s *Shop) getOrder(ctx context.Context, r *orderv1.GetOrderRequest) (*orderv1.GetOrderResponse, error) {
	return s.clients.Order.GetOrder(ctx, r)
}

func (s *Shop) listOrders(ctx context.Context, r *orderv1.ListOrdersRequest) (*orderv1.ListOrdersResponse, error) {
	return s.clients.Order.ListOrders(ctx, r)
}

func (s *Shop) cancelOrder(ctx context.Context, r *orderv1.CancelOrderRequest) (*orderv1.CancelOrderResponse, error) {
	return s.clients.Order.CancelOrder(ctx, r)
}

func (s *Shop) refundOrder(ctx context.Context, r *orderv1.RefundOrderRequest) (*orderv1.RefundOrderResponse, error) {
	return s.clients.Order.RefundOrder(ctx, r)
}

func (s *Shop) reconcile(ctx context.Context, r *paymentv1.ReconcileRequest) (*paymentv1.ReconcileResponse, error) {
	return s.clients.Payment.Reconcile(ctx, r)
}

func (s *Shop) getReconciliation(ctx context.Context, r *paymentv1.GetReconciliationRequest) (*paymentv1.GetReconciliationResponse, error) {
	return s.clients.Payment.GetReconciliation(ctx, r)
}
