-- What AWS looked like and what happened: managed resources, sweep freshness, events.
CREATE TABLE managed_resources (
    uid              uuid             NOT NULL DEFAULT gen_random_uuid(),
    name             text COLLATE "C" NOT NULL,
    environment_uid  uuid             NOT NULL,
    environment      text COLLATE "C" NOT NULL,
    account          text             NOT NULL,
    region           text             NOT NULL,
    kind             text             NOT NULL,
    identity         text             NOT NULL,
    resource_version bigint           NOT NULL,
    desired          jsonb            NOT NULL,
    observed         jsonb            NOT NULL,
    diff             jsonb            NOT NULL,
    conditions       jsonb            NOT NULL,
    report           jsonb            NOT NULL,
    memory           jsonb            NOT NULL,
    created_at       timestamptz      NOT NULL,
    changed_at       timestamptz      NOT NULL,
    CONSTRAINT managed_resources_pkey PRIMARY KEY (uid),
    CONSTRAINT managed_resources_name_key UNIQUE (name),
    CONSTRAINT managed_resources_identity_key UNIQUE (environment_uid, account, region, kind, identity),
    CONSTRAINT managed_resources_resource_version_key UNIQUE (resource_version),
    CONSTRAINT managed_resources_environment_fkey FOREIGN KEY (environment_uid) REFERENCES environments (uid)
);
CREATE INDEX managed_resources_environment_idx ON managed_resources (environment, name);

-- One row per sweep, overwritten in place by each sweep and joined when resources are read: it never changes a
-- resourceVersion and wakes nobody. No index but the key, and room in the page, so that every update is HOT.
CREATE TABLE sweeps (
    account     text        NOT NULL,
    region      text        NOT NULL,
    kind        text        NOT NULL,
    observed_at timestamptz NOT NULL,
    CONSTRAINT sweeps_pkey PRIMARY KEY (account, region, kind)
) WITH (fillfactor = 50);

CREATE TABLE events (
    uid                uuid             NOT NULL DEFAULT gen_random_uuid(),
    name               text COLLATE "C" NOT NULL,
    environment        text COLLATE "C" NOT NULL,
    environment_uid    uuid,
    regarding_kind     text             NOT NULL,
    regarding_identity text             NOT NULL,
    type               text             NOT NULL,
    reason             text             NOT NULL,
    message            text             NOT NULL,
    fingerprint        bytea            NOT NULL, -- SHA-256 of kind, identity, type, reason and message
    details            jsonb            NOT NULL,
    count              bigint           NOT NULL,
    first_seen         timestamptz      NOT NULL,
    last_seen          timestamptz      NOT NULL,
    resource_version   bigint           NOT NULL,
    CONSTRAINT events_pkey PRIMARY KEY (uid),
    CONSTRAINT events_name_key UNIQUE (name),
    CONSTRAINT events_fingerprint_key UNIQUE (environment, fingerprint),
    CONSTRAINT events_resource_version_key UNIQUE (resource_version)
);
CREATE INDEX events_last_seen_idx ON events (last_seen);
