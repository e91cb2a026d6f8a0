package catalog_test

import (
	"fmt"
	"testing"

	catalogv1 "github.com/souk-shop/souk/proto/gen/souk/catalog/v1"
	"github.com/souk-shop/souk/services/chassis/audit/audittest"
	"github.com/souk-shop/souk/services/chassis/pg/pgtest"
)

// TestOperatorsActionsAreInTheAuditLog performs each action that the contract has for
// operators, and finds one entry for it.
func TestOperatorsActionsAreInTheAuditLog(t *testing.T) {
	t.Parallel()
	db := pgtest.Service(t, nil)
	s := start(t, db, nil).ready(t)
	operator := audittest.Operator()
	ctx := t.Context()
	put := func(id string, p *catalogv1.ProductInput) func() error {
		return func() error {
			_, err := s.PutProduct(ctx, &catalogv1.PutProductRequest{Viewer: operator, OperationId: id, Product: p})
			return err
		}
	}
	upsert := func(id string, products ...*catalogv1.ProductInput) func() error {
		return func() error {
			_, err := s.UpsertProducts(ctx, &catalogv1.UpsertProductsRequest{Viewer: operator, ImportId: id, Products: products})
			return err
		}
	}
	dearer := input("LAMP", "Lamp", 120, 5)
	const lamp = `"category":"gifts","description":"","name":"Lamp","state":"active"`
	many := []*catalogv1.ProductInput{input("TOY", "Toy", 2, 1)}
	for i := range 51 {
		many = append(many, input(fmt.Sprintf("MANY-%d", i), "One of many", 100, 1))
	}
	const imported = "01890a5d-ac96-774b-bcce-b302099a8057"
	adjust := &catalogv1.AdjustStockRequest{
		Viewer: operator, AdjustmentId: "01890a5d-ac96-774b-bcce-b302099a8058", Reason: "counted",
		Changes: []*catalogv1.StockChange{{Sku: "LAMP", Delta: -2}},
	}
	prices := &catalogv1.SetPricesRequest{
		Viewer: operator, OperationId: newID(), Changes: []*catalogv1.PriceChange{{Sku: "LAMP", Price: gbp(99)}},
	}
	archive := &catalogv1.SetStateRequest{Viewer: operator, OperationId: newID(), Code: "LAMP", State: catalogv1.ProductState_PRODUCT_STATE_ARCHIVED}
	remove := &catalogv1.DeleteProductRequest{Viewer: operator, OperationId: newID(), Code: "TOY"}
	cases := []audittest.Case{
		{
			Name: "of a new product", Method: "PutProduct", Repeat: true, Do: put(newID(), input("LAMP", "Lamp", 100, 5)),
			Object: "product LAMP", Before: `{}`,
			After: `{"LAMP":{` + lamp + `,"variants":{"LAMP":{"currency":"GBP","name":"","price":100,"state":"active","stock":5}}}}`,
		},
		{
			Name: "of a price", Method: "PutProduct", Repeat: true, Do: put(newID(), dearer), Object: "product LAMP",
			Before: `{"LAMP":{"variants":{"LAMP":{"price":100}}}}`, After: `{"LAMP":{"variants":{"LAMP":{"price":120}}}}`,
		},
		{Name: "that changes nothing", Method: "PutProduct", Do: put(newID(), dearer), Object: "product LAMP", Before: `{}`, After: `{}`},
		{
			Name: "of two", Method: "UpsertProducts", Repeat: true, Do: upsert(newID(), dearer, input("TOY", "Toy", 1, 1)), Object: "2 products",
			Before: `{}`, After: `{"TOY":{"category":"gifts","description":"","name":"Toy","state":"active","variants":{"TOY":{"currency":"GBP","name":"","price":1,"state":"active","stock":1}}}}`,
		},
		{
			Name: "of many", Method: "UpsertProducts", Repeat: true, Do: upsert(imported, many...), Object: "import " + imported,
			After: `{"sha256":"DIGEST","created":51,"updated":1,"variants":52,"new_prices":1}`,
		},
		{
			Method: "AdjustStock", Repeat: true, Do: func() error { _, err := s.AdjustStock(ctx, adjust); return err }, Object: "variant LAMP",
			Before: `{"available":{"LAMP":5}}`,
			After:  `{"available":{"LAMP":3},"adjustment":"01890a5d-ac96-774b-bcce-b302099a8058","reason":"counted"}`,
		},
		{
			Method: "SetPrices", Repeat: true, Do: func() error { _, err := s.SetPrices(ctx, prices); return err }, Object: "variant LAMP",
			Before: `{"LAMP":{"price":120,"currency":"GBP"}}`, After: `{"LAMP":{"price":99,"currency":"GBP"}}`,
		},
		{
			Method: "SetState", Repeat: true, Do: func() error { _, err := s.SetState(ctx, archive); return err }, Object: "product LAMP", Before: `{"LAMP":{"state":"active"}}`, After: `{"LAMP":{"state":"archived"}}`,
		},
		{
			Method: "DeleteProduct", Repeat: true, Do: func() error { _, err := s.DeleteProduct(ctx, remove); return err }, Object: "product TOY", After: `{}`,
			Before: `{"TOY":{"category":"gifts","description":"","name":"Toy","state":"active","variants":{"TOY":{"currency":"GBP","name":"","price":2,"state":"active","stock":1}}}}`,
		},
	}
	audittest.Run(t, db.DSN, catalogv1.File_souk_catalog_v1_catalog_proto.Services().Get(0), cases)
}
