# Why an order was not carried out: one message for each code.

order-unknown_debit = The debited account does not exist.
order-unknown_credit = The credited account does not exist.
order-debit_asset_mismatch = The debited account holds another asset.
order-credit_asset_mismatch = The credited account holds another asset.
order-same_account = Both sides are the same account.
order-zero_amount = The amount is zero.
order-debit_frozen = The debited account is frozen.
order-credit_frozen = The credited account is frozen.
order-debit_closed = The debited account is closed.
order-credit_closed = The credited account is closed.
order-insufficient_funds = The debited account does not have enough that is not held.
order-limit_exceeded = A limit of an account would be exceeded.
order-velocity_exceeded = More would leave the account within a window of time than is allowed.
order-condition_failed = A condition does not hold after the order.
order-overflow = A sum would exceed what the ledger can count.
order-leg_count = An order has 1 to 16 legs.
order-duplicate_leg = Two legs have the same id.
order-effective_in_future = The value date lies after the booking.
order-hold_not_open = No such hold is open: it was never made or is resolved.
order-hold_expired = The hold has expired.
order-expiry_past = The hold would expire at once.
order-amount_above_hold = More was to be posted than is held.
order-unknown_original = The transfer to reverse was not made by an order.
order-already_reversed = The transfer was reversed before.
order-persons_account = The debited account is a person’s: only that person’s device can pay from it.
order-effective_hold = A hold has no value date.
order-condition_count = An order has at most 16 conditions.
order-unknown_account = A condition names an account that does not exist.
order-exists_with_different =
    { $field ->
        [order] Another order has this id.
       *[other] Another order has this id and differs in its { $field }.
    } Use a new id for a new order.
order-leg_id_used = The id of a linked leg, or the one under which the hold would expire, was used before. Use a new id for each leg and hold.
order-from_future = The id was made more than a minute in the future. Set the clock that made it.
