-- Which field manager wrote which fields (metadata.managedFields). NULL: written by a release that did not track it.
ALTER TABLE environments ADD COLUMN managed_fields jsonb;
