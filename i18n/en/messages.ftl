# Messages that are sent to people: mails have a subject and a body, an SMS is the short text. The code is typed by whoever reads it.

message-code-address =
    .subject = Confirm your address
    .body =
        { $code } is your code. It shows that this address is yours, and is good for { $minutes } minutes.

        If you did not ask for it, somebody entered your address by mistake, and you need do nothing.
    .short = { $code } confirms this number, for { $minutes } minutes. Tell it to nobody.
message-code-session =
    .subject = Your code
    .body =
        { $code } is your code to prove that it is you. It is good for { $minutes } minutes, once.

        Nobody of ours ever asks you for it. If you did not ask for it yourself, somebody knows more of your account than they should: revoke devices that you do not know.
    .short = { $code } proves that it is you, for { $minutes } minutes. We never ask you for it.
message-code-payment =
    .subject = Your code for a payment of { $amount } { $currency }
    .body =
        { $code } lets this payment go on:

        Amount: { $amount } { $currency }
        To: { $payee }

        It is good for { $minutes } minutes, once, and for this payment alone. If you do not want to pay this, tell the code to nobody: without it nothing is paid.
    .short = { $code } pays { $amount } { $currency } to { $payee }, for { $minutes } minutes. If that is not what you want, tell it to nobody.
message-signed =
    .short = Ref. { $reference }
    .mail = This message is signed by { $operator }. Whether it is so, tpw message verify says.
