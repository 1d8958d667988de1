# 请求究竟错在哪里：每一对问题代码与原因一条。原因为开放文本（如 JSON 中的位置）时，消息照录原文。

detail-bad_json-syntax = 请求体不是合法的 JSON：{ $why }
detail-bad_json-data = 请求体不是此处要求的 JSON：{ $why }
detail-bad_json-broken_off = 请求体在结束之前中断。

detail-bad_query-unknown = 参数 { $field }：此处不支持。
detail-bad_query-twice = 参数 { $field }：重复出现。
detail-bad_query-range = 参数 { $field }：应为 1 至 { $most }。
detail-bad_query-receipt_kind = 参数 { $field }：应为 payment 或 compensation。
detail-bad_query-page = 参数 { $field }：不是该对账单的页。
detail-bad_query-form = 参数 { $field } 的格式不符：{ $why }
detail-bad_query-cursor = 参数 { $field }：不是本列表的游标。
detail-bad_query-missing = 缺少参数 { $field }。

detail-bad_value-name = 字段 { $field }：名称为 1 至 64 字节，且不含控制字符。
detail-bad_value-account_kind = 字段 { $field }：应为 custodial、self_custodial、external 或 operating。
detail-bad_value-owner = 字段 { $field }：只有 external 与 operating 类账户不属于任何人。
detail-bad_value-zero = 字段 { $field }：金额必须大于零。
detail-bad_value-too_many = 字段 { $field }：一次最多 { $most } 个。
detail-bad_value-count = 字段 { $field }：应为 1 至 { $most } 个。
detail-bad_value-transfer_id = 请求头 { $field }：应为由发送方生成的转账编号，即 trf_ 加 26 个 0-9 a-z 字符。
detail-bad_value-code = 字段 { $field }：不是已知的取值。
detail-bad_value-client_id = 字段 { $field }：客户端标识为 3 至 48 个 a-z、0-9、- 与 . 字符，以字母或数字开头。
detail-bad_value-redirect_uri = 字段 { $field }：每个都须为规范形式的 https 地址，不含用户名、片段与点段；只有带端口的 127.0.0.1 与 [::1] 可用 http。
detail-bad_value-redirect_uris = 字段 { $field }：向用户请求授权的客户端须有 1 至 8 个互不相同的地址，其余客户端不得有地址。
detail-bad_value-jwks = 字段 { $field }：应只填一项：jwks（含 1 至 8 个 Ed25519 或 P-256 公钥的 JWK Set）、certificates、tls_client_auth_san_dns、tls_client_auth_san_uri、tls_client_auth_san_ip、tls_client_auth_san_email 或 tls_client_auth_subject_dn。
detail-bad_value-private_key = 字段 { $field } 含有私钥。请视该密钥已泄露：另建密钥，只发送公钥部分。
detail-bad_value-certificates = 字段 { $field }：应为 1 至 8 个 DER 证书（base64 编码），互不相同、当前有效且可用于 TLS 客户端；或客户端证书所属的一个主机名、地址、邮箱或完整主体名称（RFC 4514）。
detail-bad_value-overlap = 字段 { $field }：客户端以前的身份凭据要么立即失效，要么在今后 30 天内的某个时间失效。
detail-bad_value-unchanged = 字段 { $field }：客户端已经在用同样的凭据。若要让以前的凭据立即失效，请不要填写此字段。
detail-bad_value-grants = 字段 { $field }：至少需要一种已知的授权方式，各不重复；refresh_token 须与 authorization_code 同用。
detail-bad_value-scopes = 字段 { $field }：至少需要 balance:read、payments:read、statements:read 之一，且不得超出所请求的范围。
detail-bad_value-accounts = 字段 { $field }：应为 1 至 { $most } 个互不相同的账户。
detail-bad_value-until = 字段 { $field }：应为未来的时间，距今最多 366 天。
detail-bad_value-oneself = 字段 { $field }：无需把自己的账户委托给自己。
detail-bad_value-grantee = 字段 { $field }：请指定客户端或个人，二者取一。

detail-bad_statement-codec_shape = 字节内容不符合声明的格式：{ $why }
detail-bad_statement-codec_value = 声明的字段 { $member } 的值不被允许。
detail-bad_statement-codec_not_deterministic = 声明未采用确定性编码，请按 RFC 8949 §4.2.1 编码。
detail-bad_statement-bad_signature = 声明的签名无法用该设备的密钥验证。
detail-bad_statement-bad_key = 密钥不符合其算法。
detail-bad_statement-too_large = 声明超过允许的 { $most } 字节。
detail-bad_statement-malformed = 字节内容不是签名声明：{ $why }。
detail-bad_statement-unknown_algorithm = 此处不接受签名算法 { $number }，请用 Ed25519 或 ES256 签名。
detail-bad_statement-wrong_key = 声明所写的密钥或算法与设备的不同。
detail-bad_statement-other = 签名声明无效：{ $why }

detail-bad_proof-too_long = 证明超过 4096 字节。
detail-bad_proof-parts = 证明应恰好有三个部分。
detail-bad_proof-base64 = 证明的某一部分不是无填充的 base64url。
detail-bad_proof-json = 证明的某一部分不是 JSON 对象。
detail-bad_proof-duplicate_member = 证明中的 JSON 对象有重复的字段。
detail-bad_proof-critical = 证明的头部要求不受支持的扩展。
detail-bad_proof-wrong_type = 证明的 typ 不是 dpop+jwt。
detail-bad_proof-wrong_algorithm = 证明的 alg 不是 EdDSA、Ed25519 或 ES256。
detail-bad_proof-private_key = 证明中含有私钥，请视该密钥为已泄露。
detail-bad_proof-bad_key = 证明的 jwk 不是与其 alg 相符的公钥。
detail-bad_proof-bad_claim = 证明的 { $member } 缺失或无效。
detail-bad_proof-bad_signature = 证明的签名无法验证。
detail-bad_proof-wrong_method = 证明是为另一个 HTTP 方法生成的。
detail-bad_proof-wrong_url = 证明是为另一个地址生成的。
detail-bad_proof-stale = 证明已过时，请检查设备的时钟。
detail-bad_proof-future = 证明的时间在未来，请检查设备的时钟。
detail-bad_proof-wrong_token = 证明与随附的访问令牌不符。
detail-bad_proof-replayed = 证明已被使用过，请为每次请求生成新的证明。
detail-bad_proof-forgotten = 证明早于服务器的记录，请生成新的证明。
detail-bad_proof-other = DPoP 证明无效：{ $why }

detail-bad_token-too_long = 访问令牌超过 4096 字节。
detail-bad_token-parts = 访问令牌应恰好有三个部分。
detail-bad_token-base64 = 访问令牌的某一部分不是无填充的 base64url。
detail-bad_token-json = 访问令牌的某一部分不是 JSON 对象。
detail-bad_token-duplicate_member = 访问令牌中的 JSON 对象有重复的字段。
detail-bad_token-critical = 访问令牌的头部要求不受支持的扩展。
detail-bad_token-wrong_type = 访问令牌的 typ 不是 at+jwt。
detail-bad_token-wrong_algorithm = 访问令牌的 alg 不是 EdDSA。
detail-bad_token-bad_signature = 访问令牌不是由本服务器签发的。
detail-bad_token-bad_claim = 访问令牌的 { $member } 缺失或无效。
detail-bad_token-wrong_server = 访问令牌是给另一台服务器的。
detail-bad_token-expired = 访问令牌已过期，请向 POST /v1/tokens 申请新的令牌。
detail-bad_token-future = 访问令牌的时间在未来。
detail-bad_token-not_bound = 访问令牌绑定的是另一个设备密钥。
detail-bad_token-other = 访问令牌无效：{ $why }

detail-account_needed-issuance = 资产的资金由其发行账户转入，发行账户不能关闭。
detail-account_needed-instructed = 该账户有一笔支付正在清算伙伴处，可能被退回。待伙伴确认或退回后再关闭。

detail-ledger_refused-account_exists = 账户已存在，请换一个编号。
detail-ledger_refused-unknown_account = 有一个账户不存在，请先开立。
detail-ledger_refused-same_account = 收付双方是同一个账户，请选择两个不同的账户。
detail-ledger_refused-zero_amount = 金额为零，转账至少为一个最小单位。
detail-ledger_refused-payer_frozen = 付款账户已被停用，请先解除。
detail-ledger_refused-payee_frozen = 收款账户已被停用，请先解除。
detail-ledger_refused-insufficient_funds = 需要 { $needed } 个最小单位，可用 { $available } 个，请先入金。
detail-ledger_refused-limit_exceeded = 账户的限额为 { $most } 个最小单位，请减少金额或调整限额。
detail-ledger_refused-overflow = 总额将超出账本的计数上限，请减少金额。
detail-ledger_refused-already_frozen = 账户已因此原因被停用。
detail-ledger_refused-not_frozen = 账户未因此原因被停用。
detail-ledger_refused-other = 账本拒绝：{ $why }
detail-ledger_refused-account_closed = 账户已永久关闭。请使用其他账户。
detail-ledger_refused-balance_not_zero = 余额为 { $balance } 个最小单位。请先清零再关闭账户。
detail-ledger_refused-holds_open = 账户上仍有未了结的冻结。请先入账或撤销，再关闭账户。
detail-ledger_refused-velocity_count = 频度限额最多 4 条。
detail-ledger_refused-velocity_window = 频度限额的时间窗口至少为一秒。
detail-ledger_refused-velocity_unlimited = 频度限额既未限金额也未限次数。请至少给出一项。
detail-ledger_refused-watch_empty = 监控至少需要一个下限或上限阈值。
detail-ledger_refused-watch_thresholds = 下限阈值高于上限阈值。请对调。
detail-ledger_refused-not_watched = 该账户未被监控。
detail-ledger_refused-set_exists = 该账户集合已存在。
detail-ledger_refused-unknown_set = 没有这个账户集合。请先建立。
detail-ledger_refused-set_asset = 该成员的资产与账户集合不同。
detail-ledger_refused-set_cycle = 账户集合会包含自身。请选择其他成员。
detail-ledger_refused-set_too_deep = 账户集合嵌套将超过 8 层。
detail-ledger_refused-already_member = 该成员已属于此账户集合。
detail-ledger_refused-not_member = 该成员不直接属于此账户集合。请指明其直接所属的账户集合。

detail-exists_with_different-opening = { $field } 金额与此账户开立时的不同。请按原样重发，或使用新编号。
detail-forbidden-disowned_device = 您曾在另一台设备上表示，本设备的请求并非您发起。本设备不能再付款，也不能再作任何更改：请在另一台设备上或请操作员吊销它，然后重新登记。
detail-forbidden-own_favour = 任何人不得作出对自己有利的决定，而此事涉及您自己的账户或付款。请交由与此无关的人处理。

detail-bad_partner_statement-too_large = 文件超过 { $most } 字节。请按日拆分。
detail-bad_partner_statement-too_many_lines = 超过 { $most } 行。请按日拆分对账单。
detail-bad_partner_statement-encoding = 文件编码为 { $found }，不是 UTF-8。请另存为 UTF-8。
detail-bad_partner_statement-xml = 第 { $number } 字节处的 XML 不合语法：{ $why }。请向合作方重新索取文件。
detail-bad_partner_statement-document_type = 文件带有文档类型定义，对账单不应有，因此未读取。
detail-bad_partner_statement-entity = 实体 { $found } 不是 XML 自带的，因此文件未读取。
detail-bad_partner_statement-too_deep = 元素嵌套超过 { $most } 层，这不是对账单。
detail-bad_partner_statement-text_too_long =
    { $place ->
        [statement] 第 { $number } 份对账单
        [entry] 第 { $number } 笔分录
        [line] 第 { $number } 行
       *[document] 文件
    }：{ $part } 的文字超过 { $most } 字节。
detail-bad_partner_statement-not_a_statement = 这不是 camt.053 对账单，而是 { $found }。请向合作方索取 camt.053 或 CSV。
detail-bad_partner_statement-version = 不支持 camt.053 版本 { $found }；可读取 02 至 13。
detail-bad_partner_statement-pages =
    { $place ->
        [statement] 第 { $number } 份对账单
        [entry] 第 { $number } 笔分录
        [line] 第 { $number } 行
       *[document] 文件
    }：这只是多页对账单中的一页。请索取单个完整报文。
detail-bad_partner_statement-no_statement = 文件中没有账户 { $found } 的对账单。
detail-bad_partner_statement-several_accounts = 文件中有 { $found } 和 { $other } 的对账单。请指明账户。
detail-bad_partner_statement-missing =
    { $place ->
        [statement] 第 { $number } 份对账单
        [entry] 第 { $number } 笔分录
        [line] 第 { $number } 行
       *[document] 文件
    }：缺少 { $part }。
detail-bad_partner_statement-repeated =
    { $place ->
        [statement] 第 { $number } 份对账单
        [entry] 第 { $number } 笔分录
        [line] 第 { $number } 行
       *[document] 文件
    }：{ $part } 出现了两次。
detail-bad_partner_statement-field =
    { $place ->
        [statement] 第 { $number } 份对账单
        [entry] 第 { $number } 笔分录
        [line] 第 { $number } 行
       *[document] 文件
    }：{ $found } 不是可以理解的 { $part }。
detail-bad_partner_statement-amount =
    { $place ->
        [statement] 第 { $number } 份对账单
        [entry] 第 { $number } 笔分录
        [line] 第 { $number } 行
       *[document] 文件
    }：{ $found } 不是以 { $said } 整数最小单位表示的金额。
detail-bad_partner_statement-currency =
    { $place ->
        [statement] 第 { $number } 份对账单
        [entry] 第 { $number } 笔分录
        [line] 第 { $number } 行
       *[document] 文件
    }：币种为 { $found }，而账户持有 { $said }。
detail-bad_partner_statement-sum =
    { $place ->
        [statement] 第 { $number } 份对账单
        [entry] 第 { $number } 笔分录
        [line] 第 { $number } 行
       *[document] 文件
    }：各行得出余额 { $found }，而对账单写明 { $said }。
detail-bad_partner_statement-summary =
    { $place ->
        [statement] 第 { $number } 份对账单
        [entry] 第 { $number } 笔分录
        [line] 第 { $number } 行
       *[document] 文件
    }：汇总中 { $part } 为 { $said }，而各分录得出 { $found }。
detail-bad_partner_statement-details =
    { $place ->
        [statement] 第 { $number } 份对账单
        [entry] 第 { $number } 笔分录
        [line] 第 { $number } 行
       *[document] 文件
    }：明细合计 { $found }，而分录写明 { $said }。
detail-bad_partner_statement-column_missing = 表头缺少列 { $part }。
detail-bad_partner_statement-column_unknown = 表头中的列 { $found } 无法识别。请改名或删除。
detail-bad_partner_statement-no_lines = 文件没有任何行。请说明所涵盖的日期。
detail-bad_partner_statement-asset = 对账单的资产为 { $found }，而账户持有 { $said }。
detail-bad_partner_statement-ledger_order = 账本中转账编号 { $number } 的次序有误。请重新读取账户。
detail-bad_partner_statement-ledger_sum = 账本各行得出 { $found }，而不是 { $said }。请重新读取账户。
detail-bad_partner_statement-window = { $most } 天的窗口过宽；可用 0 至 31。
detail-bad_partner_statement-overflow =
    { $place ->
        [statement] 第 { $number } 份对账单
        [entry] 第 { $number } 笔分录
        [line] 第 { $number } 行
       *[document] 文件
    }：合计超出 128 位。

detail-approval_refused-ended = 该批准请求已结束（{ $stage }）。
detail-approval_refused-expired = 批准期限已过。请重新申请。
detail-approval_refused-own_operation = 任何人不得批准自己申请的或对自己有利的事项。请由他人批准。
detail-approval_refused-again = 您已批准过；每人只计一次，与设备数量无关。
detail-approval_refused-no_role = 对此表态需要 { $role } 角色。请向运营方申请。
detail-approval_refused-device_revoked = 本设备已被吊销。
detail-approval_refused-mismatch = 签名的声明针对另一个 { $part }。请重新读取请求，按其内容签名。
detail-approval_refused-changed = 自申请批准以来，待办内容已有变化。请拒绝此请求并重新申请。
detail-approval_refused-stale = 签名的声明已超过五分钟。请重新签名。
detail-approval_refused-from_future = 签名的声明来自未来。请校准设备时钟。
detail-approval_refused-full = 该请求的表态数已达上限。请重新申请。
detail-roles_refused-own_roles = 任何人不得变更自己的角色。请由另一位运营方人员操作。
detail-roles_refused-last_operator = 此人是最后一位运营方人员。请先任命另一位。
detail-bad_token-role_changed = 自令牌签发以来，此人的角色已变更。请重新获取令牌。

detail-factor_not_now-too_many_addresses = 地址数量已达上限。请先移除一个。
detail-factor_not_now-no_address = 没有可用于此的已确认地址。请查看您的地址并确认一个。
detail-factor_not_now-channel_off = 此服务器不通过该渠道发送消息。请使用其他认证方式。
detail-factor_not_now-not_sent = 消息未能发送。请半分钟后重试，或使用其他认证方式。
detail-factor_not_now-no_other_device = 没有可以询问的其他设备。请登记一台，或使用其他认证方式。
detail-factor_not_now-waiting = 另一台设备上尚无人答复。请两秒后再次查询。
