-- +goose NO TRANSACTION
-- +goose Up

-- When a row of declines may be forgotten, as ForgetDeclines says it. By the time of the
-- last decline alone all that is still kept for days came before what is not.
DROP INDEX CONCURRENTLY IF EXISTS declines_forgettable;
CREATE INDEX CONCURRENTLY declines_forgettable ON declines ((at - timestamptz 'epoch' + 8 * half_life));
DROP INDEX CONCURRENTLY IF EXISTS declines_at;

-- +goose Down

CREATE INDEX declines_at ON declines (at);
DROP INDEX CONCURRENTLY IF EXISTS declines_forgettable;
