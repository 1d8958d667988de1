-- Where each time-stamp stands in the log, by its serial number. Serials begin with a count, so that rows come in the order of keys.
CREATE TABLE token (
    serial BLOB PRIMARY KEY CHECK (length(serial) = 20),
    leaf   INTEGER NOT NULL,
    seal   INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
