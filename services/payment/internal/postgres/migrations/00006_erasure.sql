-- +goose Up

-- The salt of the reason's digest in the audit log; NULL once the reason was erased.
ALTER TABLE reviews ADD COLUMN why_salt bytea;

-- What an operator wrote of a decision may name a person, and can be erased: to nothing
-- else, and nothing else of a review ever changes.
-- +goose StatementBegin
CREATE FUNCTION reviews_refuse_edit() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.why <> 'erased' OR (NEW.id, NEW.order_id, NEW.refund_id, NEW.from_state, NEW.to_state, NEW.decided_by, NEW.created_at)
        IS DISTINCT FROM (OLD.id, OLD.order_id, OLD.refund_id, OLD.from_state, OLD.to_state, OLD.decided_by, OLD.created_at) THEN
        RAISE EXCEPTION 'reviews are append-only'
            USING ERRCODE = 'check_violation', CONSTRAINT = 'reviews_append_only';
    END IF;
    RETURN NEW;
END $$;
-- +goose StatementEnd

DROP TRIGGER reviews_append_only ON reviews;
CREATE TRIGGER reviews_append_only BEFORE DELETE OR TRUNCATE ON reviews
    FOR EACH STATEMENT EXECUTE FUNCTION reviews_refuse_change();
CREATE TRIGGER reviews_erased_only BEFORE UPDATE ON reviews
    FOR EACH ROW EXECUTE FUNCTION reviews_refuse_edit();

-- +goose Down

ALTER TABLE reviews DROP COLUMN why_salt;
DROP TRIGGER reviews_append_only ON reviews;
DROP TRIGGER reviews_erased_only ON reviews;
DROP FUNCTION reviews_refuse_edit();
CREATE TRIGGER reviews_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON reviews
    FOR EACH STATEMENT EXECUTE FUNCTION reviews_refuse_change();
