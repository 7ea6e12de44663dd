-- Who works on what, and what was tried: shard leases, the journal of mutations, requests to a shard's owner.

-- Rows are never deleted: the epoch of a shard only grows. Times here are the database's own.
CREATE TABLE leases (
    shard       text        NOT NULL,
    holder      text        NOT NULL,
    epoch       bigint      NOT NULL,
    acquired_at timestamptz NOT NULL,
    renewed_at  timestamptz NOT NULL,
    expires_at  timestamptz NOT NULL,
    CONSTRAINT leases_pkey PRIMARY KEY (shard),
    CONSTRAINT leases_epoch_positive CHECK (epoch >= 1)
) WITH (fillfactor = 50);

-- An intent is written before the AWS call and settled after it. Unsettled: no outcome yet, or the outcome Unknown.
CREATE TABLE journal (
    id              bigint           GENERATED ALWAYS AS IDENTITY,
    environment_uid uuid             NOT NULL,
    environment     text COLLATE "C" NOT NULL,
    account         text             NOT NULL,
    region          text             NOT NULL,
    kind            text             NOT NULL,
    identity        text             NOT NULL,
    step            text             NOT NULL,
    body            jsonb            NOT NULL,
    risk            text             NOT NULL,
    generation      bigint           NOT NULL,
    epoch           bigint           NOT NULL,
    token           text             NOT NULL,
    begun_at        timestamptz      NOT NULL,
    resolved_at     timestamptz,
    outcome         text,
    request_id      text,
    error_class     text,
    effective       boolean,
    CONSTRAINT journal_pkey PRIMARY KEY (id),
    CONSTRAINT journal_outcome_known CHECK (outcome IN ('Applied', 'NotApplied', 'Unknown')),
    CONSTRAINT journal_resolved_together CHECK ((outcome IS NULL) = (resolved_at IS NULL))
);
CREATE INDEX journal_resource_idx ON journal (environment_uid, account, region, kind, identity, begun_at DESC);
CREATE INDEX journal_begun_idx ON journal (begun_at);
CREATE INDEX journal_unsettled_idx ON journal (environment_uid) WHERE outcome IS NULL OR outcome = 'Unknown';

CREATE TABLE requests (
    id              uuid             NOT NULL,
    kind            text             NOT NULL,
    shard           text             NOT NULL,
    environment     text COLLATE "C" NOT NULL,
    body            jsonb            NOT NULL,
    created_at      timestamptz      NOT NULL,
    deadline        timestamptz      NOT NULL,
    answered_at     timestamptz,
    answer          jsonb,
    CONSTRAINT requests_pkey PRIMARY KEY (id),
    CONSTRAINT requests_kind_known CHECK (kind IN ('Reconcile', 'Plan', 'Diagnosis')),
    CONSTRAINT requests_answered_together CHECK ((answered_at IS NULL) = (answer IS NULL))
);
CREATE INDEX requests_pending_idx ON requests (shard, created_at) WHERE answered_at IS NULL;
