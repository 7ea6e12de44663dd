DELETE FROM audit_log WHERE sequence <= $1 RETURNING *;

DELETE FROM audit_pending WHERE id = ANY ($1);

DELETE FROM changes WHERE name = $1 AND withdrawn_at IS NULL RETURNING *;

DELETE FROM claims WHERE environment_uid = $1 AND NOT declared
  AND NOT EXISTS (SELECT 1 FROM managed_resources held
  WHERE (held.environment_uid, held.account, held.region, held.kind, held.identity)
  = (claims.environment_uid, claims.account, claims.region, claims.kind, claims.identity));

DELETE FROM environments WHERE uid = $1;

DELETE FROM events WHERE uid IN (
  SELECT uid FROM events WHERE last_seen < $1 ORDER BY last_seen LIMIT $2
  ) RETURNING *;

DELETE FROM journal WHERE id IN (
  SELECT id FROM journal WHERE begun_at < $1 AND outcome IN ('Applied', 'NotApplied')
  ORDER BY begun_at LIMIT $2
  );

DELETE FROM managed_resources m
  USING unnest($2::text[], $3::text[], $4::text[], $5::text[]) AS w (account, region, kind, identity)
  WHERE m.environment_uid = $1
  AND (m.account, m.region, m.kind, m.identity) = (w.account, w.region, w.kind, w.identity)
  RETURNING m.*, NULL::timestamptz AS observed_at;

DELETE FROM requests WHERE deadline < clock_timestamp() - make_interval(secs => $1);

INSERT INTO approvals (environment_uid, plan_hash, approver, approved_at, expires_at, steps, apply)
  VALUES ($1, $2, $3, $4, $5, $6, $7)
  ON CONFLICT (environment_uid, plan_hash, approver) WHERE consumed_at IS NULL
  DO UPDATE SET approved_at = excluded.approved_at, expires_at = excluded.expires_at,
  steps = excluded.steps, apply = excluded.apply
  RETURNING *;

INSERT INTO audit_log (sequence, resource_version, pending_id, uid, occurred_at, actor, verb, kind, name,
  environment, environment_uid, generation, acts_since, outcome, content, previous,
  hash)
  SELECT * FROM unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::uuid[], $5::timestamptz[], $6::text[],
  $7::text[], $8::text[], $9::text[], $10::text[], $11::uuid[], $12::bigint[],
  $13::timestamptz[], $14::text[], $15::text[], $16::bytea[], $17::bytea[]);

INSERT INTO audit_pending (entry) VALUES ($1);

INSERT INTO changes (uid, name, environment, environment_uid, resource_version, phase, author, message, patch,
  plan, plan_hash, approvals, outcome, revision, created_at, expires_at, finished_at,
  origin, apply, requires, base_revision, generation, field_manager, applied_at)
  VALUES (gen_random_uuid(), $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, '[]', $11, $12, $13, $14, $15,
  $16, $17, $18, $19, $20, $21, $22)
  ON CONFLICT ON CONSTRAINT changes_name_key DO NOTHING
  RETURNING *;

INSERT INTO environments (uid, name, account, labels, annotations, finalizers, generation, revision,
  resource_version, spec, status, created_at, managed_fields)
  SELECT $1, $2, $3, $4, $5, $6, 1, coalesce(max(revision), 0) + 1, $7, $8, $9, $10, $11
  FROM revisions WHERE environment = $2
  HAVING NOT EXISTS (SELECT 1 FROM environments WHERE name = $2)
  RETURNING *;

INSERT INTO managed_resources AS m (name, environment_uid, environment, account, region, kind, identity,
  resource_version, desired, observed, diff, conditions, report, memory, created_at, changed_at)
  SELECT w.name, e.uid, e.name, w.account, w.region, w.kind, w.identity,
  coalesce(w.version, old.resource_version), w.desired, w.observed, w.diff, w.conditions, w.report,
  coalesce(w.memory, old.memory, 'null'), $14,
  CASE WHEN w.version IS NULL THEN old.changed_at ELSE $14 END
  FROM unnest($2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::bigint[],
  $8::jsonb[], $9::jsonb[], $10::jsonb[], $11::jsonb[], $12::jsonb[], $13::jsonb[])
  AS w (name, account, region, kind, identity, version,
  desired, observed, diff, conditions, report, memory)
  JOIN environments e ON e.uid = $1
  LEFT JOIN managed_resources old ON old.environment_uid = $1
  AND (old.account, old.region, old.kind, old.identity) = (w.account, w.region, w.kind, w.identity)
  ON CONFLICT ON CONSTRAINT managed_resources_identity_key DO UPDATE SET
  resource_version = excluded.resource_version, desired = excluded.desired, observed = excluded.observed,
  diff = excluded.diff, conditions = excluded.conditions, report = excluded.report,
  memory = excluded.memory, changed_at = excluded.changed_at
  RETURNING m.*, NULL::timestamptz AS observed_at;

SELECT;

SELECT * FROM approvals
  WHERE environment_uid = $1 AND consumed_at IS NULL AND expires_at > $2 ORDER BY id;

SELECT * FROM audit_log WHERE sequence = $1;

SELECT * FROM audit_log WHERE sequence > $1 ORDER BY sequence LIMIT $2;

SELECT * FROM changes WHERE environment = (SELECT name FROM environments WHERE uid = $1)
  AND environment_uid = $1 AND plan_hash = $2 AND finished_at IS NOT NULL
  ORDER BY finished_at DESC LIMIT 1;

SELECT * FROM changes WHERE environment_uid = $1 AND finished_at IS NULL ORDER BY created_at, name;

SELECT * FROM changes WHERE name = $1 AND withdrawn_at IS NULL;

SELECT * FROM changes WHERE name = $1 AND withdrawn_at IS NULL FOR UPDATE;

SELECT * FROM environments WHERE name = $1;

SELECT * FROM environments WHERE name = $1 OR uid = $2 FOR UPDATE;

SELECT * FROM environments WHERE uid = $1;

SELECT * FROM events
  WHERE ($1::text IS NULL OR environment = $1)
  AND ($2::text IS NULL OR regarding_kind = $2) AND ($3::text IS NULL OR regarding_identity = $3)
  AND ($4::text IS NULL OR type = $4) AND ($5::text IS NULL OR reason = $5)
  AND ($6::text IS NULL OR name = $6)
  ORDER BY last_seen DESC, resource_version DESC LIMIT $7;

SELECT * FROM journal
  WHERE ($1::text IS NULL OR environment = $1) AND ($2::text IS NULL OR kind = $2)
  AND ($3::text IS NULL OR identity = $3) AND ($4::bigint IS NULL OR id < $4)
  ORDER BY id DESC LIMIT $5;

SELECT * FROM journal
  WHERE environment_uid = $1 AND (outcome IS NULL OR outcome = 'Unknown') ORDER BY id;

SELECT * FROM journal
  WHERE environment_uid = $1 AND account = $2 AND region = $3 AND kind = $4 AND identity = $5
  AND outcome IS DISTINCT FROM 'NotApplied'
  ORDER BY id DESC LIMIT $6;

SELECT * FROM journal WHERE environment_uid = $1 ORDER BY id DESC LIMIT $2;

SELECT * FROM object_log WHERE kind = $1 AND name = $2 AND resource_version < $3
  ORDER BY resource_version DESC LIMIT 1;

SELECT * FROM operators;

SELECT * FROM revisions WHERE environment = $1 AND revision = $2;

SELECT * FROM sweeps WHERE cardinality($1::text[]) = 0 OR account = ANY ($1)
  ORDER BY account, region, kind;

SELECT *, coalesce(spec <> $2, false) AS spec_differs,
  coalesce(labels <> $3, false) OR coalesce(annotations <> $4, false)
  OR coalesce(finalizers <> $5, false)
  OR ($6::jsonb IS NOT NULL AND managed_fields IS DISTINCT FROM $6) AS metadata_differs
  FROM environments WHERE name = $1 FOR UPDATE;

SELECT 1;

SELECT 1 FROM leases WHERE shard = $1 AND epoch = $2 AND expires_at > clock_timestamp() FOR SHARE;

SELECT EXISTS (SELECT 1 FROM environments WHERE account = $1);

SELECT EXISTS (SELECT 1 FROM leases WHERE shard = $1 AND epoch = $2 AND expires_at > clock_timestamp());

SELECT account FROM environments WHERE name = $1;

SELECT account, region, kind, identity FROM claims WHERE environment_uid = $1
  ORDER BY account, region, kind, identity;

SELECT answer FROM requests WHERE id = $1;

SELECT c.account, c.region, c.kind, c.identity, e.name AS holder
  FROM unnest($1::text[], $2::text[], $3::text[], $4::text[]) AS wanted (account, region, kind, identity)
  JOIN claims c USING (account, region, kind, identity)
  JOIN environments e ON e.uid = c.environment_uid
  WHERE c.environment_uid IS DISTINCT FROM $5
  ORDER BY c.account, c.region, c.kind, c.identity;

SELECT c.pruned_through, l.*
  FROM counter c LEFT JOIN LATERAL (
  SELECT * FROM object_log
  WHERE resource_version > $1 AND (cardinality($2::text[]) = 0 OR kind = ANY ($2))
  ORDER BY resource_version LIMIT $3
  ) l ON true
  ORDER BY l.resource_version;

SELECT c.resource_version AS store_version, a.*
  FROM counter c LEFT JOIN LATERAL (
  SELECT * FROM audit_log
  WHERE sequence > $1 AND ($2::text IS NULL OR environment = $2)
  AND ($3::text IS NULL OR actor = $3) AND ($4::text IS NULL OR verb = $4)
  AND ($5::text IS NULL OR kind = $5) AND ($6::text IS NULL OR outcome = $6)
  ORDER BY sequence LIMIT $7
  ) a ON true
  ORDER BY a.sequence;

SELECT c.resource_version AS store_version, e.*
  FROM counter c LEFT JOIN LATERAL (
  SELECT * FROM environments
  WHERE name > $1
  AND ($2::text IS NULL OR name = $2)
  AND (cardinality($3::text[]) = 0 OR account = ANY ($3))
  AND NOT EXISTS (
  SELECT 1 FROM jsonb_to_recordset($4) AS wanted (op text, key text, values jsonb)
  WHERE NOT CASE wanted.op
  WHEN 'In' THEN coalesce(wanted.values ? (labels ->> wanted.key), false)
  WHEN 'NotIn' THEN NOT coalesce(wanted.values ? (labels ->> wanted.key), false)
  WHEN 'Exists' THEN labels ? wanted.key
  ELSE NOT labels ? wanted.key
  END)
  ORDER BY name LIMIT $5
  ) e ON true
  ORDER BY e.name;

SELECT c.resource_version AS store_version, e.*
  FROM counter c LEFT JOIN LATERAL (
  SELECT * FROM events
  WHERE name > $1 AND ($2::text IS NULL OR environment = $2)
  AND ($3::text IS NULL OR regarding_kind = $3) AND ($4::text IS NULL OR regarding_identity = $4)
  AND ($5::text IS NULL OR type = $5) AND ($6::text IS NULL OR reason = $6)
  AND ($7::text IS NULL OR name = $7)
  ORDER BY name LIMIT $8
  ) e ON true
  ORDER BY e.name;

SELECT c.resource_version AS store_version, h.*
  FROM counter c LEFT JOIN LATERAL (
  SELECT * FROM changes
  WHERE withdrawn_at IS NULL AND name > $1 AND ($2::text IS NULL OR environment = $2)
  AND (cardinality($3::text[]) = 0 OR phase = ANY ($3))
  AND (NOT $4 OR finished_at IS NULL)
  ORDER BY name LIMIT $5
  ) h ON true
  ORDER BY h.name;

SELECT c.resource_version AS store_version, r.*
  FROM counter c LEFT JOIN LATERAL (
  SELECT m.*, s.observed_at
  FROM managed_resources m LEFT JOIN sweeps s USING (account, region, kind)
  WHERE m.name > $1
  AND ($2::text IS NULL OR m.environment = $2) AND ($3::uuid IS NULL OR m.environment_uid = $3)
  AND ($4::text IS NULL OR m.account = $4) AND ($5::text IS NULL OR m.kind = $5)
  AND ($6::text IS NULL OR m.identity = $6) AND ($7::text IS NULL OR m.name = $7)
  ORDER BY m.name LIMIT $8
  ) r ON true
  ORDER BY r.name;

SELECT c.resource_version AS store_version, r.*, r.environment AS name
  FROM counter c LEFT JOIN LATERAL (
  SELECT * FROM revisions
  WHERE ($1::text IS NULL OR environment = $1) AND (environment, revision) > ($2, $3)
  ORDER BY environment, revision LIMIT $4
  ) r ON true
  ORDER BY r.environment, r.revision;

SELECT coalesce((SELECT max(sequence) FROM audit_log), 0) AS sequence, count(*) AS pending,
  coalesce(floor(extract(epoch FROM clock_timestamp() - min(occurred_at)) * 1000), 0)::bigint
  AS oldest_ms
  FROM audit_pending;

SELECT count(*) FROM environments;

SELECT count(*) FROM journal
  WHERE environment_uid = $1 AND account = $2 AND region = $3 AND kind = $4 AND identity = $5
  AND begun_at >= $6 AND outcome IS DISTINCT FROM 'NotApplied';

SELECT environment_uid, max(begun_at) AS begun_at FROM journal
  WHERE begun_at >= $1 AND outcome IS DISTINCT FROM 'NotApplied'
  GROUP BY environment_uid ORDER BY max(begun_at), environment_uid;

SELECT generation, status <> $2 AS differs FROM environments WHERE uid = $1;

SELECT id, kind, shard, environment, body,
  floor(extract(epoch FROM deadline - clock_timestamp()) * 1000)::bigint AS remaining_ms
  FROM requests
  WHERE shard = ANY ($1) AND answered_at IS NULL AND deadline > clock_timestamp()
  ORDER BY created_at, id;

SELECT id, uid, occurred_at, entry FROM audit_pending ORDER BY id LIMIT $1;

SELECT name, account, generation FROM environments WHERE uid = $1;

SELECT oldest_reader FROM schema_info;

SELECT place, missing, public FROM (
  SELECT w.place, m.uid IS NULL AS missing,
  (m.desired, m.observed, m.diff, m.conditions, m.report)
  IS DISTINCT FROM (w.desired, w.observed, w.diff, w.conditions, w.report) AS public,
  coalesce(m.memory <> w.memory, false) AS private
  FROM unnest($2::text[], $3::text[], $4::text[], $5::text[],
  $6::jsonb[], $7::jsonb[], $8::jsonb[], $9::jsonb[], $10::jsonb[], $11::jsonb[])
  WITH ORDINALITY AS w (account, region, kind, identity,
  desired, observed, diff, conditions, report, memory, place)
  LEFT JOIN managed_resources m ON m.environment_uid = $1
  AND (m.account, m.region, m.kind, m.identity) = (w.account, w.region, w.kind, w.identity)
  ) compared
  WHERE missing OR public OR private ORDER BY place;

SELECT resource_version FROM changes WHERE name = $1 AND withdrawn_at IS NULL;

SELECT resource_version FROM counter;

SELECT resource_version FROM counter FOR UPDATE;

SELECT sequence, hash FROM audit_log ORDER BY sequence DESC LIMIT 1;

SELECT set_config('statement_timeout', '0', false), set_config('lock_timeout', $1, false),                     set_config('idle_in_transaction_session_timeout', '0', false);

SELECT shard, holder, epoch,
  greatest(0, floor(extract(epoch FROM expires_at - clock_timestamp()) * 1000))::bigint AS remaining_ms,
  greatest(0, floor(extract(epoch FROM clock_timestamp() - acquired_at) * 1000))::bigint AS held_ms
  FROM leases ORDER BY shard;

SELECT shard, holder, epoch,
  greatest(0, floor(extract(epoch FROM expires_at - clock_timestamp()) * 1000))::bigint AS remaining_ms,
  greatest(0, floor(extract(epoch FROM clock_timestamp() - acquired_at) * 1000))::bigint AS held_ms
  FROM leases WHERE shard = ANY ($1);

SELECT through, hash FROM audit_checkpoints ORDER BY through;

SELECT to_regclass('_sqlx_migrations') IS NOT NULL;

SELECT uid FROM changes WHERE environment_uid = $1 AND finished_at IS NULL ORDER BY name;

SELECT uid, name, generation, spec FROM environments WHERE account = $1 ORDER BY name;

SELECT version, checksum, success FROM _sqlx_migrations;

SELECT w.sequence AS for_sequence, j.*
  FROM unnest($1::bigint[], $2::uuid[], $3::bigint[], $4::timestamptz[])
  AS w (sequence, environment_uid, generation, since)
  CROSS JOIN LATERAL (
  SELECT * FROM journal
  WHERE environment_uid = w.environment_uid AND generation = w.generation
  AND (w.since IS NULL OR begun_at >= w.since)
  ORDER BY id LIMIT $5
  ) j
  ORDER BY w.sequence, j.id;

UPDATE approvals SET consumed_at = $3
  WHERE environment_uid = $1 AND plan_hash = $2 AND consumed_at IS NULL;

UPDATE approvals SET consumed_at = $3
  WHERE environment_uid = $1 AND plan_hash = $2 AND consumed_at IS NULL AND expires_at > $3;

UPDATE changes SET resource_version = $2, phase = $3, outcome = $4, waiting = 'null',
  finished_at = clock_timestamp()
  WHERE uid = $1 RETURNING *;

UPDATE changes SET resource_version = $2, phase = coalesce($3, phase), plan = coalesce($4, plan),
  plan_hash = coalesce($5, plan_hash), approvals = coalesce($6, approvals),
  outcome = coalesce($7, outcome), revision = coalesce($8, revision),
  expires_at = coalesce($9, expires_at), finished_at = coalesce($10, finished_at),
  requires = coalesce($11, requires), waiting = coalesce($12, waiting),
  base_revision = coalesce($13, base_revision), generation = coalesce($14, generation),
  applied_at = coalesce($15, applied_at)
  WHERE uid = $1
  AND (phase, plan, plan_hash, approvals, outcome, revision, expires_at, finished_at, requires, waiting,
  base_revision, generation, applied_at) IS DISTINCT FROM
  (coalesce($3, phase), coalesce($4, plan), coalesce($5, plan_hash), coalesce($6, approvals),
  coalesce($7, outcome), coalesce($8, revision), coalesce($9, expires_at), coalesce($10, finished_at),
  coalesce($11, requires), coalesce($12, waiting), coalesce($13, base_revision),
  coalesce($14, generation), coalesce($15, applied_at))
  RETURNING *;

UPDATE changes SET withdrawn_at = $2, resource_version = $3 WHERE uid = $1;

UPDATE environments
  SET deletion_requested_at = $2, status = coalesce($3, status), resource_version = $4
  WHERE uid = $1 RETURNING *;

UPDATE environments
  SET resource_version = $2, spec = coalesce($3, spec), status = coalesce($4, status),
  labels = coalesce($5, labels), annotations = coalesce($6, annotations),
  finalizers = coalesce($7, finalizers), managed_fields = coalesce($9, managed_fields),
  generation = generation + $8,
  revision = CASE WHEN $8 = 0 THEN revision ELSE
  (SELECT max(revision) + 1 FROM revisions WHERE environment = name) END
  WHERE uid = $1 RETURNING *;

UPDATE environments SET finalizers = $2, resource_version = $3 WHERE uid = $1 RETURNING *;

UPDATE environments SET pause = $2, resource_version = $3 WHERE uid = $1 RETURNING *;

UPDATE environments SET status = $2, resource_version = $3 WHERE uid = $1 RETURNING *;

UPDATE leases SET renewed_at = clock_timestamp(),
  expires_at = clock_timestamp() + make_interval(secs => $4)
  WHERE shard = $1 AND epoch = $2 AND holder = $3 AND expires_at > clock_timestamp();

UPDATE operators SET resource_version = $1, generation = generation + $2, mode = $3,
  blast_radius_count = $4, blast_radius_share = $5, status = coalesce($6, status)
  WHERE $2 = 1 OR coalesce(status <> $6, false)
  RETURNING *;

WITH answered AS (
  UPDATE requests SET answered_at = clock_timestamp(), answer = $2
  WHERE id = $1 AND answered_at IS NULL RETURNING id
  ), notified AS (
  SELECT pg_notify($3, jsonb_build_object('id', id)::text) FROM answered
  )
  SELECT EXISTS (SELECT 1 FROM requests WHERE id = $1) AS found,
  (SELECT count(*) FROM notified) > 0 AS written;

WITH asked AS (
  INSERT INTO requests (id, kind, shard, environment, body, created_at, deadline)
  SELECT gen_random_uuid(), $1, $2, $3, $4, t, t + make_interval(secs => $5)
  FROM clock_timestamp() AS t
  RETURNING id
  ), audited AS (
  INSERT INTO audit_pending (entry)
  SELECT coalesce((SELECT $8::jsonb || jsonb_build_object('environmentUid', uid,
  'generation', generation)
  FROM environments WHERE name = $3), $8::jsonb)::text
  WHERE $8::jsonb IS NOT NULL
  ), notified AS (
  SELECT pg_notify($6, ($7::jsonb || jsonb_build_object('id', id))::text) FROM asked
  )
  SELECT id FROM asked, notified;

WITH before AS (SELECT epoch FROM leases WHERE shard = $1),
  taken AS (
  INSERT INTO leases AS l (shard, holder, epoch, acquired_at, renewed_at, expires_at)
  SELECT $1, $2, 1, t, t, t + make_interval(secs => $3) FROM clock_timestamp() AS t
  ON CONFLICT ON CONSTRAINT leases_pkey DO UPDATE SET
  holder = excluded.holder,
  epoch = CASE WHEN l.holder = excluded.holder AND l.expires_at > clock_timestamp()
  THEN l.epoch ELSE l.epoch + 1 END,
  acquired_at = CASE WHEN l.holder = excluded.holder AND l.expires_at > clock_timestamp()
  THEN l.acquired_at ELSE excluded.acquired_at END,
  renewed_at = excluded.renewed_at,
  expires_at = clock_timestamp() + make_interval(secs => $3)
  WHERE l.holder = excluded.holder OR l.expires_at <= clock_timestamp()
  RETURNING l.epoch
  )
  SELECT taken.epoch, CASE WHEN taken.epoch IS DISTINCT FROM before.epoch THEN pg_notify($4, $5) END
  FROM taken LEFT JOIN before ON true;

WITH counted AS (UPDATE counter SET resource_version = $1 WHERE resource_version < $1),
  entries AS (SELECT * FROM unnest($2::bigint[], $3::text[], $4::text[], $5::text[], $6::jsonb[])
  AS entry (resource_version, kind, name, event, object)),
  logged AS (INSERT INTO object_log (resource_version, kind, name, event, object)
  SELECT * FROM entries),
  revised AS (INSERT INTO revisions (environment, revision, environment_uid, generation,
  resource_version, author, message, change, spec, diff, created_at)
  SELECT object ->> 'environment', (object ->> 'revision')::bigint,
  (object ->> 'environment_uid')::uuid, (object ->> 'generation')::bigint,
  resource_version, object ->> 'author', object ->> 'message', object ->> 'change',
  object -> 'spec', object -> 'diff', (object ->> 'created_at')::timestamptz
  FROM entries WHERE kind = $10),
  audited AS (INSERT INTO audit_pending (entry) SELECT * FROM unnest($9::text[]))
  SELECT pg_notify(channel, payload) FROM unnest($7::text[], $8::text[]) AS woken (channel, payload);

WITH fence AS (
  SELECT 1 FROM leases WHERE shard = $5 AND epoch = $6 AND expires_at > clock_timestamp() FOR SHARE
  )
  INSERT INTO sweeps (account, region, kind, observed_at)
  SELECT swept.* FROM fence, unnest($1::text[], $2::text[], $3::text[], $4::timestamptz[]) AS swept
  ON CONFLICT ON CONSTRAINT sweeps_pkey DO UPDATE SET observed_at = excluded.observed_at;

WITH fence AS (
  SELECT epoch FROM leases
  WHERE shard = $1 AND epoch = $2 AND expires_at > clock_timestamp() FOR SHARE
  )
  INSERT INTO journal (environment_uid, environment, account, region, kind, identity, step, body, risk,
  generation, epoch, token, begun_at)
  SELECT $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, epoch, $13, $14 FROM fence
  RETURNING id;

WITH gone AS (DELETE FROM managed_resources WHERE environment_uid = $1 RETURNING *)
  SELECT gone.*, NULL::timestamptz AS observed_at FROM gone ORDER BY name;

WITH horizon AS (
  SELECT max(resource_version) AS version
  FROM (SELECT resource_version, logged_at FROM object_log ORDER BY resource_version LIMIT $2) oldest
  WHERE logged_at < clock_timestamp() - make_interval(secs => $1)
  ), removed AS (
  DELETE FROM object_log USING horizon WHERE resource_version <= horizon.version RETURNING 1
  ), remembered AS (
  UPDATE counter SET pruned_through = horizon.version FROM horizon WHERE horizon.version > pruned_through
  )
  SELECT count(*) FROM removed;

WITH oldest AS (
  SELECT sequence, occurred_at FROM audit_log
  WHERE sequence < (SELECT max(sequence) FROM audit_log) ORDER BY sequence LIMIT $2
  )
  INSERT INTO audit_checkpoints (through, hash)
  SELECT sequence, hash FROM audit_log
  WHERE sequence = (SELECT max(sequence) FROM oldest
  WHERE occurred_at < clock_timestamp() - make_interval(secs => $1))
  RETURNING through, hash;

WITH released AS (
  UPDATE leases SET expires_at = clock_timestamp()
  WHERE shard = $1 AND epoch = $2 AND holder = $3 AND expires_at > clock_timestamp()
  RETURNING shard
  )
  SELECT pg_notify($4, $5) FROM released;

WITH settled AS (
  UPDATE journal SET
  outcome = CASE WHEN outcome IS NULL OR outcome = 'Unknown' THEN $2 ELSE outcome END,
  resolved_at = CASE WHEN outcome IS NULL OR outcome = 'Unknown' THEN $6 ELSE resolved_at END,
  request_id = coalesce(request_id, $3), error_class = coalesce(error_class, $4),
  effective = coalesce($5, effective)
  WHERE id = $1
  AND (outcome IS NULL OR (outcome = 'Unknown' AND $2 <> 'Unknown')
  OR $5 IS DISTINCT FROM effective AND $5 IS NOT NULL)
  RETURNING 1
  )
  SELECT EXISTS (SELECT 1 FROM journal WHERE id = $1) AS found, EXISTS (SELECT 1 FROM settled) AS written;

WITH wanted AS (
  SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::text[]) AS w (account, region, kind, identity)
  ), leaving AS (
  SELECT c.*, EXISTS (
  SELECT 1 FROM managed_resources held
  WHERE (held.environment_uid, held.account, held.region, held.kind, held.identity)
  = (c.environment_uid, c.account, c.region, c.kind, c.identity)) AS held
  FROM claims c
  WHERE c.environment_uid = $5 AND NOT EXISTS (
  SELECT 1 FROM wanted w
  WHERE (w.account, w.region, w.kind, w.identity) = (c.account, c.region, c.kind, c.identity))
  ), released AS (
  DELETE FROM claims c USING leaving l
  WHERE NOT l.held
  AND (l.account, l.region, l.kind, l.identity) = (c.account, c.region, c.kind, c.identity)
  ), undeclared AS (
  UPDATE claims c SET declared = false FROM leaving l
  WHERE l.held AND c.declared
  AND (l.account, l.region, l.kind, l.identity) = (c.account, c.region, c.kind, c.identity)
  ), declared AS (
  INSERT INTO claims (account, region, kind, identity, environment_uid, declared)
  SELECT account, region, kind, identity, $5, true FROM wanted
  ON CONFLICT ON CONSTRAINT claims_pkey DO UPDATE SET declared = true WHERE NOT claims.declared
  )
  SELECT c.account, c.region, c.kind, c.identity, e.name AS holder
  FROM wanted JOIN claims c USING (account, region, kind, identity)
  JOIN environments e ON e.uid = c.environment_uid
  WHERE c.environment_uid <> $5
  ORDER BY c.account, c.region, c.kind, c.identity;

WITH wanted AS MATERIALIZED (
  SELECT w.*, gen_random_uuid() AS uid,
  sha256(convert_to(concat_ws(chr(31), kind, identity, type, reason, message), 'UTF8')) AS fingerprint
  FROM unnest($1::text[], $2::uuid[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[],
  $8::jsonb[], $9::bigint[], $10::timestamptz[], $11::timestamptz[], $12::bigint[])
  AS w (environment, environment_uid, kind, identity, type, reason, message,
  details, count, first_seen, last_seen, version)
  )
  INSERT INTO events AS e (uid, name, environment, environment_uid, regarding_kind, regarding_identity, type,
  reason, message, fingerprint, details, count, first_seen, last_seen, resource_version)
  SELECT uid, concat(coalesce(nullif(environment, ''), 'operator'), '.', left(replace(uid::text, '-', ''), 16)),
  environment, environment_uid, kind, identity, type, reason, message, fingerprint, details, count,
  first_seen, last_seen, version
  FROM wanted
  ON CONFLICT ON CONSTRAINT events_fingerprint_key DO UPDATE SET
  count = e.count + excluded.count, first_seen = least(e.first_seen, excluded.first_seen),
  last_seen = greatest(e.last_seen, excluded.last_seen), details = excluded.details,
  environment_uid = excluded.environment_uid, resource_version = excluded.resource_version
  RETURNING e.*, e.xmax = 0 AS inserted;
