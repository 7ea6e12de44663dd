-- The one counter that serialises commits (docs/adr/2026-11-22-resource-version-counter.md) and the append-only log
-- that watches read. `pruned_through` is the newest resourceVersion that the log no longer holds.
CREATE TABLE counter (
    only_row         boolean NOT NULL DEFAULT true,
    resource_version bigint  NOT NULL,
    pruned_through   bigint  NOT NULL,
    CONSTRAINT counter_pkey PRIMARY KEY (only_row),
    CONSTRAINT counter_has_one_row CHECK (only_row),
    CONSTRAINT counter_pruned_behind CHECK (pruned_through <= resource_version)
) WITH (fillfactor = 50); -- updated by every commit: leave room for updates within the page

-- 0 means "any" and 1 "before everything" to Kubernetes clients, so the first object is given 2.
INSERT INTO counter (resource_version, pruned_through) VALUES (1, 0);

CREATE TABLE object_log (
    resource_version bigint      NOT NULL,
    kind             text        NOT NULL,
    name             text        NOT NULL,
    event            text        NOT NULL,
    object           jsonb       NOT NULL,
    logged_at        timestamptz NOT NULL DEFAULT clock_timestamp(),
    CONSTRAINT object_log_pkey PRIMARY KEY (resource_version),
    CONSTRAINT object_log_event_known CHECK (event IN ('ADDED', 'MODIFIED', 'DELETED'))
);
CREATE INDEX object_log_kind_idx ON object_log (kind, resource_version);

-- What the oldest program that may still run on this schema must know. A contracting migration raises it; expanding
-- ones leave it alone (migrations/README.md).
CREATE TABLE schema_info (
    only_row      boolean NOT NULL DEFAULT true,
    oldest_reader bigint  NOT NULL,
    CONSTRAINT schema_info_pkey PRIMARY KEY (only_row),
    CONSTRAINT schema_info_has_one_row CHECK (only_row)
);
INSERT INTO schema_info (oldest_reader) VALUES (0);
