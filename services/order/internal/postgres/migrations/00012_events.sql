-- +goose Up

-- Every change of an order is an event in the log (souk_events, docs/events.md), written by
-- the statement that makes it, whichever version of the service or person runs that: the
-- event's version is the order's, and both count without gaps.

-- order_event is the event of an order that has come to a state.
-- +goose StatementBegin
CREATE FUNCTION order_event(o orders, p_state text, OUT type text, OUT data json) LANGUAGE plpgsql STABLE AS $$
BEGIN
    CASE p_state
    WHEN 'pending' THEN
        type := 'souk.order.v1.OrderPlaced';
        data := json_build_object(
            'order_id', o.id, 'number', o.number, 'customer_id', o.customer_id, 'country', o.shipping_address ->> 'country',
            'total', json_build_object('minor_units', o.total, 'currency', o.currency),
            'lines', (
                SELECT json_agg(json_build_object(
                    'sku', l.sku, 'name', l.name, 'quantity', l.quantity,
                    'unit_price', json_build_object('minor_units', l.unit_price, 'currency', o.currency),
                    'total', json_build_object('minor_units', l.total, 'currency', o.currency)) ORDER BY l.position)
                FROM order_lines l WHERE l.order_id = o.id));
    WHEN 'authorizing' THEN
        type := 'souk.order.v1.OrderReserved';
        data := json_build_object('order_id', o.id);
    WHEN 'confirming' THEN
        type := 'souk.order.v1.OrderAuthorized';
        data := json_build_object('order_id', o.id);
    WHEN 'capturing' THEN
        type := 'souk.order.v1.OrderConfirmed';
        data := json_build_object('order_id', o.id);
    WHEN 'paid' THEN
        type := 'souk.order.v1.OrderPaid';
        data := json_build_object('order_id', o.id, 'number', o.number, 'customer_id', o.customer_id,
            'total', json_build_object('minor_units', o.total, 'currency', o.currency));
    WHEN 'cancelling' THEN
        type := 'souk.order.v1.OrderCancelling';
        data := json_build_object('order_id', o.id, 'reason', 'CANCEL_REASON_' || upper(o.cancel_reason));
    WHEN 'cancelled' THEN
        type := 'souk.order.v1.OrderCancelled';
        data := json_build_object('order_id', o.id, 'number', o.number, 'customer_id', o.customer_id,
            'reason', 'CANCEL_REASON_' || upper(o.cancel_reason), 'short_skus', to_json(o.short_skus),
            'total', json_build_object('minor_units', o.total, 'currency', o.currency));
    ELSE
        NULL; -- no event, which the log refuses
    END CASE;
END
$$;
-- +goose StatementEnd

-- refund_event is the event of a refund that has come to a state.
-- +goose StatementBegin
CREATE FUNCTION refund_event(o orders, r refunds, p_state text, OUT type text, OUT data json) LANGUAGE plpgsql STABLE AS $$
DECLARE
    v_amount json := json_build_object('minor_units', r.amount, 'currency', r.currency);
    v_lines json := (SELECT json_agg(json_build_object('sku', l.sku, 'quantity', l.quantity) ORDER BY l.position)
        FROM refund_lines l WHERE l.refund_id = r.id);
BEGIN
    CASE p_state
    WHEN 'pending' THEN
        type := 'souk.order.v1.OrderRefundRequested';
        data := json_build_object('order_id', o.id, 'refund_id', r.id, 'amount', v_amount, 'lines', v_lines, 'restock', r.restock);
    WHEN 'succeeded' THEN
        type := 'souk.order.v1.OrderRefunded';
        data := json_build_object('order_id', o.id, 'number', o.number, 'customer_id', o.customer_id, 'refund_id', r.id,
            'amount', v_amount, 'lines', v_lines, 'restock', r.restock,
            'refunded', json_build_object('minor_units', o.refunded, 'currency', o.currency));
    WHEN 'failed' THEN
        type := 'souk.order.v1.OrderRefundFailed';
        data := json_build_object('order_id', o.id, 'refund_id', r.id, 'amount', v_amount, 'failure_code', r.failure_code);
    ELSE
        NULL; -- no event, which the log refuses
    END CASE;
END
$$;
-- +goose StatementEnd

-- +goose StatementBegin
CREATE FUNCTION tell_order() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    v_refund refunds;
    v_event record;
    v_trace text := NEW.traceparent;
BEGIN
    IF TG_OP = 'INSERT' OR NEW.state <> OLD.state THEN
        v_event := order_event(NEW, NEW.state);
    ELSE
        -- The refund that this transaction has written, if it has written one.
        SELECT r.* INTO v_refund FROM refunds r WHERE r.order_id = NEW.id AND r.xmin = pg_current_xact_id()::xid;
        IF FOUND THEN
            v_event := refund_event(NEW, v_refund, v_refund.state);
            v_trace := v_refund.traceparent;
        ELSE
            SELECT 'souk.order.v1.OrderAmended' AS type, json_build_object('order_id', NEW.id) AS data INTO v_event;
        END IF;
    END IF;
    PERFORM souk_event_append('order.' || NEW.id, NEW.version, v_event.type, NEW.updated_at, v_trace, v_event.data);
    RETURN NULL;
END
$$;
-- +goose StatementEnd
-- They fire at the end of the statement, and see the lines and the refund that it wrote.
CREATE TRIGGER order_placed_told AFTER INSERT ON orders FOR EACH ROW EXECUTE FUNCTION tell_order();
CREATE TRIGGER order_changed_told AFTER UPDATE ON orders FOR EACH ROW
    WHEN (OLD.version <> NEW.version) EXECUTE FUNCTION tell_order();

-- +goose Down

DROP TRIGGER order_changed_told ON orders;
DROP TRIGGER order_placed_told ON orders;
DROP FUNCTION tell_order, refund_event, order_event;
