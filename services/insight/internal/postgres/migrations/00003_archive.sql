-- +goose Up

-- Orders whose events are in files and no longer in the logs (docs/growth.md): a model that is
-- made anew takes them over from the one that answers. They stay here when they are restored: a
-- model that is being made may be past where their events are again.
CREATE TABLE archived_orders (order_id uuid PRIMARY KEY);

-- +goose Down

DROP TABLE archived_orders;
