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

arg-export-out = 要写入的文件夹；格式为 asic 时是文件
