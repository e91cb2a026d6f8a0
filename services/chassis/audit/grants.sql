-- A service appends by the function, which runs with the owner's rights. It has no
-- right on the log and its head themselves, so that it can change nothing that is there.
GRANT EXECUTE ON FUNCTION souk_audit_append(text, text, text, text, text, text, text) TO runtime;
-- It reads by another one, and removes nothing.
GRANT EXECUTE ON FUNCTION souk_audit_list(bigint, text, text, timestamptz, timestamptz, integer) TO runtime;
