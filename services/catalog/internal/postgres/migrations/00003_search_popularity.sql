-- +goose Up

-- A search ranks by what its entries have, without a look at each product.
ALTER TABLE search_entries ADD COLUMN popularity bigint NOT NULL DEFAULT 0; -- the product's
UPDATE search_entries s SET popularity = p.popularity
FROM products p
WHERE p.id = s.product_id AND p.popularity <> 0;

-- +goose Down
ALTER TABLE search_entries DROP COLUMN popularity;
