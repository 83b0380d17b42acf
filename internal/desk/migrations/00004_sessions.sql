-- What the pages keep of their visitors. The token is a hash already.

-- +goose Up

CREATE TABLE sessions (
    token      TEXT    NOT NULL PRIMARY KEY,
    data       TEXT    NOT NULL, -- base64
    expires_at BIGINT  NOT NULL,
    -- 1 once it was ended: a request that was under way then can't bring it back.
    ended      INTEGER NOT NULL
);
CREATE INDEX sessions_by_expiry ON sessions (expires_at, token);

-- There is no way down: it would sign everybody out.
