-- A take-over reads the last writes of each environment; before a write, the last ones of its object are read. In the
-- order of intents, which no replica's clock can change. Not CONCURRENTLY: replicas that migrate together would wait for
-- each other.
CREATE INDEX journal_environment_idx ON journal (environment_uid, id DESC);
CREATE INDEX journal_object_idx ON journal (environment_uid, account, region, kind, identity, id DESC);
