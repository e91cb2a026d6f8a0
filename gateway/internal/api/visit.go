package api

import "net/http"

// A document is the answer of every operation that answers with one. That its
// body and headers are those of openapi.yaml is checked by tests.

func (d *document) VisitListProductsResponse(w http.ResponseWriter) error      { return d.write(w) }
func (d *document) VisitGetProductResponse(w http.ResponseWriter) error        { return d.write(w) }
func (d *document) VisitListRelatedResponse(w http.ResponseWriter) error       { return d.write(w) }
func (d *document) VisitListCategoriesResponse(w http.ResponseWriter) error    { return d.write(w) }
func (d *document) VisitCreateCartResponse(w http.ResponseWriter) error        { return d.write(w) }
func (d *document) VisitGetCartResponse(w http.ResponseWriter) error           { return d.write(w) }
func (d *document) VisitReplaceLinesResponse(w http.ResponseWriter) error      { return d.write(w) }
func (d *document) VisitAddLineResponse(w http.ResponseWriter) error           { return d.write(w) }
func (d *document) VisitSetLineResponse(w http.ResponseWriter) error           { return d.write(w) }
func (d *document) VisitRemoveLineResponse(w http.ResponseWriter) error        { return d.write(w) }
func (d *document) VisitPlaceOrderResponse(w http.ResponseWriter) error        { return d.write(w) }
func (d *document) VisitListOrdersResponse(w http.ResponseWriter) error        { return d.write(w) }
func (d *document) VisitGetOrderResponse(w http.ResponseWriter) error          { return d.write(w) }
func (d *document) VisitCancelOrderResponse(w http.ResponseWriter) error       { return d.write(w) }
func (d *document) VisitRefundOrderResponse(w http.ResponseWriter) error       { return d.write(w) }
func (d *document) VisitPutProductResponse(w http.ResponseWriter) error        { return d.write(w) }
func (d *document) VisitImportProductsResponse(w http.ResponseWriter) error    { return d.write(w) }
func (d *document) VisitAdjustStockResponse(w http.ResponseWriter) error       { return d.write(w) }
func (d *document) VisitSetPricesResponse(w http.ResponseWriter) error         { return d.write(w) }
func (d *document) VisitReconcileResponse(w http.ResponseWriter) error         { return d.write(w) }
func (d *document) VisitGetReconciliationResponse(w http.ResponseWriter) error { return d.write(w) }
