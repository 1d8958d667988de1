-- The lean peer: the least that a ledger in SQL can be. One call moves money between two rows under their locks, in one
-- transaction, refuses to overdraw, and remembers each transfer's id so that sending it twice moves money once.
-- It has less to do than our engine and than `row_locks.sql` beside it: no holds, no pairs, an id of 8 bytes, no account's
-- statement, and no rows when it begins.

CREATE TABLE account (
    id      integer PRIMARY KEY,
    debits  bigint NOT NULL DEFAULT 0,
    credits bigint NOT NULL,
    opening bigint NOT NULL,
    CHECK (credits >= debits)
) WITH (fillfactor = 70);

CREATE TABLE transfer (
    id     bigint PRIMARY KEY,
    debit  integer NOT NULL,
    credit integer NOT NULL,
    amount bigint NOT NULL CHECK (amount > 0),
    at     timestamptz NOT NULL DEFAULT clock_timestamp(),
    CHECK (debit <> credit)
);

INSERT INTO account (id, credits, opening)
    SELECT id, 1000000000000, 1000000000000 FROM generate_series(1, 10000) AS id;

-- Answers 'done', 'exists' for the same transfer sent again, or 'differs' for another one under the same id.
CREATE FUNCTION move_money(new_id bigint, from_id integer, to_id integer, minor bigint) RETURNS text
LANGUAGE plpgsql AS $$
DECLARE
    same boolean;
BEGIN
    INSERT INTO transfer (id, debit, credit, amount) VALUES (new_id, from_id, to_id, minor)
        ON CONFLICT (id) DO NOTHING;
    IF NOT FOUND THEN
        SELECT t.debit = from_id AND t.credit = to_id AND t.amount = minor INTO same FROM transfer t WHERE t.id = new_id;
        RETURN CASE WHEN same THEN 'exists' ELSE 'differs' END;
    END IF;
    -- In the order of ids, so that two calls never wait for each other.
    IF from_id < to_id THEN
        UPDATE account SET debits = debits + minor WHERE id = from_id;
        UPDATE account SET credits = credits + minor WHERE id = to_id;
    ELSE
        UPDATE account SET credits = credits + minor WHERE id = to_id;
        UPDATE account SET debits = debits + minor WHERE id = from_id;
    END IF;
    RETURN 'done';
END;
$$;

ANALYZE;
