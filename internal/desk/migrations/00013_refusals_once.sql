-- A refusal is noted by the door that answers it and by the worker that decides it: the command's ID tells that it is the same.

-- +goose Up

ALTER TABLE refusals ADD COLUMN command TEXT NOT NULL DEFAULT '';
CREATE UNIQUE INDEX refusals_once ON refusals (conversation, command) WHERE command <> '';

-- There is no way down: nothing is lost by leaving them.
