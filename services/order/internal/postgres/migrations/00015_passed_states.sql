-- +goose Up

-- A driver may write several states of an order at once: each is an event, with its time.

-- +goose StatementBegin
CREATE OR REPLACE FUNCTION tell_order() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    v_refund refunds;
    v_passed record;
    v_event record;
    v_trace text := NEW.traceparent;
    v_amended boolean := true;
BEGIN
    IF TG_OP = 'INSERT' OR NEW.state <> OLD.state THEN
        IF TG_OP = 'UPDATE' AND NEW.version > OLD.version + 1 THEN
            FOR v_passed IN
                SELECT h.version, h.state, h.at FROM order_history h
                WHERE h.order_id = NEW.id AND h.version > OLD.version AND h.version < NEW.version ORDER BY h.version
            LOOP
                v_event := order_event(NEW, v_passed.state);
                PERFORM souk_event_append('order.' || NEW.id, v_passed.version, v_event.type, v_passed.at, v_trace, v_event.data);
            END LOOP;
        END IF;
        v_event := order_event(NEW, NEW.state);
        v_amended := false;
    ELSIF NEW.erased_at IS NOT DISTINCT FROM OLD.erased_at THEN
        -- The refund that this transaction has written, if it has written one.
        SELECT r.* INTO v_refund FROM refunds r WHERE r.order_id = NEW.id AND r.xmin = pg_current_xact_id()::xid;
        IF FOUND THEN
            v_event := refund_event(NEW, v_refund, v_refund.state);
            v_trace := v_refund.traceparent;
            v_amended := false;
        END IF;
    END IF;
    IF v_amended THEN
        SELECT 'souk.order.v1.OrderAmended' AS type, json_build_object('order_id', NEW.id) AS data INTO v_event;
    END IF;
    PERFORM souk_event_append('order.' || NEW.id, NEW.version, v_event.type, NEW.updated_at, v_trace, v_event.data);
    RETURN NULL;
END
$$;
-- +goose StatementEnd

-- +goose Down

-- +goose StatementBegin
CREATE OR REPLACE FUNCTION tell_order() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    v_refund refunds;
    v_event record;
    v_trace text := NEW.traceparent;
    v_amended boolean := true;
BEGIN
    IF TG_OP = 'INSERT' OR NEW.state <> OLD.state THEN
        v_event := order_event(NEW, NEW.state);
        v_amended := false;
    ELSIF NEW.erased_at IS NOT DISTINCT FROM OLD.erased_at THEN
        -- The refund that this transaction has written, if it has written one.
        SELECT r.* INTO v_refund FROM refunds r WHERE r.order_id = NEW.id AND r.xmin = pg_current_xact_id()::xid;
        IF FOUND THEN
            v_event := refund_event(NEW, v_refund, v_refund.state);
            v_trace := v_refund.traceparent;
            v_amended := false;
        END IF;
    END IF;
    IF v_amended THEN
        SELECT 'souk.order.v1.OrderAmended' AS type, json_build_object('order_id', NEW.id) AS data INTO v_event;
    END IF;
    PERFORM souk_event_append('order.' || NEW.id, NEW.version, v_event.type, NEW.updated_at, v_trace, v_event.data);
    RETURN NULL;
END
$$;
-- +goose StatementEnd
