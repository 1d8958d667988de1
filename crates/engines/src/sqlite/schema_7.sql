-- Records of identity. A key begins with the kind and the owner, so that one owner's stand together.
CREATE TABLE record (
    key   BLOB PRIMARY KEY CHECK (length(key) BETWEEN 17 AND 81),
    value BLOB NOT NULL,
    seal  INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
