-- What the HTTP API keeps beside the conversations' own records.

-- +goose Up

-- '' is the name itself, '{}' no attributes, and an activity of '' the one that is the presence's own.
ALTER TABLE agents ADD COLUMN friendly_name TEXT NOT NULL DEFAULT '';
ALTER TABLE agents ADD COLUMN attributes TEXT NOT NULL DEFAULT '{}';
ALTER TABLE agents ADD COLUMN activity TEXT NOT NULL DEFAULT '';
ALTER TABLE agents ADD COLUMN updated_at BIGINT NOT NULL DEFAULT 0;

-- A queue with an expression has the agents for members of whose attributes it is true; '' is a
-- queue whose members are named one by one.
ALTER TABLE queues ADD COLUMN friendly_name TEXT NOT NULL DEFAULT '';
ALTER TABLE queues ADD COLUMN target_workers TEXT NOT NULL DEFAULT '';
ALTER TABLE queues ADD COLUMN updated_at BIGINT NOT NULL DEFAULT 0;

-- What a client of the API called the author of a customer's message; '' where nobody did.
ALTER TABLE messages ADD COLUMN identity TEXT NOT NULL DEFAULT '';
ALTER TABLE messages ADD COLUMN attributes TEXT NOT NULL DEFAULT '{}';
ALTER TABLE messages ADD COLUMN updated_at BIGINT NOT NULL DEFAULT 0;

-- Activities beside those that every desk has (available, break, offline).
CREATE TABLE activities (
    sid        TEXT    NOT NULL PRIMARY KEY,
    name       TEXT    NOT NULL UNIQUE,
    available  INTEGER NOT NULL,
    created_at BIGINT  NOT NULL,
    updated_at BIGINT  NOT NULL
);

-- TaskRouter's workflows: which queue a new task goes to.
CREATE TABLE workflows (
    sid           TEXT   NOT NULL PRIMARY KEY,
    friendly_name TEXT   NOT NULL UNIQUE,
    configuration TEXT   NOT NULL,
    created_at    BIGINT NOT NULL,
    updated_at    BIGINT NOT NULL
);

-- What a conversation is called and was started with over HTTP. The rules know nothing of it.
CREATE TABLE conversation_details (
    conversation  TEXT   NOT NULL PRIMARY KEY,
    friendly_name TEXT   NOT NULL,
    unique_name   TEXT   NOT NULL,
    attributes    TEXT   NOT NULL,
    -- The SID of the TaskRouter workflow that chose its queue, '' for the default one.
    workflow      TEXT   NOT NULL,
    -- What a client of Flex has given its interaction, to be given back.
    context_sid   TEXT   NOT NULL,
    webhook_ttid  TEXT   NOT NULL,
    -- The request that has started it, where that may be repeated.
    started_by    TEXT   NOT NULL,
    created_at    BIGINT NOT NULL,
    updated_at    BIGINT NOT NULL
);
CREATE UNIQUE INDEX conversation_details_by_unique_name ON conversation_details (unique_name) WHERE unique_name <> '';

-- Participants that were added by hand; customers and agents are participants without a row.
CREATE TABLE participants (
    sid           TEXT   NOT NULL PRIMARY KEY,
    conversation  TEXT   NOT NULL REFERENCES conversations (sid),
    -- What Flex calls it: customer, external, supervisor, unknown; '' where it came without.
    kind          TEXT   NOT NULL,
    identity      TEXT   NOT NULL,
    address       TEXT   NOT NULL,
    proxy_address TEXT   NOT NULL,
    attributes    TEXT   NOT NULL,
    created_at    BIGINT NOT NULL,
    updated_at    BIGINT NOT NULL
);
CREATE INDEX participants_by_conversation ON participants (conversation, created_at, sid);

-- The account and its one workspace. The token signs webhooks, so it is kept as it is.
CREATE TABLE account (
    id                 INTEGER NOT NULL PRIMARY KEY CHECK (id = 1),
    sid                TEXT    NOT NULL,
    auth_token         TEXT    NOT NULL,
    workspace_name     TEXT    NOT NULL,
    event_callback_url TEXT    NOT NULL,
    events_filter      TEXT    NOT NULL,
    created_at         BIGINT  NOT NULL,
    updated_at         BIGINT  NOT NULL
);

-- Of a key's secret only the SHA-256 is kept.
CREATE TABLE api_keys (
    sid         TEXT    NOT NULL PRIMARY KEY,
    name        TEXT    NOT NULL,
    role        TEXT    NOT NULL,
    agent       TEXT    NOT NULL,
    secret_hash TEXT    NOT NULL,
    rate_limit  INTEGER NOT NULL,
    created_at  BIGINT  NOT NULL,
    revoked_at  BIGINT  NOT NULL
);

-- The answers to requests that may be repeated, for a day.
CREATE TABLE answers (
    token      TEXT    NOT NULL PRIMARY KEY,
    request    TEXT    NOT NULL,
    status     INTEGER NOT NULL,
    etag       TEXT    NOT NULL,
    body       TEXT    NOT NULL,
    created_at BIGINT  NOT NULL
);
CREATE INDEX answers_by_time ON answers (created_at);

-- What happened at the desk itself: agents and queues. Positions are the feed's.
CREATE TABLE desk_events (
    position BIGINT NOT NULL PRIMARY KEY,
    name     TEXT   NOT NULL,
    at       BIGINT NOT NULL,
    agent    TEXT   NOT NULL,
    queue    TEXT   NOT NULL,
    -- What was the case then, in JSON.
    event    TEXT   NOT NULL
);

CREATE INDEX events_by_time ON events (at, position);
CREATE INDEX desk_events_by_time ON desk_events (at, position);

-- How far the feed has been turned into webhooks.
CREATE TABLE webhook_cursor (
    id       INTEGER NOT NULL PRIMARY KEY CHECK (id = 1),
    position BIGINT  NOT NULL
);
INSERT INTO webhook_cursor (id, position) VALUES (1, 0);

-- Events that are still to be delivered, and those that could not be (dead = 1). A stream is the
-- conversation, agent or queue whose events are delivered in order.
CREATE TABLE webhooks (
    position   BIGINT  NOT NULL PRIMARY KEY,
    stream     TEXT    NOT NULL,
    dead       INTEGER NOT NULL,
    attempts   INTEGER NOT NULL,
    -- When it was first tried, when it is due next, and why the last try failed.
    first_at   BIGINT  NOT NULL,
    deliver_at BIGINT  NOT NULL,
    failure    TEXT    NOT NULL
);
CREATE INDEX webhooks_by_stream ON webhooks (stream, position) WHERE dead = 0;
CREATE INDEX webhooks_due ON webhooks (deliver_at) WHERE dead = 0;
CREATE INDEX webhooks_dead ON webhooks (position) WHERE dead = 1;

-- Lists are in the order of time, by page.
DROP INDEX tasks_by_time;
CREATE INDEX tasks_by_time ON tasks (created_at, sid);
CREATE INDEX tasks_live_by_time ON tasks (created_at, sid) WHERE completed_at = 0 AND canceled_at = 0;
CREATE INDEX tasks_by_agent ON tasks (agent, created_at, sid);
CREATE INDEX tasks_by_queue ON tasks (queue, created_at, sid);
DROP INDEX reservations_pending_by_agent;
CREATE INDEX reservations_pending_by_agent ON reservations (agent, created_at, sid) WHERE status = 'pending';
CREATE INDEX reservations_by_agent ON reservations (agent, created_at, sid);
CREATE INDEX reservations_by_task ON reservations (task, created_at, sid);
CREATE INDEX reservations_by_time ON reservations (created_at);

-- There is no way down: it would drop the records.
