-- What administrators have changed, for ever.

-- +goose Up

CREATE TABLE audit (
    position     BIGINT NOT NULL PRIMARY KEY,
    at           BIGINT NOT NULL,
    changed_by   TEXT   NOT NULL,
    -- settings, plugin, agent, queue, key, account, workspace, workflow, activity.
    kind         TEXT   NOT NULL,
    -- What of it, as in agent.role; subject is which one, '' where there is only one.
    what         TEXT   NOT NULL,
    subject      TEXT   NOT NULL,
    changed_from TEXT   NOT NULL,
    changed_to   TEXT   NOT NULL
);
CREATE INDEX audit_by_subject ON audit (subject, position);
CREATE INDEX audit_by_kind ON audit (kind, position);
CREATE INDEX audit_by_person ON audit (changed_by, position);

-- The last position. Taking the next one locks the row, so positions are in the order of commits.
CREATE TABLE audit_position (
    id       INTEGER NOT NULL PRIMARY KEY CHECK (id = 1),
    position BIGINT  NOT NULL
);
INSERT INTO audit_position (id, position) VALUES (1, 0);

-- There is no way down: it would drop the records.
