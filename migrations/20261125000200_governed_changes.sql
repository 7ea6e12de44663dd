-- Governed changes: what else is known of a change while it is open. NULL everywhere: written by a release that applied
-- every change at once.
ALTER TABLE changes
    ADD COLUMN origin        text,        -- Posted, Direct, Drift, Steps, Deletion, Rollback
    ADD COLUMN apply         text,        -- when approved steps run: Immediately, InWindow
    ADD COLUMN generation    bigint,      -- the generation that its spec became, or whose steps it is about
    ADD COLUMN base_revision bigint,      -- the revision before it: what a rollback goes back to
    ADD COLUMN applied_at    timestamptz, -- when its spec was written, or its steps were approved
    ADD COLUMN requires      jsonb,       -- who must approve, as policy said when it was made
    ADD COLUMN waiting       jsonb,       -- what holds it now, and until when
    ADD COLUMN field_manager text,        -- who sets the fields once it is applied
    ADD COLUMN withdrawn_at  timestamptz; -- deleted while it was open: remembered, and shown to nobody

-- Whether an approval lets its steps through at once or inside a window; NULL: at once.
ALTER TABLE approvals ADD COLUMN apply text;
