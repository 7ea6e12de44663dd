-- What followed a write is found by generation. Not CONCURRENTLY: a replica that waits for its turn to migrate would be
-- waited for, and the two would block each other. A journal of 100,000 rows takes a fraction of a second.
CREATE INDEX journal_generation_idx ON journal (environment_uid, generation, id);
