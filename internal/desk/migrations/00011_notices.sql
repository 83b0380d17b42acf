-- What agents are notified of.

-- +goose Up

-- The conversation whose offer the agent missed and that made them unavailable, '' for none; and when.
ALTER TABLE agents ADD COLUMN missed_conversation TEXT NOT NULL DEFAULT '';
ALTER TABLE agents ADD COLUMN missed_at BIGINT NOT NULL DEFAULT 0;

-- The notices that an agent has dismissed: SIDs of transfers and reservations.
CREATE TABLE dismissed_notices (
    agent        TEXT   NOT NULL,
    notice       TEXT   NOT NULL,
    dismissed_at BIGINT NOT NULL,
    PRIMARY KEY (agent, notice)
);

-- An agent's transfers: those that are active (ended_at = 0) and those that ended lately.
CREATE INDEX transfers_by_sender ON transfers (from_agent, ended_at);

-- There is no way down: it would drop the records.
