# 风险评分的理由：每个理由代码一条。

reason-amount_high = 金额较大。
reason-amount_unusual = 金额远高于您平时的付款。
reason-velocity_1m = 一分钟内付款次数过多。
reason-velocity_1h = 一小时内付款次数过多或总额过高。
reason-velocity_24h = 24 小时内付款次数过多或总额过高。
reason-velocity_30d = 30 天内付款次数过多或总额过高。
reason-payee_new = 该账户最近 30 天内未向此收款方付过款。
reason-device_new = 该设备刚刚登记不久。
reason-round_trip = 收款方不久前曾转来相近的金额。
reason-asset_limit = 金额超过单笔限额。
reason-account_limit = 付款超过该账户的限额。
reason-block_list = 付款方或收款方在黑名单中。
reason-input_broken = 作出判断所需的信息缺失或互相矛盾。
