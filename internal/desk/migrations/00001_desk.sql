-- The desk's tables, for every database the desk runs on: TEXT, BIGINT and INTEGER only.
-- Times are UTC microseconds, 0 for none; flags are 0 or 1. Texts that may be missing are ''.

-- +goose Up

CREATE TABLE agents (
    name        TEXT    NOT NULL PRIMARY KEY,
    sid         TEXT    NOT NULL UNIQUE,
    role        TEXT    NOT NULL,
    presence    TEXT    NOT NULL,
    presence_at BIGINT  NOT NULL,
    -- When the agent last became available, was matched, or had a task change.
    idle_since  BIGINT  NOT NULL,
    created_at  BIGINT  NOT NULL
);

-- load is counted anew whenever a task or a placement of the agent changes, never added up.
CREATE TABLE agent_channels (
    agent    TEXT    NOT NULL REFERENCES agents (name) ON DELETE CASCADE,
    channel  TEXT    NOT NULL,
    capacity INTEGER NOT NULL,
    load     INTEGER NOT NULL,
    PRIMARY KEY (agent, channel)
);

CREATE TABLE queues (
    name       TEXT   NOT NULL PRIMARY KEY,
    sid        TEXT   NOT NULL UNIQUE,
    created_at BIGINT NOT NULL
);

-- available and idle_since repeat the agent's, so that a queue's next agent is found by an index alone.
CREATE TABLE queue_agents (
    queue      TEXT    NOT NULL REFERENCES queues (name) ON DELETE CASCADE,
    agent      TEXT    NOT NULL REFERENCES agents (name) ON DELETE CASCADE,
    available  INTEGER NOT NULL,
    idle_since BIGINT  NOT NULL,
    PRIMARY KEY (queue, agent)
);
CREATE INDEX queue_agents_by_agent ON queue_agents (agent, queue);
CREATE INDEX queue_agents_by_idleness ON queue_agents (queue, idle_since, agent) WHERE available = 1;

CREATE TABLE conversations (
    sid              TEXT    NOT NULL PRIMARY KEY,
    status           TEXT    NOT NULL,
    channel          TEXT    NOT NULL,
    customer_name    TEXT    NOT NULL,
    customer_address TEXT    NOT NULL,
    revision         BIGINT  NOT NULL,
    -- How many events and messages the desk has of it.
    events           BIGINT  NOT NULL,
    messages         BIGINT  NOT NULL,
    -- 1 when a delivery found no workflow: its tasks aren't placed any more.
    gone             INTEGER NOT NULL,
    created_at       BIGINT  NOT NULL,
    closed_at        BIGINT  NOT NULL
);
CREATE INDEX conversations_by_time ON conversations (created_at, sid);
CREATE INDEX conversations_by_status ON conversations (status, created_at, sid);

CREATE TABLE tasks (
    sid               TEXT    NOT NULL PRIMARY KEY,
    conversation      TEXT    NOT NULL REFERENCES conversations (sid),
    channel           TEXT    NOT NULL,
    status            TEXT    NOT NULL,
    queue             TEXT    NOT NULL,
    agent             TEXT    NOT NULL,
    direct            INTEGER NOT NULL,
    -- 1 while the task is pending and not matched yet: what the dispatcher looks at.
    waiting           INTEGER NOT NULL,
    previous          TEXT    NOT NULL,
    transfer          TEXT    NOT NULL,
    priority          INTEGER NOT NULL,
    head              INTEGER NOT NULL,
    placement         INTEGER NOT NULL,
    attributes        TEXT    NOT NULL,
    reservation       TEXT    NOT NULL,
    disposition       TEXT    NOT NULL,
    wrapup_note       TEXT    NOT NULL,
    canceled_reason   TEXT    NOT NULL,
    created_at        BIGINT  NOT NULL,
    queued_at         BIGINT  NOT NULL,
    timeout_at        BIGINT  NOT NULL,
    assigned_at       BIGINT  NOT NULL,
    wrapping_at       BIGINT  NOT NULL,
    completed_at      BIGINT  NOT NULL,
    canceled_at       BIGINT  NOT NULL,
    wrapup_timeout_at BIGINT  NOT NULL
);
-- A line: the waiting tasks of one queue on one channel, best first.
CREATE INDEX tasks_in_line ON tasks (queue, channel, priority DESC, head DESC, queued_at, created_at, sid)
    WHERE waiting = 1 AND direct = 0;
CREATE INDEX tasks_waiting_for_agent ON tasks (agent, priority DESC, head DESC, queued_at, created_at, sid)
    WHERE waiting = 1 AND direct = 1;
CREATE INDEX tasks_by_conversation ON tasks (conversation, placement);
-- Live tasks are few, whatever has been. Their status isn't in the index, for it changes often.
CREATE INDEX tasks_live_by_agent ON tasks (agent, channel) WHERE completed_at = 0 AND canceled_at = 0;
CREATE INDEX tasks_live_by_queue ON tasks (queue) WHERE completed_at = 0 AND canceled_at = 0;
CREATE INDEX tasks_by_time ON tasks (created_at);

CREATE TABLE reservations (
    sid          TEXT    NOT NULL PRIMARY KEY,
    task         TEXT    NOT NULL REFERENCES tasks (sid),
    conversation TEXT    NOT NULL,
    agent        TEXT    NOT NULL,
    status       TEXT    NOT NULL,
    -- The number of the event that made it.
    number       BIGINT  NOT NULL,
    excused      INTEGER NOT NULL,
    reason       TEXT    NOT NULL,
    created_at   BIGINT  NOT NULL,
    expires_at   BIGINT  NOT NULL,
    updated_at   BIGINT  NOT NULL
);
CREATE INDEX reservations_by_conversation ON reservations (conversation, number);
CREATE INDEX reservations_pending_by_agent ON reservations (agent) WHERE status = 'pending';

CREATE TABLE transfers (
    sid            TEXT   NOT NULL PRIMARY KEY,
    conversation   TEXT   NOT NULL REFERENCES conversations (sid),
    mode           TEXT   NOT NULL,
    status         TEXT   NOT NULL,
    from_agent     TEXT   NOT NULL,
    from_task      TEXT   NOT NULL,
    to_agent       TEXT   NOT NULL,
    to_queue       TEXT   NOT NULL,
    task           TEXT   NOT NULL,
    note           TEXT   NOT NULL,
    accepted_by    TEXT   NOT NULL,
    failure_reason TEXT   NOT NULL,
    created_at     BIGINT NOT NULL,
    ended_at       BIGINT NOT NULL
);
CREATE INDEX transfers_by_conversation ON transfers (conversation);
CREATE INDEX transfers_by_time ON transfers (created_at);

-- The dispatcher's matches: invisible as offers until the conversation's picture confirms them.
CREATE TABLE placements (
    task         TEXT    NOT NULL PRIMARY KEY REFERENCES tasks (sid),
    reservation  TEXT    NOT NULL,
    conversation TEXT    NOT NULL,
    channel      TEXT    NOT NULL,
    placement    INTEGER NOT NULL,
    agent        TEXT    NOT NULL,
    created_at   BIGINT  NOT NULL,
    -- When it is to be delivered next, and how often it was.
    deliver_at   BIGINT  NOT NULL,
    attempts     INTEGER NOT NULL
);
CREATE INDEX placements_by_conversation ON placements (conversation);
CREATE INDEX placements_by_agent ON placements (agent, channel);
CREATE INDEX placements_due ON placements (deliver_at);

-- Offers that are to be declined for agents who have gone.
CREATE TABLE declines (
    reservation  TEXT    NOT NULL PRIMARY KEY,
    task         TEXT    NOT NULL,
    conversation TEXT    NOT NULL,
    agent        TEXT    NOT NULL,
    created_at   BIGINT  NOT NULL,
    deliver_at   BIGINT  NOT NULL,
    attempts     INTEGER NOT NULL
);
CREATE INDEX declines_by_conversation ON declines (conversation);
CREATE INDEX declines_due ON declines (deliver_at);

CREATE TABLE messages (
    conversation TEXT   NOT NULL REFERENCES conversations (sid),
    number       BIGINT NOT NULL,
    sid          TEXT   NOT NULL UNIQUE,
    -- 'customer' or an agent's name.
    author       TEXT   NOT NULL,
    text         TEXT   NOT NULL,
    provider_sid TEXT   NOT NULL,
    created_at   BIGINT NOT NULL,
    PRIMARY KEY (conversation, number)
);
CREATE UNIQUE INDEX messages_by_provider_sid ON messages (provider_sid) WHERE provider_sid <> '';

CREATE TABLE notes (
    sid          TEXT   NOT NULL PRIMARY KEY,
    conversation TEXT   NOT NULL REFERENCES conversations (sid),
    kind         TEXT   NOT NULL,
    task         TEXT   NOT NULL,
    transfer     TEXT   NOT NULL,
    author       TEXT   NOT NULL,
    text         TEXT   NOT NULL,
    created_at   BIGINT NOT NULL
);
CREATE INDEX notes_by_conversation ON notes (conversation, created_at, sid);

-- The feed: events in the order in which they were committed, numbered within their conversation too.
CREATE TABLE events (
    position     BIGINT NOT NULL PRIMARY KEY,
    conversation TEXT   NOT NULL,
    number       BIGINT NOT NULL,
    name         TEXT   NOT NULL,
    at           BIGINT NOT NULL,
    -- The event as its history has it, in JSON.
    event        TEXT   NOT NULL
);
CREATE UNIQUE INDEX events_by_conversation ON events (conversation, number);

-- The feed's last position. Taking it locks the row, so positions are in the order of commits.
CREATE TABLE feed (
    id       INTEGER NOT NULL PRIMARY KEY CHECK (id = 1),
    position BIGINT  NOT NULL
);
INSERT INTO feed (id, position) VALUES (1, 0);

-- One row once somebody has changed a setting.
CREATE TABLE settings (
    id                  INTEGER NOT NULL PRIMARY KEY CHECK (id = 1),
    messaging_transfers INTEGER NOT NULL,
    transfer_notes      INTEGER NOT NULL,
    reservation_timeout INTEGER NOT NULL,
    task_timeout        INTEGER NOT NULL,
    wrapup_timeout      INTEGER NOT NULL,
    agent_unavailable   TEXT    NOT NULL,
    unanswered          TEXT    NOT NULL,
    reoffer_after       INTEGER NOT NULL,
    timeout_activity    INTEGER NOT NULL,
    changed_by          TEXT    NOT NULL,
    changed_at          BIGINT  NOT NULL
);

CREATE TABLE plugins (
    name                  TEXT    NOT NULL PRIMARY KEY,
    version               TEXT    NOT NULL,
    enabled               INTEGER NOT NULL,
    conversation_transfer INTEGER NOT NULL,
    changed_at            BIGINT  NOT NULL
);

-- There is no way down: it would drop the records.
