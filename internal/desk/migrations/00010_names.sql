-- Names with a space shifted the columns of insights.

-- +goose Up

-- Exactly as insights read it: a space in a value is written as ~1, and ~ as ~0.
DROP INDEX tasks_for_insights;
CREATE INDEX tasks_for_insights ON tasks (created_at,
    (replace(replace(conversation, '~', '~0'), ' ', '~1')
        || ' ' || replace(replace(previous, '~', '~0'), ' ', '~1')
        || ' ' || replace(replace(channel, '~', '~0'), ' ', '~1')
        || ' ' || replace(replace(queue, '~', '~0'), ' ', '~1')
        || ' ' || replace(replace(agent, '~', '~0'), ' ', '~1')
        || ' ' || replace(replace(from_queue, '~', '~0'), ' ', '~1')
        || ' ' || replace(replace(from_agent, '~', '~0'), ' ', '~1')
        || ' ' || replace(replace(given_by, '~', '~0'), ' ', '~1')
        || ' ' || replace(replace(to_queue, '~', '~0'), ' ', '~1')
        || ' ' || replace(replace(to_agent, '~', '~0'), ' ', '~1')
        || ' ' || replace(replace(canceled_reason, '~', '~0'), ' ', '~1')),
    assigned_at, wrapping_at, completed_at);

-- There is no way down: the index is read by its expression alone.
