-- What tells that time went back: in a conversation, or in this database.

-- +goose Up

-- The ID of the first run of the conversation's workflow, and when the conversation was last compared with it.
ALTER TABLE conversations ADD COLUMN chain TEXT NOT NULL DEFAULT '';
ALTER TABLE conversations ADD COLUMN compared_at BIGINT NOT NULL DEFAULT 0;
CREATE INDEX conversations_to_compare ON conversations (compared_at) WHERE status <> 'closed';

-- The feed's epoch is drawn at random with the first event, and again after an older copy of the database was put back:
-- events of different times at one position have different SIDs. Those from before there were epochs have 0.
ALTER TABLE feed ADD COLUMN epoch BIGINT NOT NULL DEFAULT 0;
ALTER TABLE events ADD COLUMN epoch BIGINT NOT NULL DEFAULT 0;
ALTER TABLE desk_events ADD COLUMN epoch BIGINT NOT NULL DEFAULT 0;

-- What one process at a time does, and until when nobody else does it.
CREATE TABLE leases (
    name  TEXT   NOT NULL PRIMARY KEY,
    until BIGINT NOT NULL
);

-- How many changes of the desk the request has made whose answer is kept, or will be: status is 0 until it is.
ALTER TABLE answers ADD COLUMN changes INTEGER NOT NULL DEFAULT 0;

-- There is no way down: nothing is lost by leaving them.
