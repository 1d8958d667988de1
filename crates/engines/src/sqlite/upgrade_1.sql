-- From format 1 to 2: the table of money brought in, filled from the transfers out of issuance accounts (kind 4).

CREATE TABLE funding (
    id      BLOB PRIMARY KEY CHECK (length(id) = 16),
    account BLOB NOT NULL CHECK (length(account) = 16),
    amount  BLOB NOT NULL CHECK (length(amount) = 16)
) STRICT, WITHOUT ROWID;

INSERT INTO funding (id, account, amount)
SELECT transfer.id, transfer.credit, transfer.amount
FROM transfer JOIN account ON account.id = transfer.debit
WHERE account.kind = 4;
