-- +goose Up

-- A message has reached the endpoint since it was registered, enabled or given its URL. One that
-- none has reached is called one message at a time, among few. Those of before this migration
-- are so until their next message.
ALTER TABLE webhook_endpoints ADD COLUMN reached boolean NOT NULL DEFAULT false;

-- +goose Down

ALTER TABLE webhook_endpoints DROP COLUMN reached;
