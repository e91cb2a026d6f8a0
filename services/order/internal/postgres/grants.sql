GRANT SELECT, INSERT, UPDATE ON orders, order_lines, refunds, customer_sessions, erasures TO runtime;
GRANT SELECT, INSERT, UPDATE, DELETE ON declines TO runtime;

-- What `souk archive`, as the owner, has left of orders.
GRANT SELECT ON archived_orders TO runtime;

-- What happened, once and for good.
GRANT SELECT, INSERT ON order_history, refund_lines TO runtime;
