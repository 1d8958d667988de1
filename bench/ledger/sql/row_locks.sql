-- The peer that does the same work as our engine: plain transfers, holds that are posted in part or wholly or voided,
-- linked pairs, ids of 16 bytes, every order safe to send again, and every account's statement can be read. One
-- function for each operation, one call for each order, one transaction for each call, locks on the rows of accounts.
-- What our engine has beyond that: hash chains, the log, limits, conditions, expiry of holds, balances of the past.
--
-- Each function answers 'done', 'exists' for the same order sent again, or 'differs' for another one under the same id.
-- It fails, and so changes nothing, on what a ledger must refuse. In each of them the rows are made before any account
-- is locked, so that locks are held briefly; then accounts are updated in the order of their ids, so that two calls
-- never wait for each other.

CREATE TABLE account (
    id              integer PRIMARY KEY,
    debits_posted   bigint NOT NULL,
    credits_posted  bigint NOT NULL,
    debits_pending  bigint NOT NULL CHECK (debits_pending >= 0),
    credits_pending bigint NOT NULL CHECK (credits_pending >= 0),
    opening         bigint NOT NULL,
    -- What is held counts as spent.
    CONSTRAINT no_overdraft CHECK (credits_posted >= debits_posted + debits_pending)
) WITH (fillfactor = 70); -- Room for the next version of a row on its page: no update touches an index.

-- Rows are never updated, so pages are filled. Columns are in the order that leaves no gaps between them.
CREATE TABLE transfer (
    id     uuid PRIMARY KEY,
    at     timestamptz NOT NULL DEFAULT clock_timestamp(),
    amount bigint NOT NULL,
    debit  integer NOT NULL,
    credit integer NOT NULL,
    kind   smallint NOT NULL CHECK (kind BETWEEN 1 AND 4), -- 1 plain, 2 hold, 3 post, 4 void
    hold   uuid,                                           -- which one a post or a void ends
    CONSTRAINT not_to_itself CHECK (debit <> credit),
    CONSTRAINT some_amount CHECK (amount > 0 OR amount = 0 AND kind = 4),
    CHECK ((hold IS NOT NULL) = (kind IN (3, 4)))
);
-- A hold ends once, also when two callers end it at the same time. Rows that end nothing are not in it.
CREATE UNIQUE INDEX transfer_ends ON transfer (hold) WHERE hold IS NOT NULL;
-- An account's statement, from either side: our engine reads it, so the peer must be able to.
CREATE INDEX transfer_debit ON transfer (debit, at);
CREATE INDEX transfer_credit ON transfer (credit, at);

CREATE FUNCTION move_money(new_id uuid, from_id integer, to_id integer, minor bigint) RETURNS text
LANGUAGE plpgsql AS $$
DECLARE
    same boolean;
BEGIN
    INSERT INTO transfer (id, kind, debit, credit, amount) VALUES (new_id, 1, from_id, to_id, minor)
        ON CONFLICT (id) DO NOTHING;
    IF NOT FOUND THEN
        SELECT t.kind = 1 AND t.debit = from_id AND t.credit = to_id AND t.amount = minor INTO same
            FROM transfer t WHERE t.id = new_id;
        RETURN CASE WHEN same THEN 'exists' ELSE 'differs' END;
    END IF;
    IF from_id < to_id THEN
        UPDATE account SET debits_posted = debits_posted + minor WHERE id = from_id;
        IF NOT FOUND THEN RAISE 'there is no account `%`', from_id; END IF;
        UPDATE account SET credits_posted = credits_posted + minor WHERE id = to_id;
        IF NOT FOUND THEN RAISE 'there is no account `%`', to_id; END IF;
    ELSE
        UPDATE account SET credits_posted = credits_posted + minor WHERE id = to_id;
        IF NOT FOUND THEN RAISE 'there is no account `%`', to_id; END IF;
        UPDATE account SET debits_posted = debits_posted + minor WHERE id = from_id;
        IF NOT FOUND THEN RAISE 'there is no account `%`', from_id; END IF;
    END IF;
    RETURN 'done';
END;
$$;

CREATE FUNCTION hold_money(new_id uuid, from_id integer, to_id integer, minor bigint) RETURNS text
LANGUAGE plpgsql AS $$
DECLARE
    same boolean;
BEGIN
    INSERT INTO transfer (id, kind, debit, credit, amount) VALUES (new_id, 2, from_id, to_id, minor)
        ON CONFLICT (id) DO NOTHING;
    IF NOT FOUND THEN
        SELECT t.kind = 2 AND t.debit = from_id AND t.credit = to_id AND t.amount = minor INTO same
            FROM transfer t WHERE t.id = new_id;
        RETURN CASE WHEN same THEN 'exists' ELSE 'differs' END;
    END IF;
    IF from_id < to_id THEN
        UPDATE account SET debits_pending = debits_pending + minor WHERE id = from_id;
        IF NOT FOUND THEN RAISE 'there is no account `%`', from_id; END IF;
        UPDATE account SET credits_pending = credits_pending + minor WHERE id = to_id;
        IF NOT FOUND THEN RAISE 'there is no account `%`', to_id; END IF;
    ELSE
        UPDATE account SET credits_pending = credits_pending + minor WHERE id = to_id;
        IF NOT FOUND THEN RAISE 'there is no account `%`', to_id; END IF;
        UPDATE account SET debits_pending = debits_pending + minor WHERE id = from_id;
        IF NOT FOUND THEN RAISE 'there is no account `%`', from_id; END IF;
    END IF;
    RETURN 'done';
END;
$$;

-- Posts so much of a hold and lets the rest go; nothing posted is a void. The unique index is the hold's lock.
CREATE FUNCTION end_hold(new_id uuid, hold_id uuid, minor bigint) RETURNS text
LANGUAGE plpgsql AS $$
DECLARE
    payer integer;
    payee integer;
    held  bigint;
    same  boolean;
BEGIN
    SELECT t.debit, t.credit, t.amount INTO payer, payee, held FROM transfer t WHERE t.id = hold_id AND t.kind = 2;
    IF NOT FOUND THEN RAISE 'there is no hold `%`', hold_id; END IF;
    INSERT INTO transfer (id, kind, debit, credit, amount, hold)
        VALUES (new_id, CASE WHEN minor = 0 THEN 4 ELSE 3 END, payer, payee, minor, hold_id)
        ON CONFLICT (id) DO NOTHING;
    IF NOT FOUND THEN
        SELECT t.hold = hold_id AND t.amount = minor INTO same FROM transfer t WHERE t.id = new_id;
        RETURN CASE WHEN same THEN 'exists' ELSE 'differs' END;
    END IF;
    IF minor > held THEN RAISE '`%` is more than the `%` held', minor, held; END IF;
    IF payer < payee THEN
        UPDATE account SET debits_pending = debits_pending - held, debits_posted = debits_posted + minor
            WHERE id = payer;
        UPDATE account SET credits_pending = credits_pending - held, credits_posted = credits_posted + minor
            WHERE id = payee;
    ELSE
        UPDATE account SET credits_pending = credits_pending - held, credits_posted = credits_posted + minor
            WHERE id = payee;
        UPDATE account SET debits_pending = debits_pending - held, debits_posted = debits_posted + minor
            WHERE id = payer;
    END IF;
    RETURN 'done';
END;
$$;

-- Two transfers of one payer, both or none.
CREATE FUNCTION move_pair(
    id1 uuid, to1 integer, minor1 bigint, id2 uuid, to2 integer, minor2 bigint, from_id integer
) RETURNS text
LANGUAGE plpgsql AS $$
DECLARE
    made   integer;
    same   boolean;
    change record;
BEGIN
    INSERT INTO transfer (id, kind, debit, credit, amount)
        VALUES (id1, 1, from_id, to1, minor1), (id2, 1, from_id, to2, minor2)
        ON CONFLICT (id) DO NOTHING;
    GET DIAGNOSTICS made = ROW_COUNT;
    IF made = 1 THEN RAISE 'one of `%` and `%` is the id of another order', id1, id2; END IF;
    IF made = 0 THEN
        SELECT count(*) = 2 INTO same FROM transfer t
            WHERE t.id = id1 AND t.kind = 1 AND t.debit = from_id AND t.credit = to1 AND t.amount = minor1
            OR t.id = id2 AND t.kind = 1 AND t.debit = from_id AND t.credit = to2 AND t.amount = minor2;
        RETURN CASE WHEN same THEN 'exists' ELSE 'differs' END;
    END IF;
    FOR change IN
        SELECT * FROM (VALUES (from_id, minor1 + minor2, 0), (to1, 0, minor1), (to2, 0, minor2)) AS v (id, debit, credit)
            ORDER BY id
    LOOP
        UPDATE account SET debits_posted = debits_posted + change.debit, credits_posted = credits_posted + change.credit
            WHERE id = change.id;
        IF NOT FOUND THEN RAISE 'there is no account `%`', change.id; END IF;
    END LOOP;
    RETURN 'done';
END;
$$;

-- A history, with ids before all that are sent later, and the balances that it leaves.
INSERT INTO transfer (id, kind, debit, credit, amount)
    SELECT lpad(n::text, 32, '0')::uuid, 1, debit, 1 + (debit + drawn.b) % 10000, 1 + drawn.c
    FROM generate_series(1, 300000) AS n,
        LATERAL (SELECT (hashint4extended(n, 1) & 9223372036854775807) % 10000 AS a,
            (hashint4extended(n, 2) & 9223372036854775807) % 9999 AS b,
            (hashint4extended(n, 3) & 9223372036854775807) % 1000 AS c) AS drawn,
        LATERAL (SELECT 1 + drawn.a AS debit) AS payer;
INSERT INTO account (id, debits_posted, credits_posted, debits_pending, credits_pending, opening)
    SELECT id, coalesce(gave.sum, 0), 1000000000000 + coalesce(got.sum, 0), 0, 0, 1000000000000
    FROM generate_series(1, 10000) AS id
        LEFT JOIN (SELECT debit, sum(amount) FROM transfer GROUP BY debit) AS gave ON gave.debit = id
        LEFT JOIN (SELECT credit, sum(amount) FROM transfer GROUP BY credit) AS got ON got.credit = id;
