GRANT SELECT, UPDATE ON model TO runtime;
GRANT SELECT, INSERT, UPDATE, DELETE ON progress TO runtime;
GRANT SELECT, INSERT, UPDATE ON orders, order_lines, refunds, refund_lines, payments, variants TO runtime;

-- `souk archive` writes it, as the owner.
GRANT SELECT ON archived_orders TO runtime;

-- Tests and people look into one model.
GRANT SELECT ON orders_0, order_lines_0, refunds_0, refund_lines_0, payments_0, variants_0 TO runtime;
GRANT SELECT ON orders_1, order_lines_1, refunds_1, refund_lines_1, payments_1, variants_1 TO runtime;

GRANT EXECUTE ON FUNCTION empty_model(smallint) TO runtime;
