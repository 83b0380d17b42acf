-- What insights count, along indexes alone: texts and attributes would make a range slow to read.

-- +goose Up

-- What the transfer that made a task says, '' where none did: who passed the conversation on, from which
-- queue, who had passed it to them before, and to whom it was passed. What became of it is the task's.
ALTER TABLE tasks ADD COLUMN from_agent TEXT NOT NULL DEFAULT '';
ALTER TABLE tasks ADD COLUMN from_queue TEXT NOT NULL DEFAULT '';
ALTER TABLE tasks ADD COLUMN given_by TEXT NOT NULL DEFAULT '';
ALTER TABLE tasks ADD COLUMN to_agent TEXT NOT NULL DEFAULT '';
ALTER TABLE tasks ADD COLUMN to_queue TEXT NOT NULL DEFAULT '';
UPDATE tasks SET
    from_agent = coalesce((SELECT x.from_agent FROM transfers x WHERE x.sid = tasks.transfer), ''),
    from_queue = coalesce((SELECT f.queue FROM tasks f WHERE f.sid = tasks.previous), ''),
    to_agent = coalesce((SELECT x.to_agent FROM transfers x WHERE x.sid = tasks.transfer), ''),
    to_queue = coalesce((SELECT x.to_queue FROM transfers x WHERE x.sid = tasks.transfer), '')
WHERE transfer <> '';
UPDATE tasks SET given_by = coalesce((SELECT f.from_agent FROM tasks f WHERE f.sid = tasks.previous), '') WHERE transfer <> '';

-- All texts as one, exactly as insights read them: each column of a row costs as much as finding it.
CREATE INDEX tasks_for_insights ON tasks (created_at,
    (conversation || ' ' || previous || ' ' || channel || ' ' || queue || ' ' || agent || ' ' || from_queue
        || ' ' || from_agent || ' ' || given_by || ' ' || to_queue || ' ' || to_agent || ' ' || canceled_reason),
    assigned_at, wrapping_at, completed_at);

-- What people were refused, which changes no conversation and so is in no history. The queue is the one
-- that the conversation was in.
CREATE TABLE refusals (
    conversation TEXT   NOT NULL REFERENCES conversations (sid),
    agent        TEXT   NOT NULL,
    code         TEXT   NOT NULL,
    channel      TEXT   NOT NULL,
    queue        TEXT   NOT NULL,
    at           BIGINT NOT NULL
);
CREATE INDEX refusals_by_time ON refusals (code, at);

-- There is no way down: it would drop the records.
