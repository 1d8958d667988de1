-- What the policies decided. A number is the place of the block's entry in the log times 256, and the place in the block.
CREATE TABLE decision (
    number   bigint PRIMARY KEY,
    id       uuid NOT NULL UNIQUE,
    owner    uuid,
    actor    text,
    resource text NOT NULL,
    action   text NOT NULL,
    salt     bytea NOT NULL CHECK (octet_length(salt) = 32),
    record   bytea NOT NULL
);
CREATE INDEX decision_by_actor ON decision (actor, number);
CREATE INDEX decision_by_owner ON decision (owner, number);
CREATE INDEX decision_by_resource ON decision (resource, number);
CREATE INDEX decision_by_action ON decision (action, number);
