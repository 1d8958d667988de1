-- Where each time-stamp stands in the log, by its serial number. Serials begin with a count, so that rows come in the order of keys.
CREATE TABLE token (
    leaf   bigint NOT NULL,
    serial bytea PRIMARY KEY CHECK (octet_length(serial) = 20)
);
