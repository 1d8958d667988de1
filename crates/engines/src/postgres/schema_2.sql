-- The books. Ids are uuids, hashes 32 bytes, amounts whole minor units, so that an auditor can add them up here.
-- The constraints repeat what the ledger has already made sure of: a second line of defence.
-- Columns of fixed width stand first, widest first, so that no row carries padding.

CREATE TABLE meta (
    key   text PRIMARY KEY,
    value bytea NOT NULL
);

-- Who may write. Whoever opens the books raises `epoch`; every batch sets `writer` to the epoch under which its writer
-- opened them, so the batch of one who was deposed breaks the constraint and takes its whole transaction with it.
CREATE TABLE fence (
    one     boolean PRIMARY KEY DEFAULT true CHECK (one),
    epoch   bigint NOT NULL,
    writer  bigint NOT NULL,
    batches bigint NOT NULL,
    holder  text NOT NULL,
    since   timestamptz NOT NULL,
    CONSTRAINT fence_held CHECK (writer = epoch)
) WITH (fillfactor = 10);
INSERT INTO fence (epoch, writer, batches, holder, since) VALUES (0, 0, 0, '', now());

CREATE TABLE person (
    id    uuid PRIMARY KEY,
    added timestamptz NOT NULL,
    name  text NOT NULL
);

CREATE TABLE device (
    id        uuid PRIMARY KEY,
    person    uuid NOT NULL REFERENCES person (id),
    enrolled  timestamptz NOT NULL,
    revoked   timestamptz,
    algorithm text NOT NULL,
    key       bytea NOT NULL UNIQUE
);

CREATE TABLE code (
    hash    bytea PRIMARY KEY CHECK (octet_length(hash) = 32),
    person  uuid NOT NULL REFERENCES person (id),
    used_by uuid,
    expires timestamptz NOT NULL
);

-- `place` keeps the order in which accounts were opened. A row is as of the transfer `last`; newer ones are replayed at
-- a start. A third of each page stays free: an update then finds room
-- beside the old row and leaves the indexes alone.
CREATE TABLE account (
    place           bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    transfers       bigint NOT NULL CHECK (transfers >= 0),
    last            bigint NOT NULL CHECK (last >= transfers),
    opened          timestamptz NOT NULL,
    id              uuid NOT NULL UNIQUE,
    owner           uuid,
    kind            smallint NOT NULL,
    state           smallint NOT NULL,
    frozen          smallint NOT NULL,
    asset           text NOT NULL,
    debit_max       numeric(39) CHECK (debit_max >= 0),
    balance_max     numeric(39) CHECK (balance_max >= 0),
    debits_posted   numeric(39) NOT NULL CHECK (debits_posted >= 0),
    credits_posted  numeric(39) NOT NULL CHECK (credits_posted >= 0),
    debits_pending  numeric(39) NOT NULL CHECK (debits_pending >= 0),
    credits_pending numeric(39) NOT NULL CHECK (credits_pending >= 0),
    chain           bytea NOT NULL CHECK (octet_length(chain) = 32)
) WITH (fillfactor = 70);

CREATE TABLE owner (
    account uuid PRIMARY KEY,
    person  uuid REFERENCES person (id),
    label   text NOT NULL
);

CREATE INDEX owner_person ON owner (person, account) WHERE person IS NOT NULL;

CREATE TABLE chain (
    sequence bigint NOT NULL CHECK (sequence > 0),
    device   uuid NOT NULL,
    account  uuid NOT NULL,
    hash     bytea NOT NULL CHECK (octet_length(hash) = 32),
    PRIMARY KEY (device, account)
) WITH (fillfactor = 70);

-- No index on accounts: an account's history is walked along the backlinks, newest first. Ids begin with the time, so
-- the index on them grows at its end.
CREATE TABLE transfer (
    number       bigint PRIMARY KEY,
    prev_debit   bigint NOT NULL CHECK (prev_debit >= 0 AND prev_debit < number),
    prev_credit  bigint NOT NULL CHECK (prev_credit >= 0 AND prev_credit < number),
    pending      bigint CHECK (pending > 0 AND pending < number),
    at           timestamptz NOT NULL,
    effective    timestamptz CHECK (effective < at), -- the value date, if it is not `at`
    id           uuid NOT NULL UNIQUE,
    debit        uuid NOT NULL,
    credit       uuid NOT NULL CHECK (credit <> debit),
    kind         smallint NOT NULL,
    asset        text NOT NULL,
    amount       numeric(39) NOT NULL CHECK (amount > 0),
    released     numeric(39) CHECK (released > 0), -- of a hold that it ends
    debit_chain  bytea NOT NULL CHECK (octet_length(debit_chain) = 32),
    credit_chain bytea NOT NULL CHECK (octet_length(credit_chain) = 32),
    order_digest bytea CHECK (octet_length(order_digest) = 16) -- of an order that its rows do not tell wholly, else NULL
);

CREATE TABLE hold (
    number  bigint NOT NULL CHECK (number > 0),
    expires timestamptz NOT NULL,
    id      uuid PRIMARY KEY,
    debit   uuid NOT NULL,
    credit  uuid NOT NULL CHECK (credit <> debit),
    asset   text NOT NULL,
    amount  numeric(39) NOT NULL CHECK (amount > 0)
);

-- An account's counters after every 1,024th of its transfers: from there a balance of the past is walked to.
CREATE TABLE mark (
    transfers       bigint NOT NULL CHECK (transfers > 0),
    number          bigint NOT NULL CHECK (number >= transfers),
    at              timestamptz NOT NULL,
    account         uuid NOT NULL,
    debits_posted   numeric(39) NOT NULL CHECK (debits_posted >= 0),
    credits_posted  numeric(39) NOT NULL CHECK (credits_posted >= 0),
    debits_pending  numeric(39) NOT NULL CHECK (debits_pending >= 0),
    credits_pending numeric(39) NOT NULL CHECK (credits_pending >= 0),
    PRIMARY KEY (account, at, number)
);

-- Velocity limits and what was used of them; like its account's row, a row is as of that row's newest transfer.
CREATE TABLE velocity (
    window_ms  bigint NOT NULL CHECK (window_ms > 0),
    count_max  bigint CHECK (count_max >= 0),
    count      bigint NOT NULL CHECK (count >= 0),
    since      timestamptz NOT NULL,
    account    uuid NOT NULL,
    place      smallint NOT NULL,
    amount_max numeric(39) CHECK (amount_max >= 0),
    amount     numeric(39) NOT NULL CHECK (amount >= 0),
    PRIMARY KEY (account, place)
) WITH (fillfactor = 70);

-- `place` keeps the order in which sets were made.
CREATE TABLE account_set (
    place  bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    opened timestamptz NOT NULL,
    id     uuid NOT NULL UNIQUE,
    asset  text NOT NULL
);

-- `kind` says what the member is: 1 an account, 2 another set.
CREATE TABLE membership (
    parent uuid NOT NULL REFERENCES account_set (id),
    member uuid NOT NULL CHECK (member <> parent),
    kind   smallint NOT NULL CHECK (kind IN (1, 2)),
    PRIMARY KEY (parent, kind, member)
);

CREATE TABLE watch (
    account uuid PRIMARY KEY,
    tier    smallint NOT NULL,
    action  smallint NOT NULL,
    below   numeric(39) CHECK (below >= 0),
    above   numeric(39) CHECK (above >= 0)
);

CREATE TABLE crossing (
    place     bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    number    bigint NOT NULL CHECK (number >= 0),
    at        timestamptz NOT NULL,
    account   uuid NOT NULL,
    tier      smallint NOT NULL,
    edge      smallint NOT NULL,
    action    smallint NOT NULL,
    threshold numeric(39) NOT NULL CHECK (threshold >= 0),
    balance   text NOT NULL -- with a sign
);

-- Transfers with a value date before their booking: few, and looked for by that date.
CREATE TABLE backdated (
    effective timestamptz NOT NULL,
    number    bigint NOT NULL,
    account   uuid NOT NULL,
    PRIMARY KEY (account, effective, number)
);

-- Orders that were refused, by their ids, which are used up.
CREATE TABLE burnt (
    at          timestamptz NOT NULL,
    id          uuid PRIMARY KEY,
    why         smallint NOT NULL,
    fingerprint bytea NOT NULL CHECK (octet_length(fingerprint) = 32)
);

-- Transfers that orders reversed: each at most once.
CREATE TABLE reversal (
    original bigint PRIMARY KEY,
    reversal bigint NOT NULL CHECK (reversal > original)
);

-- Orders that were carried out together; with their transfers they open an entry of the log.
CREATE TABLE order_batch (
    first bigint PRIMARY KEY,
    count bigint NOT NULL CHECK (count >= 0),
    leaf  bigint NOT NULL,
    at    timestamptz NOT NULL,
    key   bytea NOT NULL CHECK (octet_length(key) = 32),
    salt  bytea NOT NULL CHECK (octet_length(salt) = 32)
);

-- What happened beside the transfers, in order. `position` is the number of the transfer that came next.
CREATE TABLE event (
    seq      bigint PRIMARY KEY,
    position bigint NOT NULL,
    at       timestamptz NOT NULL,
    subject  uuid NOT NULL,
    kind     smallint NOT NULL
);

-- `place` is the order of arrival; the columns beside the state are for screening's memory and for auditors.
-- A state holds signatures and hashes, which do not compress, and fits into its row: it stays there as it is.
CREATE TABLE payment (
    place    bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    received timestamptz NOT NULL,
    id       uuid NOT NULL UNIQUE,
    payer    uuid NOT NULL,
    payee    uuid NOT NULL,
    device   uuid NOT NULL,
    status   smallint NOT NULL,
    asset    text NOT NULL,
    amount   numeric(39) NOT NULL CHECK (amount >= 0),
    state    bytea NOT NULL
) WITH (toast_tuple_target = 8160);
ALTER TABLE payment ALTER COLUMN state SET STORAGE EXTERNAL;
CREATE INDEX payment_waiting ON payment (id) WHERE status IN (1, 2);
-- Payments arrive in the order of time, so a few bytes for each stretch of the table are index enough.
CREATE INDEX payment_received ON payment USING brin (received);

CREATE TABLE leaf (
    idx     bigint PRIMARY KEY CHECK (idx >= 0),
    payment uuid,
    leaf    bytea NOT NULL
);

-- Which tree heads of the log were signed. No two follow the same one. Signatures do not compress.
CREATE TABLE head (
    size           bigint PRIMARY KEY,
    previous_size  bigint NOT NULL UNIQUE CHECK (previous_size >= 0 AND previous_size < size),
    issued         timestamptz NOT NULL,
    root           bytea NOT NULL CHECK (octet_length(root) = 32),
    note           text NOT NULL,
    root_signature bytea NOT NULL,
    token          bytea NOT NULL
) WITH (toast_tuple_target = 8160);
ALTER TABLE head
    ALTER COLUMN note SET STORAGE EXTERNAL,
    ALTER COLUMN root_signature SET STORAGE EXTERNAL,
    ALTER COLUMN token SET STORAGE EXTERNAL;
-- How often the log was opened.
CREATE TABLE log_epoch (
    one   boolean PRIMARY KEY DEFAULT true CHECK (one),
    epoch bigint NOT NULL
);
INSERT INTO log_epoch (epoch) VALUES (0);

-- Instructions to the clearing partner that are not yet confirmed or returned.
CREATE TABLE rail (
    at      timestamptz NOT NULL,
    payment uuid PRIMARY KEY,
    account uuid NOT NULL,
    asset   text NOT NULL,
    amount  numeric(39) NOT NULL CHECK (amount > 0),
    purpose text NOT NULL
);

-- Money brought in, by its transfer's id: a repeated order is recognised by it.
CREATE TABLE funding (
    id      uuid PRIMARY KEY,
    account uuid NOT NULL,
    amount  numeric(39) NOT NULL CHECK (amount > 0)
);

CREATE TABLE alarm (
    number  bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    size    bigint NOT NULL,
    at      timestamptz NOT NULL,
    device  uuid NOT NULL,
    payment uuid NOT NULL,
    kind    text NOT NULL,
    root    bytea NOT NULL CHECK (octet_length(root) = 32)
);
