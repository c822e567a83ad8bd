-- The journal and the outbox. Instants are UTC microseconds since 1970 in integers: exact, and they sort.

CREATE TABLE meta (
    key   TEXT PRIMARY KEY,
    value TEXT NOT NULL
) WITHOUT ROWID;

CREATE TABLE checks (
    check_id TEXT    NOT NULL,
    vantage  TEXT    NOT NULL,
    epoch    INTEGER NOT NULL,
    state    TEXT    NOT NULL,
    since    INTEGER NOT NULL,
    seq      INTEGER NOT NULL,
    snapshot BLOB    NOT NULL,
    PRIMARY KEY (check_id, vantage)
);

CREATE TABLE services (
    service TEXT    NOT NULL,
    vantage TEXT    NOT NULL,
    epoch   INTEGER NOT NULL,
    state   TEXT    NOT NULL,
    since   INTEGER NOT NULL,
    seq     INTEGER NOT NULL,
    PRIMARY KEY (service, vantage)
);

CREATE TABLE incidents (
    id          TEXT    PRIMARY KEY,
    services    TEXT    NOT NULL,
    root        TEXT    NOT NULL,
    checks      TEXT    NOT NULL,
    impact      TEXT    NOT NULL,
    opened      INTEGER NOT NULL,
    since       INTEGER NOT NULL,
    updates     INTEGER NOT NULL,
    resolved    INTEGER,
    merged_into TEXT,
    told        TEXT    NOT NULL,
    why         TEXT    NOT NULL
);
CREATE INDEX incidents_newest ON incidents (opened, id);
CREATE INDEX incidents_open ON incidents (opened, id) WHERE resolved IS NULL;

CREATE TABLE transitions (
    number   INTEGER PRIMARY KEY,
    vantage  TEXT    NOT NULL,
    kind     TEXT    NOT NULL,
    subject  TEXT    NOT NULL,
    seq      INTEGER NOT NULL,
    at       INTEGER NOT NULL,
    since    INTEGER NOT NULL,
    old      TEXT    NOT NULL,
    new      TEXT    NOT NULL,
    verdict  BLOB    NOT NULL,
    evidence BLOB    NOT NULL,
    UNIQUE (vantage, kind, subject, seq)
);

-- A body is stored once, however many sinks are told. AUTOINCREMENT: a number is never used again.
CREATE TABLE events (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    id     TEXT    NOT NULL UNIQUE,
    type   TEXT    NOT NULL,
    at     INTEGER NOT NULL,
    stream TEXT    NOT NULL,
    body   BLOB    NOT NULL
);

-- One row for an event and a sink, until the sink has accepted it. `head` marks the oldest unfinished row of its
-- (sink, stream), the only one that may be attempted: so a claim never has to search a backlog.
-- `due` is when a waiting row may be tried (0: at once, it never was), and when the lease of a leased one ends.
CREATE TABLE outbox (
    id       INTEGER PRIMARY KEY AUTOINCREMENT,
    event    INTEGER NOT NULL REFERENCES events (number),
    sink     TEXT    NOT NULL,
    stream   TEXT    NOT NULL,
    state    TEXT    NOT NULL DEFAULT 'waiting' CHECK (state IN ('waiting', 'leased', 'dead')),
    head     INTEGER NOT NULL CHECK (head IN (0, 1)),
    attempts INTEGER NOT NULL DEFAULT 0,
    due      INTEGER NOT NULL DEFAULT 0,
    epoch    INTEGER NOT NULL,
    error    TEXT,
    died     INTEGER,
    UNIQUE (event, sink)
);
CREATE INDEX outbox_heads ON outbox (sink, due, id) WHERE head = 1;
CREATE INDEX outbox_streams ON outbox (sink, stream, id) WHERE state <> 'dead';
CREATE INDEX outbox_dead ON outbox (died, id) WHERE state = 'dead';
