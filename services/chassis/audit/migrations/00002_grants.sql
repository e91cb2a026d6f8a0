-- +goose Up

-- A new function may be executed by everybody: a role that is only to read would append.
REVOKE EXECUTE ON FUNCTION souk_audit_append(text, text, text, text, text, text, text) FROM PUBLIC;

-- +goose Down

GRANT EXECUTE ON FUNCTION souk_audit_append(text, text, text, text, text, text, text) TO PUBLIC;
