GRANT SELECT, INSERT, UPDATE, DELETE ON carts, cart_lines, cart_orders, cart_changes, cart_merges TO runtime;
