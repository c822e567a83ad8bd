-- The events of one incident are asked for by the page: without this, each answer reads all of the events.

CREATE INDEX events_stream ON events (stream);

-- Of incidents that are over, pruning keeps the newest: without this, it reads all of them.

CREATE INDEX incidents_over ON incidents (opened, id) WHERE resolved IS NOT NULL;
