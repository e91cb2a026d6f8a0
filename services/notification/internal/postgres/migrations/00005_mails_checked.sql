-- +goose Up

-- 00004 added them NOT VALID, so that nobody waited for the table to be read.
ALTER TABLE mails VALIDATE CONSTRAINT mails_kinds;
ALTER TABLE mails VALIDATE CONSTRAINT mails_of_order_or_endpoint;

-- +goose Down

SELECT 1;
