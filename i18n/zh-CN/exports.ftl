# 批量验证凭证，以及凭证的其他形式。

## 验证整个文件夹

arg-receipts-in = 使用所有处理器核心，验证此文件夹及其下各级文件夹中的所有凭证（.tpr）
head-level = 级别
verify-all-judging = 正在验证
verify-all-invalid = { $file }：无效：{ $layer }：{ $reason }
verify-all-missing = 没有错误，但签名、日志条目和时间戳并不齐全
verify-all-done = { $all } 份凭证中 { $valid } 份有效；{ $invalid } 份无效，{ $unread } 份无法读取（{ $ms } 毫秒）
error-no-receipts-in = { $path } 中没有凭证
error-no-receipts-in-help = 凭证文件的后缀是 .tpr
error-folders-deep = 文件夹 { $path } 层级过深
error-folders-deep-help = 请验证更下层的文件夹

## 打印

help-tpw-receipt-print = 将凭证打印为网页或 PDF，其中附有凭证文件本身
arg-print-out = 要写入的文件
arg-format = 输出格式
arg-font = 含有凭证全部字符的字体，如中文字体（TrueType）；输出 PDF 时必需
print-title-payment = 付款凭证
print-title-compensation = 付款冲正凭证
print-title-genesis = 凭证
print-title-orders = 凭证
print-verdict = 打印时已验证签名、日志条目和时间戳。纸张本身不证明任何事；其中所附的凭证文件可以证明，且无需运营方参与。
print-payment = 付款
print-levels = 已证明的内容
print-decision = 决定与记账
print-evidence = 证据
print-layers = 已检查的部分
print-guide = 如需再次验证，请保存本文档所附的凭证文件，并使用您从运营方取得的信任文件运行：
print-download = 凭证文件
field-sequence = 序列号
field-created = 签名时间
field-received = 收到时间
field-score = 评分
field-reasons = 原因
field-approval = 批准
approval-step_up = 付款方于 { $at } 再次签名，声明 { $hash }
approval-operator = 运营方于 { $at } 放行，密钥 { $hash }
approval-factor = 付款方于 { $at } 另行出示认证因子，证据 { $hash }
field-posting = 记账
field-log = 日志
field-root = 树根
field-file-hash = 凭证文件的 SHA-256
field-trust-hash = 信任文件的 SHA-256
error-font = 无法使用字体 { $path }
error-font-help = 请指定含有全部字符的 TrueType 字体，如文泉驿微米黑（Debian：fonts-wqy-microhei），或打印为 HTML
error-font-missing = 输出 PDF 需要字体
error-font-missing-help = --font FILE

## 其他形式

arg-export-out = 要写入的文件夹；格式为 asic 或 asic-ers 时是文件

## OpenTimestamps

help-tpw-ots = 用 OpenTimestamps 证明文件早于某个比特币区块
help-tpw-ots-stamp = 请日历服务器将文件的哈希写入区块
help-tpw-ots-upgrade = 向证明所列的日历服务器询问是否已写入区块
help-tpw-ots-verify = 用您已有的区块头验证证明
help-tpw-ots-attach = 把检查点的证明写入该日志的凭证文件
help-tpw-ots-info = 显示证明的内容；不作验证
arg-proof-file = 证明文件
arg-stamped-file = 任意文件；只有隐藏其内容的哈希会离开本机
arg-calendars = 可以询问的日历服务器；无论证明中写有什么，都不询问其他服务器
arg-ots-out = 要写入的证明；未指定时写在文件旁，加后缀 .ots
arg-ots-proof = 已含区块的证明
arg-stamped-checkpoint = 所证明的检查点，若不是凭证自己的；此时还需要日志
arg-ots-data = 证明所针对的文件
arg-ots-digest = 证明所针对文件的 SHA-256
arg-headers = 比特币区块头，每个 80 字节，依次相连，取自您信任的来源
arg-first-height = 第一个区块头的高度
arg-network = 区块头所属的网络
ots-stamped = { $file }：{ $all } 个日历服务器中有 { $count } 个已承诺
ots-calendar-failed = { $url } 未给出证明：{ $reason }
ots-pending = { $file }：尚未写入区块
ots-upgraded = { $file }：已写入区块
ots-verified = { $file }：早于高度 { $height }、时间 { $time } 的区块
ots-digest = 文件的 SHA-256：{ $digest }
ots-bitcoin = 在比特币区块 { $height } 中
ots-promise = 由 { $url } 承诺
ots-other = 以此处未知的方式证明
ots-status = 应答 { $status }
error-ots-file = { $path } 不是可读取的 OpenTimestamps 证明
error-ots-stamp = 没有日历服务器给出证明
error-ots-digest = 这不是十六进制的 SHA-256
error-ots-headers = 无法使用 { $path } 中的区块头
error-ots-headers-help = 每个区块头必须承接前一个并具有其声明的工作量；见 --first-height 和 --network
error-ots-other-file = 证明 { $path } 针对的是另一个文件
error-ots-unproved = 按这些区块头，{ $path } 不能证明任何事
error-ots-unproved-help = 请给出 tpw ots info 所列区块的区块头；仅有日历服务器的承诺不能证明任何事
error-ots-no-block = { $path } 尚未含有区块
error-ots-no-block-help = 请先运行 tpw ots upgrade
error-ots-which-checkpoint = 该证明针对的检查点不是凭证自己的
error-ots-which-checkpoint-help = 请用 --checkpoint 给出该检查点，并用 --log 和 --trust 给出日志
error-attach-worse = 加上这个锚定后，{ $path } 能证明的会比现在少
error-attach-worse-help = 凭证保持不变：信任文件或 --headers 中的区块与锚定所述不符
error-ots-address = 无法询问日历服务器
