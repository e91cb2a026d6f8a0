-- +goose Up

-- For an operator who looks for an order: neither changes after it is placed.
CREATE INDEX orders_email ON orders (lower(email), placed_at DESC, id DESC);
CREATE INDEX order_lines_sku ON order_lines (sku, order_id);

-- +goose Down

DROP INDEX order_lines_sku;
DROP INDEX orders_email;
