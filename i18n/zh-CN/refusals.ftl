# 付款被拒绝的原因：每个拒绝代码一条。

refusal-unknown_payee = 收款账户不存在。
refusal-payer_asset_mismatch = 付款账户持有的是另一种资产。
refusal-payee_asset_mismatch = 收款账户持有的是另一种资产。
refusal-insufficient_funds = 可用余额不足以支付金额和手续费。
refusal-payer_frozen = 付款账户已被停用。
refusal-payee_frozen = 收款账户已被停用。
refusal-overflow = 余额将超出账户的上限。
refusal-risk = 风险审核拒绝了这笔付款，理由见审核结论。
refusal-step_up_expired = 未在规定时间内完成升级认证。
refusal-hold_expired = 未在规定时间内由操作员放行。
refusal-rejected = 操作员拒绝了这笔付款。
refusal-account_limit = 将超出该账户的限额。
refusal-fee_above_limit = 手续费将超出付款方的手续费上限。
refusal-account_kind = 设备不能从此类账户付款，也不能向其付款。
