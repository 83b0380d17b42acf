-- Whoever erases a customer finds what is kept of them by their address.

-- +goose Up

CREATE INDEX conversations_by_customer ON conversations (customer_address) WHERE customer_address <> '';
CREATE INDEX participants_by_address ON participants (address) WHERE address <> '';
CREATE INDEX participants_by_identity ON participants (identity) WHERE identity <> '';

-- There is no way down: nothing is lost by leaving them.
