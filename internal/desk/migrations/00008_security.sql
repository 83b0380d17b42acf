-- When a key was last used, who an agent is at the OpenID Connect provider, and a secret of the webhooks' own.

-- +goose Up

-- To the minute; 0: not since this column exists.
ALTER TABLE api_keys ADD COLUMN last_used_at BIGINT NOT NULL DEFAULT 0;

-- '': webhooks are signed with the auth token. The next secret takes the place of the secret at next_at.
ALTER TABLE account ADD COLUMN webhook_secret TEXT NOT NULL DEFAULT '';
ALTER TABLE account ADD COLUMN webhook_secret_next TEXT NOT NULL DEFAULT '';
ALTER TABLE account ADD COLUMN webhook_secret_next_at BIGINT NOT NULL DEFAULT 0;

-- The account at the provider (iss and sub of its ID tokens) that an agent has first signed in with.
CREATE TABLE identities (
    agent    TEXT   NOT NULL PRIMARY KEY REFERENCES agents (name),
    issuer   TEXT   NOT NULL,
    subject  TEXT   NOT NULL,
    bound_at BIGINT NOT NULL
);
CREATE UNIQUE INDEX identities_by_subject ON identities (issuer, subject);

-- There is no way down: it would drop the records.
