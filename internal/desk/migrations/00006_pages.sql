-- What the pages keep: what an agent has read, and that a transcript was changed afterwards.

-- +goose Up

-- How many messages of the conversation the agent has seen.
CREATE TABLE read_marks (
    conversation TEXT   NOT NULL REFERENCES conversations (sid),
    agent        TEXT   NOT NULL,
    messages     BIGINT NOT NULL,
    PRIMARY KEY (conversation, agent)
);

-- How often a message was changed or removed.
ALTER TABLE conversations ADD COLUMN edits BIGINT NOT NULL DEFAULT 0;

CREATE INDEX transfers_active_by_sender ON transfers (from_agent) WHERE status = 'active';
CREATE INDEX refusals_by_conversation ON refusals (conversation, at);

-- There is no way down: it would drop the records.
