# Why a payment got its score: one message for each reason code.

reason-amount_high = The amount is high.
reason-amount_unusual = The amount is far above what you usually send.
reason-velocity_1m = Many payments within a minute.
reason-velocity_1h = Many payments, or a high sum, within an hour.
reason-velocity_24h = Many payments, or a high sum, within 24 hours.
reason-velocity_30d = Many payments, or a high sum, within 30 days.
reason-payee_new = This payee has not been paid from this account in the last 30 days.
reason-device_new = The device was enrolled a short time ago.
reason-round_trip = The payee sent a similar amount a short time ago.
reason-asset_limit = The amount is above the limit for one payment.
reason-account_limit = The payment is above a limit of this account.
reason-block_list = The payer or the payee is on the block list.
reason-input_broken = Facts needed for a decision are missing or contradict each other.
