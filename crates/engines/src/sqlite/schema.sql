-- The books. Ids are 16 bytes, hashes 32; amounts are 16 bytes, most significant first; times are Unix
-- milliseconds. A seal is the first 8 bytes of a hash of what it stands beside or behind: SQLite has no checksums of its own. A row's
-- seal is over all of it but a `place` or `number` that SQLite gave. The
-- constraints repeat what the ledger has already made sure of: a second line of defence.

CREATE TABLE meta (
    key   TEXT PRIMARY KEY,
    value BLOB NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE person (
    id    BLOB PRIMARY KEY CHECK (length(id) = 16),
    name  TEXT NOT NULL,
    added INTEGER NOT NULL,
    seal  INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE device (
    id        BLOB PRIMARY KEY CHECK (length(id) = 16),
    person    BLOB NOT NULL REFERENCES person (id),
    algorithm TEXT NOT NULL,
    key       BLOB NOT NULL UNIQUE,
    enrolled  INTEGER NOT NULL,
    revoked   INTEGER,
    seal      INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE code (
    hash    BLOB PRIMARY KEY CHECK (length(hash) = 32),
    person  BLOB NOT NULL REFERENCES person (id),
    expires INTEGER NOT NULL,
    used_by BLOB,
    seal    INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- `place` keeps the order in which accounts were opened. A row is as of the transfer `last`; newer ones are replayed at a start.
CREATE TABLE account (
    place          INTEGER PRIMARY KEY,
    id             BLOB NOT NULL UNIQUE CHECK (length(id) = 16),
    asset          TEXT NOT NULL,
    kind           INTEGER NOT NULL,
    owner          BLOB CHECK (length(owner) = 16),
    state          INTEGER NOT NULL,
    frozen         INTEGER NOT NULL,
    debit_max      BLOB,
    balance_max    BLOB,
    debits_posted  BLOB NOT NULL CHECK (length(debits_posted) = 16),
    credits_posted BLOB NOT NULL CHECK (length(credits_posted) = 16),
    debits_pending  BLOB NOT NULL CHECK (length(debits_pending) = 16),
    credits_pending BLOB NOT NULL CHECK (length(credits_pending) = 16),
    transfers      INTEGER NOT NULL,
    last           INTEGER NOT NULL,
    chain          BLOB NOT NULL CHECK (length(chain) = 32),
    opened         INTEGER NOT NULL,
    seal           INTEGER NOT NULL
) STRICT;

CREATE TABLE owner (
    account BLOB PRIMARY KEY CHECK (length(account) = 16),
    person  BLOB REFERENCES person (id),
    label   TEXT NOT NULL,
    seal    INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX owner_person ON owner (person, account) WHERE person IS NOT NULL;

CREATE TABLE chain (
    device   BLOB NOT NULL,
    account  BLOB NOT NULL,
    sequence INTEGER NOT NULL,
    hash     BLOB NOT NULL CHECK (length(hash) = 32),
    seal     INTEGER NOT NULL,
    PRIMARY KEY (device, account)
) STRICT, WITHOUT ROWID;

-- No index on the accounts: an account's history is walked along the backlinks, newest first. Ids are in the order of time, so
-- their index grows at its end.
CREATE TABLE transfer (
    number       INTEGER PRIMARY KEY,
    id           BLOB NOT NULL UNIQUE CHECK (length(id) = 16),
    kind         INTEGER NOT NULL,
    debit        BLOB NOT NULL CHECK (length(debit) = 16),
    credit       BLOB NOT NULL CHECK (length(credit) = 16 AND credit <> debit),
    asset        TEXT NOT NULL,
    amount       BLOB NOT NULL CHECK (length(amount) = 16),
    at           INTEGER NOT NULL,
    effective    INTEGER CHECK (effective < at), -- the value date, if it is not `at`
    pending      INTEGER,
    prev_debit   INTEGER NOT NULL,
    prev_credit  INTEGER NOT NULL,
    debit_chain  BLOB NOT NULL CHECK (length(debit_chain) = 32),
    credit_chain BLOB NOT NULL CHECK (length(credit_chain) = 32),
    released     BLOB CHECK (length(released) = 16), -- of a hold that it ends
    order_digest BLOB CHECK (length(order_digest) = 16), -- of an order that its rows do not tell wholly, else NULL
    seal         INTEGER NOT NULL
) STRICT;

CREATE TABLE hold (
    id      BLOB PRIMARY KEY CHECK (length(id) = 16),
    number  INTEGER NOT NULL,
    debit   BLOB NOT NULL,
    credit  BLOB NOT NULL,
    asset   TEXT NOT NULL,
    amount  BLOB NOT NULL CHECK (length(amount) = 16),
    expires INTEGER NOT NULL,
    seal    INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- `place` is the order of arrival; the columns beside the state are for screening's memory and for auditors.
-- The state ends with its seal.
CREATE TABLE payment (
    place    INTEGER PRIMARY KEY,
    id       BLOB NOT NULL UNIQUE CHECK (length(id) = 16),
    status   INTEGER NOT NULL,
    received INTEGER NOT NULL,
    payer    BLOB NOT NULL,
    payee    BLOB NOT NULL,
    asset    TEXT NOT NULL,
    amount   BLOB NOT NULL CHECK (length(amount) = 16),
    device   BLOB NOT NULL,
    state    BLOB NOT NULL
) STRICT;
CREATE INDEX payment_waiting ON payment (id) WHERE status IN (1, 2);

-- The leaf ends with its seal.
CREATE TABLE leaf (
    idx     INTEGER PRIMARY KEY,
    leaf    BLOB NOT NULL,
    payment BLOB
) STRICT;

-- Instructions to the clearing partner that are not yet confirmed or returned.
CREATE TABLE rail (
    payment BLOB PRIMARY KEY CHECK (length(payment) = 16),
    account BLOB NOT NULL,
    asset   TEXT NOT NULL,
    amount  BLOB NOT NULL CHECK (length(amount) = 16),
    purpose TEXT NOT NULL,
    at      INTEGER NOT NULL,
    seal    INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- Money brought in, by its transfer's id: a repeated order is recognised by it, and compared with what it asked for.
CREATE TABLE funding (
    id      BLOB PRIMARY KEY CHECK (length(id) = 16),
    account BLOB NOT NULL CHECK (length(account) = 16),
    amount  BLOB NOT NULL CHECK (length(amount) = 16),
    seal    INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE alarm (
    number  INTEGER PRIMARY KEY,
    kind    TEXT NOT NULL,
    at      INTEGER NOT NULL,
    device  BLOB NOT NULL,
    payment BLOB NOT NULL,
    size    INTEGER NOT NULL,
    root    BLOB NOT NULL CHECK (length(root) = 32),
    seal    INTEGER NOT NULL
) STRICT;

-- Orders that were refused, by their ids, which are used up.
CREATE TABLE burnt (
    id          BLOB PRIMARY KEY CHECK (length(id) = 16),
    why         INTEGER NOT NULL,
    fingerprint BLOB NOT NULL CHECK (length(fingerprint) = 32),
    at          INTEGER NOT NULL,
    seal        INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- Transfers that orders reversed: each at most once.
CREATE TABLE reversal (
    of   INTEGER PRIMARY KEY,
    by   INTEGER NOT NULL,
    seal INTEGER NOT NULL
) STRICT;

-- Orders that were carried out together; with their transfers they open an entry of the log.
CREATE TABLE order_batch (
    first INTEGER PRIMARY KEY,
    count INTEGER NOT NULL,
    leaf  INTEGER NOT NULL,
    key   BLOB NOT NULL CHECK (length(key) = 32),
    at    INTEGER NOT NULL,
    salt  BLOB NOT NULL CHECK (length(salt) = 32),
    seal  INTEGER NOT NULL
) STRICT;

-- An account's counters after every 1,024th of its transfers: where the way to a balance of the past begins.
CREATE TABLE mark (
    account         BLOB NOT NULL CHECK (length(account) = 16),
    number          INTEGER NOT NULL,
    transfers       INTEGER NOT NULL,
    at              INTEGER NOT NULL,
    debits_posted   BLOB NOT NULL CHECK (length(debits_posted) = 16),
    credits_posted  BLOB NOT NULL CHECK (length(credits_posted) = 16),
    debits_pending  BLOB NOT NULL CHECK (length(debits_pending) = 16),
    credits_pending BLOB NOT NULL CHECK (length(credits_pending) = 16),
    seal            INTEGER NOT NULL,
    PRIMARY KEY (account, at, number)
) STRICT, WITHOUT ROWID;

-- Transfers with a value date before their booking: few, and looked for by that date.
CREATE TABLE backdated (
    account   BLOB NOT NULL CHECK (length(account) = 16),
    effective INTEGER NOT NULL,
    number    INTEGER NOT NULL,
    seal      INTEGER NOT NULL,
    PRIMARY KEY (account, effective, number)
) STRICT, WITHOUT ROWID;

CREATE TABLE velocity (
    account    BLOB NOT NULL CHECK (length(account) = 16),
    place      INTEGER NOT NULL,
    window     INTEGER NOT NULL,
    amount_max BLOB CHECK (length(amount_max) = 16),
    count_max  INTEGER,
    since      INTEGER NOT NULL,
    amount     BLOB NOT NULL CHECK (length(amount) = 16),
    count      INTEGER NOT NULL,
    seal       INTEGER NOT NULL,
    PRIMARY KEY (account, place)
) STRICT, WITHOUT ROWID;

-- `place` keeps the order in which sets were made.
CREATE TABLE account_set (
    place  INTEGER PRIMARY KEY,
    id     BLOB NOT NULL UNIQUE CHECK (length(id) = 16),
    asset  TEXT NOT NULL,
    opened INTEGER NOT NULL,
    seal   INTEGER NOT NULL
) STRICT;

-- `kind` is 1 for an account and 2 for a set.
CREATE TABLE membership (
    parent BLOB NOT NULL CHECK (length(parent) = 16),
    kind   INTEGER NOT NULL,
    member BLOB NOT NULL CHECK (length(member) = 16),
    seal   INTEGER NOT NULL,
    PRIMARY KEY (parent, kind, member)
) STRICT, WITHOUT ROWID;

CREATE TABLE watch (
    account BLOB PRIMARY KEY CHECK (length(account) = 16),
    tier    INTEGER NOT NULL,
    below   BLOB CHECK (length(below) = 16),
    above   BLOB CHECK (length(above) = 16),
    action  INTEGER NOT NULL,
    seal    INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE crossing (
    place     INTEGER PRIMARY KEY,
    account   BLOB NOT NULL CHECK (length(account) = 16),
    number    INTEGER NOT NULL,
    tier      INTEGER NOT NULL,
    edge      INTEGER NOT NULL,
    threshold BLOB NOT NULL CHECK (length(threshold) = 16),
    balance   TEXT NOT NULL,
    at        INTEGER NOT NULL,
    action    INTEGER NOT NULL,
    seal      INTEGER NOT NULL
) STRICT;

-- What happened beside the transfers, in order. `position` is the number of the transfer that came next.
CREATE TABLE event (
    seq      INTEGER PRIMARY KEY,
    position INTEGER NOT NULL,
    at       INTEGER NOT NULL,
    kind     INTEGER NOT NULL,
    subject  BLOB NOT NULL CHECK (length(subject) = 16),
    seal     INTEGER NOT NULL
) STRICT;
