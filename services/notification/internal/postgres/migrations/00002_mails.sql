-- +goose Up

-- The mails to buyers: one for each event of an order that is told by mail. Neither
-- addresses nor texts are here: both are made of the order when a mail is sent or looked
-- at, so that what the order service erases is nowhere else.
CREATE TABLE mails (
    id            uuid PRIMARY KEY,
    kind          text NOT NULL CHECK (kind IN ('confirmed', 'cancelled', 'refunded')),
    -- The event.
    subject       text COLLATE "C" NOT NULL,
    version       bigint NOT NULL,
    happened_at   timestamptz NOT NULL,
    order_id      uuid NOT NULL,
    order_number  text NOT NULL,
    customer_id   uuid NOT NULL,
    cancel_reason text NOT NULL DEFAULT '',
    refund_id     uuid,
    -- In minor units of the currency: the order's total, or of a refund what was given back,
    -- and how much of the order in all.
    amount        bigint NOT NULL,
    refunded      bigint NOT NULL DEFAULT 0,
    currency      text NOT NULL,
    state         text NOT NULL CHECK (state IN ('queued', 'sending', 'sent', 'kept', 'failed', 'withheld')),
    -- How often the mail server was asked.
    attempts      int NOT NULL DEFAULT 0,
    -- Why it failed, was withheld or is not sent yet.
    reason        text NOT NULL DEFAULT '',
    -- The trace that led to it; empty once the mail is settled.
    traceparent   text NOT NULL DEFAULT '',
    created_at    timestamptz NOT NULL DEFAULT now(),
    changed_at    timestamptz NOT NULL DEFAULT now(),
    UNIQUE (subject, version)
);
CREATE INDEX mails_of_order ON mails (order_id, id);
CREATE INDEX mails_of_customer ON mails (customer_id, id);
CREATE INDEX mails_open ON mails (happened_at) WHERE state IN ('queued', 'sending');
CREATE INDEX mails_settled ON mails (changed_at) WHERE state NOT IN ('queued', 'sending');

-- +goose Down

DROP TABLE mails;
