-- Whether every account's four columns are what its rows come to, and the sums of both sides are the same.
WITH counted AS (
    SELECT t.debit, t.credit,
        CASE WHEN t.kind IN (1, 3) THEN t.amount ELSE 0 END AS posted,
        CASE WHEN t.kind = 2 AND e.id IS NULL THEN t.amount ELSE 0 END AS pending
    FROM transfer t LEFT JOIN transfer e ON e.hold = t.id
), gave AS (
    SELECT debit AS id, sum(posted) AS posted, sum(pending) AS pending FROM counted GROUP BY debit
), got AS (
    SELECT credit AS id, sum(posted) AS posted, sum(pending) AS pending FROM counted GROUP BY credit
)
SELECT bool_and(
        a.debits_posted = coalesce(gave.posted, 0) AND a.debits_pending = coalesce(gave.pending, 0)
        AND a.credits_posted - a.opening = coalesce(got.posted, 0) AND a.credits_pending = coalesce(got.pending, 0))
    AND sum(a.debits_posted) = (SELECT sum(posted) FROM counted)
    AND sum(a.credits_posted - a.opening) = sum(a.debits_posted)
    AND sum(a.debits_pending) = (SELECT sum(pending) FROM counted)
    AND sum(a.credits_pending) = sum(a.debits_pending)
FROM account a LEFT JOIN gave USING (id) LEFT JOIN got USING (id);
