-- Desired state: the environments, every spec ever accepted, the AWS objects each environment claims, and the governed
-- changes and approvals. Names sort by byte (COLLATE "C"), so that keyset pages mean the same on every server.
CREATE TABLE environments (
    uid                   uuid             NOT NULL,
    name                  text COLLATE "C" NOT NULL,
    account               text             NOT NULL,
    labels                jsonb            NOT NULL,
    annotations           jsonb            NOT NULL,
    finalizers            jsonb            NOT NULL,
    generation            bigint           NOT NULL,
    revision              bigint           NOT NULL,
    resource_version      bigint           NOT NULL,
    spec                  jsonb            NOT NULL,
    status                jsonb            NOT NULL,
    pause                 jsonb,
    created_at            timestamptz      NOT NULL,
    deletion_requested_at timestamptz,
    CONSTRAINT environments_pkey PRIMARY KEY (uid),
    CONSTRAINT environments_name_key UNIQUE (name),
    CONSTRAINT environments_resource_version_key UNIQUE (resource_version),
    CONSTRAINT environments_generation_positive CHECK (generation >= 1)
) WITH (fillfactor = 80);
CREATE INDEX environments_account_idx ON environments (account);

-- Kept after the environment is gone: numbering goes on where it stopped if the name is used again.
CREATE TABLE revisions (
    environment      text COLLATE "C" NOT NULL,
    revision         bigint           NOT NULL,
    environment_uid  uuid             NOT NULL,
    generation       bigint           NOT NULL,
    resource_version bigint           NOT NULL,
    author           text             NOT NULL,
    message          text             NOT NULL,
    change           text,
    spec             jsonb            NOT NULL,
    diff             jsonb            NOT NULL,
    created_at       timestamptz      NOT NULL,
    CONSTRAINT revisions_pkey PRIMARY KEY (environment, revision),
    CONSTRAINT revisions_generation_key UNIQUE (environment_uid, generation)
);

-- One AWS object, one environment. `declared` is false while an object left the spec but is still held, so that nobody
-- else takes it before it was let go or deleted.
CREATE TABLE claims (
    account         text    NOT NULL,
    region          text    NOT NULL,
    kind            text    NOT NULL,
    identity        text    NOT NULL,
    environment_uid uuid    NOT NULL,
    declared        boolean NOT NULL,
    CONSTRAINT claims_pkey PRIMARY KEY (account, region, kind, identity),
    CONSTRAINT claims_environment_fkey FOREIGN KEY (environment_uid) REFERENCES environments (uid) ON DELETE CASCADE
);
CREATE INDEX claims_environment_idx ON claims (environment_uid);

CREATE TABLE changes (
    uid              uuid             NOT NULL,
    name             text COLLATE "C" NOT NULL,
    environment      text COLLATE "C" NOT NULL,
    environment_uid  uuid,
    resource_version bigint           NOT NULL,
    phase            text             NOT NULL,
    author           text             NOT NULL,
    message          text             NOT NULL,
    patch            jsonb            NOT NULL,
    plan             jsonb            NOT NULL,
    plan_hash        text,
    approvals        jsonb            NOT NULL,
    outcome          jsonb            NOT NULL,
    revision         bigint,
    created_at       timestamptz      NOT NULL,
    expires_at       timestamptz,
    finished_at      timestamptz,
    CONSTRAINT changes_pkey PRIMARY KEY (uid),
    CONSTRAINT changes_name_key UNIQUE (name),
    CONSTRAINT changes_resource_version_key UNIQUE (resource_version)
);
CREATE INDEX changes_environment_idx ON changes (environment, name);
CREATE INDEX changes_open_idx ON changes (environment_uid) WHERE finished_at IS NULL;

CREATE TABLE approvals (
    id              bigint      GENERATED ALWAYS AS IDENTITY,
    environment_uid uuid        NOT NULL,
    plan_hash       text        NOT NULL,
    steps           jsonb       NOT NULL, -- fingerprints of the gated steps that are let through
    approver        text        NOT NULL,
    approved_at     timestamptz NOT NULL,
    expires_at      timestamptz NOT NULL,
    consumed_at     timestamptz,
    CONSTRAINT approvals_pkey PRIMARY KEY (id),
    CONSTRAINT approvals_environment_fkey FOREIGN KEY (environment_uid) REFERENCES environments (uid) ON DELETE CASCADE
);
-- One open approval per approver and plan: approving twice prolongs it.
CREATE UNIQUE INDEX approvals_open_key ON approvals (environment_uid, plan_hash, approver) WHERE consumed_at IS NULL;

-- The whole installation: the red button and the blast-radius cap. NULL caps mean the daemon's default.
CREATE TABLE operators (
    name               text             NOT NULL,
    uid                uuid             NOT NULL DEFAULT gen_random_uuid(),
    generation         bigint           NOT NULL,
    resource_version   bigint           NOT NULL,
    mode               text             NOT NULL,
    blast_radius_count bigint,
    blast_radius_share double precision,
    status             jsonb            NOT NULL,
    created_at         timestamptz      NOT NULL DEFAULT clock_timestamp(),
    CONSTRAINT operators_pkey PRIMARY KEY (name),
    CONSTRAINT operators_is_default CHECK (name = 'default'),
    CONSTRAINT operators_mode_known CHECK (mode IN ('Enforce', 'Observe')),
    CONSTRAINT operators_count_sane CHECK (blast_radius_count >= 0),
    CONSTRAINT operators_share_sane CHECK (blast_radius_share >= 0 AND blast_radius_share <= 1)
);
INSERT INTO operators (name, generation, resource_version, mode, status) VALUES ('default', 1, 1, 'Enforce', '{}');
