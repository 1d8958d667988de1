# 发给人的消息：邮件有主题和正文，短信用简短文字。验证码由收到的人自己输入。

message-code-address =
    .subject = 请确认您的地址
    .body =
        { $code } 是您的验证码，用于确认此地址属于您，{ $minutes } 分钟内有效。

        如果不是您本人申请，则是有人误填了您的地址，您无需处理。
    .short = 验证码 { $code }，用于确认此号码，{ $minutes } 分钟内有效。请勿告诉任何人。
message-code-session =
    .subject = 您的验证码
    .body =
        { $code } 是用于证明您本人身份的验证码，{ $minutes } 分钟内有效，只能使用一次。

        我们的人员绝不会向您索要验证码。如果不是您本人申请，说明有人掌握了您账户的部分信息：请吊销您不认识的设备。
    .short = 验证码 { $code }，用于证明您本人身份，{ $minutes } 分钟内有效。我们绝不会向您索要。
message-code-payment =
    .subject = 付款 { $amount } { $currency } 的验证码
    .body =
        { $code } 用于放行以下付款：

        金额：{ $amount } { $currency }
        收款方：{ $payee }

        { $minutes } 分钟内有效，只能使用一次，且仅用于这笔付款。如果您不想付这笔款，请勿告诉任何人：没有验证码就不会付款。
    .short = 验证码 { $code }：向 { $payee } 付款 { $amount } { $currency }，{ $minutes } 分钟内有效。若非您所愿，请勿告诉任何人。
message-signed =
    .short = 编号 { $reference }
    .mail = 本消息由 { $operator } 签名，可用 tpw message verify 核验。
