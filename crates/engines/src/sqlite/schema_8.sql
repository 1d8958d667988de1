-- What the policies decided. A number is the place of the block's entry in the log times 256, and the place in the block.
CREATE TABLE decision (
    number   INTEGER PRIMARY KEY,
    salt     BLOB NOT NULL,
    record   BLOB NOT NULL,
    id       BLOB NOT NULL UNIQUE CHECK (length(id) = 16),
    actor    TEXT,
    owner    BLOB,
    resource TEXT NOT NULL,
    action   TEXT NOT NULL,
    seal     INTEGER NOT NULL
) STRICT;
CREATE INDEX decision_by_actor ON decision (actor, number);
CREATE INDEX decision_by_owner ON decision (owner, number);
CREATE INDEX decision_by_resource ON decision (resource, number);
CREATE INDEX decision_by_action ON decision (action, number);
