-- Notifications to receivers outside: how far the stored events have been followed, who is told, and what is to be delivered.
CREATE TABLE notification_cursor (
    only_row         boolean NOT NULL DEFAULT true,
    resource_version bigint  NOT NULL,
    CONSTRAINT notification_cursor_pkey PRIMARY KEY (only_row),
    CONSTRAINT notification_cursor_has_one_row CHECK (only_row)
);

-- Receivers as configured, and how they fare. A receiver is told what happened after it was first seen here.
CREATE TABLE notification_receivers (
    name              text COLLATE "C" NOT NULL,
    after_version     bigint           NOT NULL,
    enrolled_at       timestamptz      NOT NULL DEFAULT clock_timestamp(),
    seen_at           timestamptz      NOT NULL DEFAULT clock_timestamp(), -- last found in the configuration
    failures          bigint           NOT NULL DEFAULT 0,                 -- attempts in a row that found it away
    failing_since     timestamptz,
    resting_until     timestamptz,                                         -- left alone until then, whoever sends
    last_error        text,
    last_delivered_at timestamptz,
    CONSTRAINT notification_receivers_pkey PRIMARY KEY (name),
    CONSTRAINT notification_receivers_failing_together CHECK ((failures = 0) = (failing_since IS NULL))
);

-- One row per message; its id stays the same over all attempts. Times are the database's own.
CREATE TABLE notification_deliveries (
    id              bigint      GENERATED ALWAYS AS IDENTITY,
    message_id      uuid        NOT NULL DEFAULT gen_random_uuid(),
    receiver        text        NOT NULL,
    event_uid       uuid        NOT NULL,
    body            text        NOT NULL,
    attributes      jsonb       NOT NULL,
    due_at          timestamptz NOT NULL, -- a repetition waits until the time between two messages has passed
    next_attempt_at timestamptz NOT NULL,
    attempts        bigint      NOT NULL DEFAULT 0,
    merged          bigint      NOT NULL DEFAULT 0, -- further occurrences of the event that this message tells of
    settled_at      timestamptz,
    outcome         text,
    last_error      text,
    CONSTRAINT notification_deliveries_pkey PRIMARY KEY (id),
    CONSTRAINT notification_deliveries_message_key UNIQUE (message_id),
    CONSTRAINT notification_deliveries_outcome_known CHECK (outcome IN ('Delivered', 'GivenUp', 'Dropped')),
    CONSTRAINT notification_deliveries_settled_together CHECK ((outcome IS NULL) = (settled_at IS NULL))
);
CREATE INDEX notification_deliveries_waiting_idx ON notification_deliveries (receiver, id) WHERE settled_at IS NULL;
CREATE INDEX notification_deliveries_settled_idx ON notification_deliveries (settled_at) WHERE settled_at IS NOT NULL;
CREATE INDEX notification_deliveries_event_idx ON notification_deliveries (event_uid, receiver, id);
