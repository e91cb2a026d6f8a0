-- The trigger runs for each variant of an edit and tells the product once: what it tells is
-- put together once, too. An edit of 1,000 variants took 13 s.

-- +goose Up

-- +goose StatementBegin
CREATE OR REPLACE FUNCTION tell_product() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    v_row jsonb := CASE WHEN TG_OP = 'DELETE' THEN to_jsonb(OLD) ELSE to_jsonb(NEW) END;
    v_id uuid := coalesce(v_row ->> 'product_id', v_row ->> 'id');
    v_subject text := 'product.' || v_id;
    v_facts json;
    v_type text := 'souk.catalog.v1.ProductUpserted';
    v_before text;
BEGIN
    IF EXISTS (SELECT FROM souk_events e WHERE e.subject = v_subject AND e.xmin = pg_current_xact_id()::xid
        AND e.type <> 'souk.catalog.v1.PriceChanged') THEN
        RETURN NULL;
    END IF;
    v_facts := product_facts(v_id);
    IF v_facts IS NULL THEN
        -- The product's own row, not that of a variant, says what it was called.
        IF TG_TABLE_NAME = 'products' AND TG_OP = 'DELETE' THEN
            PERFORM souk_event_append(v_subject, NULL, 'souk.catalog.v1.ProductDeleted', now(), '',
                json_build_object('product_id', v_id, 'code', v_row ->> 'code'));
        END IF;
        RETURN NULL;
    END IF;
    IF v_facts ->> 'state' = 'PRODUCT_STATE_ARCHIVED' THEN
        SELECT e.data -> 'product' ->> 'state' INTO v_before FROM souk_events e
        WHERE e.subject = v_subject AND e.type <> 'souk.catalog.v1.PriceChanged' ORDER BY e.version DESC LIMIT 1;
        IF v_before IS DISTINCT FROM 'PRODUCT_STATE_ARCHIVED' THEN
            v_type := 'souk.catalog.v1.ProductArchived';
        END IF;
    END IF;
    PERFORM souk_event_append(v_subject, NULL, v_type, now(), '', json_build_object('product', v_facts));
    RETURN NULL;
END
$$;
-- +goose StatementEnd

-- +goose Down

-- +goose StatementBegin
CREATE OR REPLACE FUNCTION tell_product() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    v_row jsonb := CASE WHEN TG_OP = 'DELETE' THEN to_jsonb(OLD) ELSE to_jsonb(NEW) END;
    v_id uuid := coalesce(v_row ->> 'product_id', v_row ->> 'id');
    v_subject text := 'product.' || v_id;
    v_facts json := product_facts(v_id);
    v_type text := 'souk.catalog.v1.ProductUpserted';
    v_before text;
BEGIN
    IF EXISTS (SELECT FROM souk_events e WHERE e.subject = v_subject AND e.xmin = pg_current_xact_id()::xid
        AND e.type <> 'souk.catalog.v1.PriceChanged') THEN
        RETURN NULL;
    END IF;
    IF v_facts IS NULL THEN
        -- The product's own row, not that of a variant, says what it was called.
        IF TG_TABLE_NAME = 'products' AND TG_OP = 'DELETE' THEN
            PERFORM souk_event_append(v_subject, NULL, 'souk.catalog.v1.ProductDeleted', now(), '',
                json_build_object('product_id', v_id, 'code', v_row ->> 'code'));
        END IF;
        RETURN NULL;
    END IF;
    IF v_facts ->> 'state' = 'PRODUCT_STATE_ARCHIVED' THEN
        SELECT e.data -> 'product' ->> 'state' INTO v_before FROM souk_events e
        WHERE e.subject = v_subject AND e.type <> 'souk.catalog.v1.PriceChanged' ORDER BY e.version DESC LIMIT 1;
        IF v_before IS DISTINCT FROM 'PRODUCT_STATE_ARCHIVED' THEN
            v_type := 'souk.catalog.v1.ProductArchived';
        END IF;
    END IF;
    PERFORM souk_event_append(v_subject, NULL, v_type, now(), '', json_build_object('product', v_facts));
    RETURN NULL;
END
$$;
-- +goose StatementEnd
