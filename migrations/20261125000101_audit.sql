-- The audit trail. What is to be told is written into audit_pending in the transaction of the write itself; one writer
-- behind moves it, in that order, into audit_log, where each entry's hash covers its content and the hash before it.
CREATE TABLE audit_pending (
    id          bigint      GENERATED ALWAYS AS IDENTITY,
    uid         uuid        NOT NULL DEFAULT gen_random_uuid(),
    occurred_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    entry       text        NOT NULL,
    CONSTRAINT audit_pending_pkey PRIMARY KEY (id)
);

CREATE TABLE audit_log (
    sequence         bigint           NOT NULL,
    resource_version bigint           NOT NULL,
    pending_id       bigint           NOT NULL,
    uid              uuid             NOT NULL,
    occurred_at      timestamptz      NOT NULL,
    actor            text             NOT NULL,
    verb             text             NOT NULL,
    kind             text             NOT NULL,
    name             text             NOT NULL,
    environment      text COLLATE "C" NOT NULL,
    environment_uid  uuid,
    generation       bigint,
    acts_since       timestamptz,
    outcome          text             NOT NULL,
    content          text             NOT NULL, -- canonical JSON, exactly as it was hashed
    previous         bytea            NOT NULL,
    hash             bytea            NOT NULL, -- SHA-256 of previous and content
    CONSTRAINT audit_log_pkey PRIMARY KEY (sequence),
    CONSTRAINT audit_log_pending_key UNIQUE (pending_id), -- nothing is told twice
    CONSTRAINT audit_log_sequence_positive CHECK (sequence >= 1),
    CONSTRAINT audit_log_hashes_whole CHECK (octet_length(previous) = 32 AND octet_length(hash) = 32)
);
CREATE INDEX audit_log_environment_idx ON audit_log (environment, sequence);
CREATE INDEX audit_log_actor_idx ON audit_log (actor, sequence);

-- Where old entries were cut off: the chain goes on from this hash. The only way by which entries may go.
CREATE TABLE audit_checkpoints (
    through   bigint      NOT NULL,
    hash      bytea       NOT NULL,
    pruned_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    CONSTRAINT audit_checkpoints_pkey PRIMARY KEY (through),
    CONSTRAINT audit_checkpoints_hash_whole CHECK (octet_length(hash) = 32)
);

CREATE FUNCTION audit_refuse() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'the audit trail is append-only: % on % is refused', TG_OP, TG_TABLE_NAME
        USING ERRCODE = 'integrity_constraint_violation', CONSTRAINT = 'audit_append_only';
END $$;

-- An entry goes only behind a checkpoint.
CREATE FUNCTION audit_refuse_unless_cut_off() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (SELECT 1 FROM audit_checkpoints WHERE through >= OLD.sequence) THEN
        RETURN OLD;
    END IF;
    RAISE EXCEPTION 'the audit trail is append-only: entry % is not behind a checkpoint', OLD.sequence
        USING ERRCODE = 'integrity_constraint_violation', CONSTRAINT = 'audit_append_only';
END $$;

-- What waits goes only once it stands in the chain.
CREATE FUNCTION audit_refuse_unless_chained() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (SELECT 1 FROM audit_log WHERE pending_id = OLD.id) THEN
        RETURN OLD;
    END IF;
    RAISE EXCEPTION 'the audit trail is append-only: pending entry % is not in the chain yet', OLD.id
        USING ERRCODE = 'integrity_constraint_violation', CONSTRAINT = 'audit_append_only';
END $$;

CREATE TRIGGER audit_log_update BEFORE UPDATE ON audit_log FOR EACH ROW EXECUTE FUNCTION audit_refuse();
CREATE TRIGGER audit_log_delete BEFORE DELETE ON audit_log FOR EACH ROW EXECUTE FUNCTION audit_refuse_unless_cut_off();
CREATE TRIGGER audit_log_truncate BEFORE TRUNCATE ON audit_log FOR EACH STATEMENT EXECUTE FUNCTION audit_refuse();
CREATE TRIGGER audit_pending_update BEFORE UPDATE ON audit_pending FOR EACH ROW EXECUTE FUNCTION audit_refuse();
CREATE TRIGGER audit_pending_delete BEFORE DELETE ON audit_pending FOR EACH ROW EXECUTE FUNCTION audit_refuse_unless_chained();
CREATE TRIGGER audit_pending_truncate BEFORE TRUNCATE ON audit_pending FOR EACH STATEMENT EXECUTE FUNCTION audit_refuse();
CREATE TRIGGER audit_checkpoints_change BEFORE UPDATE OR DELETE ON audit_checkpoints FOR EACH ROW EXECUTE FUNCTION audit_refuse();
CREATE TRIGGER audit_checkpoints_truncate BEFORE TRUNCATE ON audit_checkpoints FOR EACH STATEMENT EXECUTE FUNCTION audit_refuse();
