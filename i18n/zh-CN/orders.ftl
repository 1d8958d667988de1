# 指令未执行的原因：每个代码一条。

order-unknown_debit = 付出账户不存在。
order-unknown_credit = 收入账户不存在。
order-debit_asset_mismatch = 付出账户持有其他资产。
order-credit_asset_mismatch = 收入账户持有其他资产。
order-same_account = 两方是同一账户。
order-zero_amount = 金额为零。
order-debit_frozen = 付出账户已冻结。
order-credit_frozen = 收入账户已冻结。
order-debit_closed = 付出账户已关闭。
order-credit_closed = 收入账户已关闭。
order-insufficient_funds = 付出账户可用余额不足。
order-limit_exceeded = 将超过账户限额。
order-velocity_exceeded = 将超过账户在时间窗口内允许的转出。
order-condition_failed = 执行后有条件不成立。
order-overflow = 金额之和将超出账本可表示的范围。
order-leg_count = 一个指令有 1 到 16 笔。
order-duplicate_leg = 两笔的标识相同。
order-effective_in_future = 起息日晚于记账时间。
order-hold_not_open = 没有这笔未了结的冻结：从未建立或已了结。
order-hold_expired = 冻结已到期。
order-expiry_past = 冻结会立即到期。
order-amount_above_hold = 入账金额超过冻结金额。
order-unknown_original = 要冲正的转账不是由指令作出的。
order-already_reversed = 该转账已冲正过。
order-persons_account = 付出账户属于个人：只有其设备可以付款。
order-effective_hold = 冻结没有起息日。
order-condition_count = 一个指令最多 16 个条件。
order-unknown_account = 条件中的账户不存在。
order-exists_with_different =
    { $field ->
        [order] 此标识已用于另一指令。
       *[other] 此标识已用于另一指令，其 { $field } 不同。
    }新指令请用新标识。
order-leg_id_used = 关联的一笔或冻结到期所用标识已被使用。每笔和每次冻结请用新标识。
order-from_future = 标识的时间超前一分钟以上。请校准生成它的时钟。
