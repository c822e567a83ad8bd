-- What is to be remembered and is no state of a check or a service: windows of maintenance, what was told of the agent.

CREATE TABLE notes (
    name    TEXT    NOT NULL,
    vantage TEXT    NOT NULL,
    epoch   INTEGER NOT NULL,
    value   BLOB    NOT NULL,
    PRIMARY KEY (name, vantage)
);
