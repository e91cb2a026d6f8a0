package rpc

import (
	"fmt"
	"strings"

	"google.golang.org/protobuf/types/known/timestamppb"

	catalogv1 "github.com/souk-shop/souk/proto/gen/souk/catalog/v1"
	"github.com/souk-shop/souk/proto/money"
	"github.com/souk-shop/souk/services/catalog/internal/domain"
)

func filter(f *catalogv1.ProductFilter) domain.Filter {
	if f == nil {
		return domain.Filter{}
	}
	return domain.Filter{
		Query:    strings.Join(strings.Fields(f.GetQuery()), " "),
		Category: f.GetCategory(),
		MinPrice: f.MinPrice,
		MaxPrice: f.MaxPrice,
		InStock:  f.GetInStock(),
		Exact:    f.GetExact(),
		State:    states[f.GetState()],
	}
}

// states are those of the contract; unspecified is "".
var states = map[catalogv1.ProductState]domain.State{
	catalogv1.ProductState_PRODUCT_STATE_DRAFT:    domain.Draft,
	catalogv1.ProductState_PRODUCT_STATE_ACTIVE:   domain.Active,
	catalogv1.ProductState_PRODUCT_STATE_ARCHIVED: domain.Archived,
}

func state(s domain.State) catalogv1.ProductState {
	for message, state := range states {
		if state == s {
			return message
		}
	}
	return catalogv1.ProductState_PRODUCT_STATE_UNSPECIFIED
}

func sort(s catalogv1.ProductSort, query string) domain.Sort {
	switch s {
	case catalogv1.ProductSort_PRODUCT_SORT_POPULARITY:
		return domain.SortPopularity
	case catalogv1.ProductSort_PRODUCT_SORT_PRICE_ASC:
		return domain.SortPriceAsc
	case catalogv1.ProductSort_PRODUCT_SORT_PRICE_DESC:
		return domain.SortPriceDesc
	case catalogv1.ProductSort_PRODUCT_SORT_NAME:
		return domain.SortName
	case catalogv1.ProductSort_PRODUCT_SORT_NEWEST:
		return domain.SortNewest
	}
	if query != "" {
		return domain.SortRelevance
	}
	return domain.SortPopularity
}

func product(p domain.Product) *catalogv1.Product {
	return &catalogv1.Product{
		Id:          p.ID,
		Code:        p.Code,
		Name:        p.Name,
		Description: p.Description,
		Category:    p.Category,
		Variants:    variants(p.Variants),
		Popularity:  p.Popularity,
		UpdatedAt:   timestamppb.New(p.UpdatedAt),
		Version:     p.Version,
		Revision:    p.Revision,
		State:       state(p.State),
	}
}

func products(all []domain.Product) []*catalogv1.Product {
	messages := make([]*catalogv1.Product, len(all))
	for i, p := range all {
		messages[i] = product(p)
	}
	return messages
}

func variants(all []domain.Variant) []*catalogv1.Variant {
	messages := make([]*catalogv1.Variant, len(all))
	for i, v := range all {
		messages[i] = &catalogv1.Variant{
			Sku:   v.SKU,
			Name:  v.Name,
			Price: v.Price.Proto(),
			Stock: &catalogv1.Stock{
				Total: v.Stock.Total, Held: v.Stock.Held, Committed: v.Stock.Committed, Available: v.Stock.Available(),
			},
			ProductId:   v.ProductID,
			ProductName: v.ProductName,
			State:       state(v.State),
		}
	}
	return messages
}

func categories(all []domain.Category) []*catalogv1.Category {
	messages := make([]*catalogv1.Category, len(all))
	for i, c := range all {
		messages[i] = &catalogv1.Category{Slug: c.Slug, Name: c.Name, ProductCount: c.Products}
	}
	return messages
}

func facets(f *domain.Facets) *catalogv1.Facets {
	if f == nil {
		return nil
	}
	message := &catalogv1.Facets{Total: f.Total, AtLeast: f.AtLeast, InStock: f.InStock, Categories: categories(f.Categories)}
	for _, b := range f.Prices {
		message.Prices = append(message.Prices, &catalogv1.PriceBucket{From: b.From, To: b.To, Count: b.Count})
	}
	return message
}

func reservation(r domain.Reservation) *catalogv1.Reservation {
	states := map[domain.ReservationState]catalogv1.ReservationState{
		domain.Held:      catalogv1.ReservationState_RESERVATION_STATE_HELD,
		domain.Committed: catalogv1.ReservationState_RESERVATION_STATE_COMMITTED,
		domain.Released:  catalogv1.ReservationState_RESERVATION_STATE_RELEASED,
	}
	return &catalogv1.Reservation{OrderId: r.OrderID, State: states[r.State], ExpiresAt: timestamppb.New(r.ExpiresAt)}
}

func stockLines(messages []*catalogv1.StockLine) []domain.StockLine {
	lines := make([]domain.StockLine, len(messages))
	for i, l := range messages {
		lines[i] = domain.StockLine{SKU: l.GetSku(), Quantity: l.GetQuantity()}
	}
	return lines
}

func priceChanges(messages []*catalogv1.PriceChange) ([]domain.PriceChange, error) {
	changes := make([]domain.PriceChange, len(messages))
	for i, c := range messages {
		price, err := money.FromProto(c.GetPrice())
		if err != nil {
			return nil, domain.Invalid(fmt.Sprintf("changes[%d].price", i), "is no amount of money")
		}
		changes[i] = domain.PriceChange{SKU: c.GetSku(), Price: price}
	}
	return changes, nil
}

func productInputs(messages []*catalogv1.ProductInput) ([]domain.ProductInput, error) {
	inputs := make([]domain.ProductInput, len(messages))
	for i, p := range messages {
		in := domain.ProductInput{
			Code:         p.GetCode(),
			Name:         p.GetName(),
			Description:  p.GetDescription(),
			Category:     p.GetCategory(),
			CategoryName: p.GetCategoryName(),
			Popularity:   p.GetPopularity(),
			State:        states[p.GetState()],
			Variants:     make([]domain.VariantInput, len(p.GetVariants())),
		}
		for j, v := range p.GetVariants() {
			price, err := money.FromProto(v.GetPrice())
			if err != nil {
				return nil, domain.Invalid(fmt.Sprintf("products[%d].variants[%d].price", i, j), "is no amount of money")
			}
			in.Variants[j] = domain.VariantInput{SKU: v.GetSku(), Name: v.GetName(), Price: price, Stock: v.Stock, State: states[v.GetState()]}
		}
		inputs[i] = in
	}
	return inputs, nil
}
