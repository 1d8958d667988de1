-- Records of identity. A key begins with the kind and the owner, so that one owner's stand together.
CREATE TABLE record (
    key   bytea PRIMARY KEY CHECK (octet_length(key) BETWEEN 17 AND 81),
    value bytea NOT NULL
);
