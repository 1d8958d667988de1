# Why a payment was refused: one message for each refusal code.

refusal-unknown_payee = The payee’s account does not exist.
refusal-payer_asset_mismatch = The payer’s account holds another asset.
refusal-payee_asset_mismatch = The payee’s account holds another asset.
refusal-insufficient_funds = The available balance does not cover the amount and the fee.
refusal-payer_frozen = The payer’s account is frozen.
refusal-payee_frozen = The payee’s account is frozen.
refusal-overflow = A balance would exceed what an account can hold.
refusal-risk = Screening refused the payment. The decision gives the reasons.
refusal-step_up_expired = No fresh proof came in time.
refusal-hold_expired = No operator released the payment in time.
refusal-rejected = An operator rejected the payment.
refusal-account_limit = A limit of the account would be exceeded.
refusal-fee_above_limit = The fee would exceed the payer’s fee limit.
refusal-account_kind = Devices cannot pay from or to an account of this kind.
