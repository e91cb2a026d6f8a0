-- +goose Up

-- W3C trace context of the call that began the payment; '' where it is not known.
ALTER TABLE attempts ADD COLUMN traceparent text NOT NULL DEFAULT '';

-- What is definite of a payment is an event in the log (souk_events, docs/events.md), written
-- by the statement that makes it so, whichever version of the service or person runs that.

-- payment_event is the event of an attempt that has come to a state, NULL for one that is
-- no fact.
-- +goose StatementBegin
CREATE FUNCTION payment_event(a attempts, p_state text, OUT type text, OUT data json) LANGUAGE plpgsql STABLE AS $$
DECLARE
    v_amount json := CASE WHEN a.currency <> '' THEN json_build_object('minor_units', a.amount, 'currency', a.currency) END;
BEGIN
    type := CASE p_state
        WHEN 'authorized' THEN 'souk.payment.v1.PaymentAuthorized'
        WHEN 'declined' THEN 'souk.payment.v1.PaymentDeclined'
        WHEN 'captured' THEN 'souk.payment.v1.PaymentCaptured'
        WHEN 'capture_failed' THEN 'souk.payment.v1.PaymentCaptureFailed'
        WHEN 'voided' THEN 'souk.payment.v1.PaymentVoided'
        WHEN 'needs_review' THEN 'souk.payment.v1.PaymentNeedsReview'
    END;
    data := CASE p_state
        WHEN 'declined' THEN json_build_object('order_id', a.order_id, 'attempt_id', a.id, 'amount', v_amount, 'decline_code', a.code)
        WHEN 'capture_failed' THEN json_build_object('order_id', a.order_id, 'attempt_id', a.id, 'amount', v_amount, 'code', a.code)
        ELSE json_build_object('order_id', a.order_id, 'attempt_id', a.id, 'amount', v_amount)
    END;
END
$$;
-- +goose StatementEnd

-- +goose StatementBegin
CREATE FUNCTION refund_event(r refunds, p_refunded bigint, OUT type text, OUT data json) LANGUAGE plpgsql STABLE AS $$
DECLARE
    v_amount json := json_build_object('minor_units', r.amount, 'currency', r.currency);
BEGIN
    IF r.state = 'succeeded' THEN
        type := 'souk.payment.v1.PaymentRefunded';
        data := json_build_object('order_id', r.order_id, 'refund_id', r.id, 'amount', v_amount,
            'refunded', json_build_object('minor_units', p_refunded, 'currency', r.currency));
    ELSE
        type := 'souk.payment.v1.PaymentRefundFailed';
        data := json_build_object('order_id', r.order_id, 'refund_id', r.id, 'amount', v_amount, 'failure_code', r.failure_code);
    END IF;
END
$$;
-- +goose StatementEnd

-- +goose StatementBegin
CREATE FUNCTION tell_payment() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    v_event record := payment_event(NEW, NEW.state);
BEGIN
    PERFORM souk_event_append('payment.' || NEW.order_id, NULL, v_event.type, NEW.updated_at, NEW.traceparent, v_event.data);
    RETURN NULL;
END
$$;
-- +goose StatementEnd
CREATE TRIGGER payment_begun_told AFTER INSERT ON attempts FOR EACH ROW
    WHEN (NEW.state NOT IN ('sent', 'capture_sent', 'void_sent')) EXECUTE FUNCTION tell_payment();
CREATE TRIGGER payment_changed_told AFTER UPDATE ON attempts FOR EACH ROW
    WHEN (OLD.state <> NEW.state AND NEW.state NOT IN ('sent', 'capture_sent', 'void_sent')) EXECUTE FUNCTION tell_payment();

-- The statement that ends a refund changes the sums of its payment, too, whose row it has
-- locked.
-- +goose StatementBegin
CREATE FUNCTION tell_refund() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    v_payment attempts;
    v_event record;
BEGIN
    SELECT a.* INTO STRICT v_payment FROM attempts a WHERE a.order_id = NEW.order_id FOR NO KEY UPDATE;
    v_event := refund_event(NEW, v_payment.refunded);
    PERFORM souk_event_append('payment.' || NEW.order_id, NULL, v_event.type, NEW.updated_at, v_payment.traceparent, v_event.data);
    RETURN NULL;
END
$$;
-- +goose StatementEnd
CREATE TRIGGER refund_told AFTER UPDATE ON refunds FOR EACH ROW
    WHEN (OLD.state <> NEW.state) EXECUTE FUNCTION tell_refund();

-- +goose Down

DROP TRIGGER refund_told ON refunds;
DROP TRIGGER payment_changed_told ON attempts;
DROP TRIGGER payment_begun_told ON attempts;
DROP FUNCTION tell_refund, tell_payment, refund_event, payment_event;
ALTER TABLE attempts DROP COLUMN traceparent;
