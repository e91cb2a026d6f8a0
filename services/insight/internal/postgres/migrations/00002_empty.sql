-- A model that another one has replaced, or that is to be made anew, is emptied by the role
-- that serves, which may truncate nothing: least of all the model that answers.

-- +goose Up

-- +goose StatementBegin
CREATE FUNCTION empty_model(emptied smallint) RETURNS void LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
BEGIN
    IF emptied = (SELECT serving FROM model) THEN
        RAISE 'model % answers', emptied;
    END IF;
    IF emptied = 0 THEN
        TRUNCATE orders_0, order_lines_0, refunds_0, refund_lines_0, payments_0, variants_0;
    ELSE
        TRUNCATE orders_1, order_lines_1, refunds_1, refund_lines_1, payments_1, variants_1;
    END IF;
END
$$;
-- +goose StatementEnd
REVOKE EXECUTE ON FUNCTION empty_model(smallint) FROM PUBLIC;

-- +goose Down

DROP FUNCTION empty_model(smallint);
