-- What an agent may read ends with their turn.

-- +goose Up

-- How many messages the conversation had when the desk learned that the task wraps up: -1 before, and for tasks that
-- wrapped up before this column. Clocks of different hosts differ, so the time alone does not bound a turn.
ALTER TABLE tasks ADD COLUMN turn_messages BIGINT NOT NULL DEFAULT -1;

-- There is no way down: it would drop the records.
