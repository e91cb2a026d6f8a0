-- UPDATE is also what SELECT ... FOR UPDATE takes.
GRANT SELECT, INSERT, UPDATE, DELETE ON products, variants, stock, imports TO runtime;
GRANT SELECT, INSERT, UPDATE ON categories, copurchases, reservations, reservation_lines, operations TO runtime;
GRANT SELECT, INSERT, DELETE ON import_batches TO runtime;

-- What is derived; triggers write it with the rights of the statement's role.
GRANT SELECT, INSERT, UPDATE, DELETE ON search_entries, search_words, stock_turns TO runtime;
GRANT SELECT, INSERT, UPDATE ON listing_counts TO runtime;
GRANT SELECT, INSERT, DELETE ON names TO runtime;
GRANT SELECT, DELETE ON product_search TO runtime;

-- What happened, once and for good.
GRANT SELECT, INSERT ON restocks, adjustments, adjustment_lines TO runtime;

-- What only an owner may do.
GRANT EXECUTE ON FUNCTION analyze_catalog(bigint) TO runtime;
