-- Rows as the program of the first schema wrote them.
UPDATE counter SET resource_version = 20;
INSERT INTO environments (uid, name, account, labels, annotations, finalizers, generation, revision, resource_version, spec,
                          status, pause, created_at, deletion_requested_at)
VALUES ('00000000-0000-4000-8000-000000000001', 'old', '123456789012', '{"team": "a"}', '{}', '["eventchain.io/converge"]', 2, 2,
        12, '{"v": 2}', '{"conditions": []}', NULL, '2026-01-01T00:00:00Z', NULL);
INSERT INTO revisions (environment, revision, environment_uid, generation, resource_version, author, message, change, spec, diff,
                       created_at)
VALUES ('old', 1, '00000000-0000-4000-8000-000000000001', 1, 10, 'alice', 'first', NULL, '{"v": 1}', '[]', '2026-01-01T00:00:00Z'),
       ('old', 2, '00000000-0000-4000-8000-000000000001', 2, 12, 'alice', '', 'old-0', '{"v": 2}', '[]', '2026-01-01T00:00:01Z');
INSERT INTO claims (account, region, kind, identity, environment_uid, declared)
VALUES ('123456789012', 'us-east-1', 'Alarm', 'a', '00000000-0000-4000-8000-000000000001', true);
INSERT INTO changes (uid, name, environment, environment_uid, resource_version, phase, author, message, patch, plan, plan_hash,
                     approvals, outcome, revision, created_at, expires_at, finished_at)
VALUES ('00000000-0000-4000-8000-000000000002', 'old-1', 'old', '00000000-0000-4000-8000-000000000001', 13, 'Pending', 'alice', 'm',
        '{"spec": {"v": 3}}', 'null', 'hash', '[]', 'null', NULL, '2026-01-01T00:00:02Z', '2027-01-01T00:00:00Z', NULL);
INSERT INTO approvals (environment_uid, plan_hash, approver, approved_at, expires_at, steps)
VALUES ('00000000-0000-4000-8000-000000000001', 'hash', 'bob', '2026-01-01T00:00:00Z', '2027-01-01T00:00:00Z', '["x"]');
INSERT INTO managed_resources (name, environment_uid, environment, account, region, kind, identity, resource_version, desired,
                               observed, diff, conditions, report, memory, created_at, changed_at)
VALUES ('alarm-a', '00000000-0000-4000-8000-000000000001', 'old', '123456789012', 'us-east-1', 'Alarm', 'a', 14, '{}', '{}', '[]',
        '[]', '{}', '{}', '2026-01-01T00:00:00Z', '2026-01-01T00:00:00Z');
INSERT INTO sweeps (account, region, kind, observed_at) VALUES ('123456789012', 'us-east-1', 'Alarm', '2026-01-01T00:00:00Z');
INSERT INTO events (name, environment, environment_uid, regarding_kind, regarding_identity, type, reason, message, fingerprint,
                    details, count, first_seen, last_seen, resource_version)
VALUES ('old.1', 'old', '00000000-0000-4000-8000-000000000001', 'Environment', 'old', 'Normal', 'Ready', 'm', '\x01', '{}', 1,
        '2026-01-01T00:00:00Z', '2026-01-01T00:00:00Z', 15);
INSERT INTO leases (shard, holder, epoch, acquired_at, renewed_at, expires_at)
VALUES ('123456789012', 'gone', 3, '2026-01-01T00:00:00Z', '2026-01-01T00:00:00Z', '2026-01-01T00:00:12Z');
INSERT INTO journal (environment_uid, environment, account, region, kind, identity, step, body, risk, generation, epoch, token,
                     begun_at)
VALUES ('00000000-0000-4000-8000-000000000001', 'old', '123456789012', 'us-east-1', 'Alarm', 'a', 'PutMetricAlarm', '{}', 'Safe', 2,
        3, 't', '2026-01-01T00:00:03Z');
INSERT INTO requests (id, kind, shard, environment, body, created_at, deadline)
VALUES ('00000000-0000-4000-8000-000000000003', 'Plan', '123456789012', 'old', '{}', '2026-01-01T00:00:00Z', '2026-01-01T00:00:30Z');
INSERT INTO object_log (resource_version, kind, name, event, object)
VALUES (10, 'Revision', 'old-1', 'ADDED', '{}'), (12, 'Environment', 'old', 'MODIFIED', '{}');
