# What exactly was wrong with a request: one message for each pair of problem code and reason. Where the reason is open
# text, such as a place in JSON, the message hands it through.

detail-bad_json-syntax = { $why }
detail-bad_json-data = { $why }
detail-bad_json-broken_off = The body broke off before its end.

detail-bad_query-unknown = The parameter { $field }: unknown here.
detail-bad_query-twice = The parameter { $field }: given twice.
detail-bad_query-range = The parameter { $field }: expected 1 to { $most }.
detail-bad_query-receipt_kind = The parameter { $field }: expected payment or compensation.
detail-bad_query-page = The parameter { $field }: not a page of this statement.
detail-bad_query-form = The parameter { $field }: { $why }
detail-bad_query-cursor = The parameter { $field }: not a cursor of this list.
detail-bad_query-missing = The parameter { $field } is missing.

detail-bad_value-name = The member { $field }: a name has 1 to 64 bytes and no control characters.
detail-bad_value-account_kind = The member { $field }: expected custodial, self_custodial, external or operating.
detail-bad_value-owner = The member { $field }: accounts of the kinds external and operating, and no others, belong to nobody.
detail-bad_value-zero = The member { $field }: the amount must be above zero.
detail-bad_value-too_many = The member { $field }: at most { $most } at once.
detail-bad_value-count = The member { $field }: expected 1 to { $most }.
detail-bad_value-transfer_id = The header { $field }: expected the transfer’s id, trf_ and 26 characters of 0-9 a-z, made by who sends it.
detail-bad_value-code = The member { $field }: not one of the values that are known.
detail-bad_value-client_id = The member { $field }: a client’s id has 3 to 48 of a-z, 0-9, - and ., and begins with a letter or digit.
detail-bad_value-redirect_uri = The member { $field }: each is an https address in normal form without user name, fragment or dot segments; http only for 127.0.0.1 and [::1] with a port.
detail-bad_value-redirect_uris = The member { $field }: a client that asks people has 1 to 8 addresses, each once; any other has none.
detail-bad_value-jwks = The member { $field }: expected exactly one of jwks (a JWK Set with 1 to 8 public keys, Ed25519 or P-256), certificates, tls_client_auth_san_dns, tls_client_auth_san_uri, tls_client_auth_san_ip, tls_client_auth_san_email and tls_client_auth_subject_dn.
detail-bad_value-private_key = The member { $field } contains a private key. Treat that key as stolen: make a new one and send its public part.
detail-bad_value-certificates = The member { $field }: expected 1 to 8 certificates in DER and base64, each once, valid now and usable by a TLS client; or one host, address, mailbox or whole subject (RFC 4514) that the client’s certificate is for.
detail-bad_value-overlap = The member { $field }: what a client proved itself with before ends at once, or at a time within the next 30 days.
detail-bad_value-unchanged = The member { $field }: the client proves itself with just that already. Leave the member out to end what it proved itself with before.
detail-bad_value-grants = The member { $field }: expected at least one known grant, each once; refresh_token goes with authorization_code.
detail-bad_value-scopes = The member { $field }: expected at least one of balance:read, payments:read and statements:read, and no more than was asked for.
detail-bad_value-accounts = The member { $field }: expected 1 to { $most } accounts, each once.
detail-bad_value-until = The member { $field }: expected a time in the future, at most 366 days from now.
detail-bad_value-oneself = The member { $field }: what is one’s own need not be delegated to oneself.
detail-bad_value-grantee = The member { $field }: name either a client or a person.

detail-bad_statement-codec_shape = The bytes are not in the form of a statement: { $why }
detail-bad_statement-codec_value = The statement’s field { $member } holds a value that is not allowed.
detail-bad_statement-codec_not_deterministic = The statement is not in deterministic encoding. Encode it as RFC 8949 §4.2.1 says.
detail-bad_statement-bad_signature = The statement’s signature does not verify under the device’s key.
detail-bad_statement-bad_key = The key is not valid for its algorithm.
detail-bad_statement-too_large = The statement is larger than the { $most } bytes allowed.
detail-bad_statement-malformed = The bytes are no signed statement: { $why }.
detail-bad_statement-unknown_algorithm = The signature algorithm { $number } is not accepted here. Sign with Ed25519 or ES256.
detail-bad_statement-wrong_key = The statement names another key or algorithm than the device has.
detail-bad_statement-other = { $why }

detail-bad_proof-too_long = The proof is longer than 4096 bytes.
detail-bad_proof-parts = The proof does not have exactly three parts.
detail-bad_proof-base64 = A part of the proof is not base64url without padding.
detail-bad_proof-json = A part of the proof is not a JSON object.
detail-bad_proof-duplicate_member = A JSON object in the proof names a member twice.
detail-bad_proof-critical = The proof’s header demands extensions that are not supported.
detail-bad_proof-wrong_type = The proof’s typ is not dpop+jwt.
detail-bad_proof-wrong_algorithm = The proof’s alg is not EdDSA, Ed25519 or ES256.
detail-bad_proof-private_key = The proof contains private key material. Treat that key as stolen.
detail-bad_proof-bad_key = The proof’s jwk is not a public key that fits its alg.
detail-bad_proof-bad_claim = The proof’s { $member } is missing or not valid.
detail-bad_proof-bad_signature = The proof’s signature does not verify.
detail-bad_proof-wrong_method = The proof is for another HTTP method.
detail-bad_proof-wrong_url = The proof is for another address.
detail-bad_proof-stale = The proof is too old. Check the device’s clock.
detail-bad_proof-future = The proof is from the future. Check the device’s clock.
detail-bad_proof-wrong_token = The proof does not belong to the access token that came with it.
detail-bad_proof-replayed = The proof was used before. Make a new one for each request.
detail-bad_proof-forgotten = The proof is from before the server can remember. Make a new one.
detail-bad_proof-other = { $why }

detail-bad_token-too_long = The access token is longer than 4096 bytes.
detail-bad_token-parts = The access token does not have exactly three parts.
detail-bad_token-base64 = A part of the access token is not base64url without padding.
detail-bad_token-json = A part of the access token is not a JSON object.
detail-bad_token-duplicate_member = A JSON object in the access token names a member twice.
detail-bad_token-critical = The access token’s header demands extensions that are not supported.
detail-bad_token-wrong_type = The access token’s typ is not at+jwt.
detail-bad_token-wrong_algorithm = The access token’s alg is not EdDSA.
detail-bad_token-bad_signature = The access token was not signed by this server.
detail-bad_token-bad_claim = The access token’s { $member } is missing or not valid.
detail-bad_token-wrong_server = The access token is for another server.
detail-bad_token-expired = The access token has expired. Request a new one at POST /v1/tokens.
detail-bad_token-future = The access token is from the future.
detail-bad_token-not_bound = The access token is bound to another device key.
detail-bad_token-other = { $why }

detail-account_needed-issuance = Money comes in from an asset’s issuance account. It is never closed.
detail-account_needed-instructed = A payment of the account is at a clearing partner, which may still return it. Close the account when the partner has confirmed or returned it.

detail-ledger_refused-account_exists = The account exists already. Use another id.
detail-ledger_refused-unknown_account = An account does not exist. Open it first.
detail-ledger_refused-same_account = The same account stands on both sides. Choose two different accounts.
detail-ledger_refused-zero_amount = The amount is zero. A transfer moves at least one minor unit.
detail-ledger_refused-payer_frozen = The debited account is frozen. Unfreeze it first.
detail-ledger_refused-payee_frozen = The credited account is frozen. Unfreeze it first.
detail-ledger_refused-insufficient_funds = { $needed } minor units are needed and { $available } are available. Bring money in.
detail-ledger_refused-limit_exceeded = A limit of the account is { $most } minor units. Send less or change the limit.
detail-ledger_refused-overflow = A sum would exceed what the ledger can count. Send less.
detail-ledger_refused-already_frozen = The account is frozen for this reason already.
detail-ledger_refused-not_frozen = The account is not frozen for this reason.
detail-ledger_refused-other = { $why }
detail-ledger_refused-account_closed = The account is closed for ever. Use another account.
detail-ledger_refused-balance_not_zero = The balance is { $balance } minor units. Bring it to zero before closing the account.
detail-ledger_refused-holds_open = Holds are open on the account. Post or void them before closing it.
detail-ledger_refused-velocity_count = At most 4 velocity limits at once.
detail-ledger_refused-velocity_window = A velocity limit needs a window of at least one second.
detail-ledger_refused-velocity_unlimited = A velocity limit limits neither amount nor count. Give one of them.
detail-ledger_refused-watch_empty = A watch needs a lower or an upper threshold.
detail-ledger_refused-watch_thresholds = The lower threshold lies above the upper one. Exchange them.
detail-ledger_refused-not_watched = The account is not watched.
detail-ledger_refused-set_exists = This account set exists already.
detail-ledger_refused-unknown_set = There is no such account set. Make it first.
detail-ledger_refused-set_asset = The member holds another asset than the set.
detail-ledger_refused-set_cycle = The set would contain itself. Choose another member.
detail-ledger_refused-set_too_deep = Sets would lie within each other more than 8 levels deep.
detail-ledger_refused-already_member = The member belongs to the set already.
detail-ledger_refused-not_member = The member does not belong to the set directly. Name the set that it belongs to.

detail-exists_with_different-opening = The { $field } amount differs from the one with which this account was opened. Ask for the same again, or use new ids.
detail-forbidden-disowned_device = You said at another device that you had not begun what this one asked for. It changes and pays nothing any more: revoke it from another device, or have an operator do so, and enrol this one anew.
detail-forbidden-own_favour = Nobody decides in their own favour, and this is about an account or a payment of yours. Leave it to somebody whom it does not concern.

detail-bad_partner_statement-too_large = The file is larger than { $most } bytes. Split it by day.
detail-bad_partner_statement-too_many_lines = There are more than { $most } lines. Split the statement by day.
detail-bad_partner_statement-encoding = The file is not UTF-8 but { $found }. Save it as UTF-8.
detail-bad_partner_statement-xml = Malformed XML at byte { $number }: { $why }. Ask the partner for the file again.
detail-bad_partner_statement-document_type = The file has a document type definition, which no statement has. It was not read.
detail-bad_partner_statement-entity = The entity { $found } is not one of XML’s own. The file was not read.
detail-bad_partner_statement-too_deep = Elements lie within each other more than { $most } deep: this is no statement.
detail-bad_partner_statement-text_too_long =
    { $place ->
        [statement] Statement { $number }
        [entry] Entry { $number }
        [line] Line { $number }
       *[document] The document
    }: the text of { $part } is longer than { $most } bytes.
detail-bad_partner_statement-not_a_statement = This is no camt.053 statement but { $found }. Ask the partner for camt.053 or CSV.
detail-bad_partner_statement-version = Version { $found } of camt.053 is not known. Versions 02 to 13 are read.
detail-bad_partner_statement-pages =
    { $place ->
        [statement] Statement { $number }
        [entry] Entry { $number }
        [line] Line { $number }
       *[document] The document
    }: this is only one of several pages. Ask for the statement in one message.
detail-bad_partner_statement-no_statement = The file has no statement of the account { $found }.
detail-bad_partner_statement-several_accounts = The file has statements of { $found } and of { $other }. Say which account is meant.
detail-bad_partner_statement-missing =
    { $place ->
        [statement] Statement { $number }
        [entry] Entry { $number }
        [line] Line { $number }
       *[document] The document
    }: { $part } is missing.
detail-bad_partner_statement-repeated =
    { $place ->
        [statement] Statement { $number }
        [entry] Entry { $number }
        [line] Line { $number }
       *[document] The document
    }: { $part } is there a second time.
detail-bad_partner_statement-field =
    { $place ->
        [statement] Statement { $number }
        [entry] Entry { $number }
        [line] Line { $number }
       *[document] The document
    }: { $found } is no { $part } that is understood.
detail-bad_partner_statement-amount =
    { $place ->
        [statement] Statement { $number }
        [entry] Entry { $number }
        [line] Line { $number }
       *[document] The document
    }: { $found } is no amount in whole minor units of { $said }.
detail-bad_partner_statement-currency =
    { $place ->
        [statement] Statement { $number }
        [entry] Entry { $number }
        [line] Line { $number }
       *[document] The document
    }: the currency is { $found }, but the account holds { $said }.
detail-bad_partner_statement-sum =
    { $place ->
        [statement] Statement { $number }
        [entry] Entry { $number }
        [line] Line { $number }
       *[document] The document
    }: the lines lead to the balance { $found }, but the statement says { $said }.
detail-bad_partner_statement-summary =
    { $place ->
        [statement] Statement { $number }
        [entry] Entry { $number }
        [line] Line { $number }
       *[document] The document
    }: the summary says { $said } for { $part }, but the entries give { $found }.
detail-bad_partner_statement-details =
    { $place ->
        [statement] Statement { $number }
        [entry] Entry { $number }
        [line] Line { $number }
       *[document] The document
    }: the details add up to { $found }, but the entry says { $said }.
detail-bad_partner_statement-column_missing = The header has no column { $part }.
detail-bad_partner_statement-column_unknown = The header has the column { $found }, which is not known. Rename it or take it out.
detail-bad_partner_statement-no_lines = The file has no lines. Say which days it covers.
detail-bad_partner_statement-asset = The statement is of { $found }, but the account holds { $said }.
detail-bad_partner_statement-ledger_order = The ledger’s transfer number { $number } is out of order. Read the account again.
detail-bad_partner_statement-ledger_sum = The ledger’s lines lead to { $found }, not to { $said }. Read the account again.
detail-bad_partner_statement-window = A window of { $most } days is too wide. 0 to 31 are possible.
detail-bad_partner_statement-overflow =
    { $place ->
        [statement] Statement { $number }
        [entry] Entry { $number }
        [line] Line { $number }
       *[document] The document
    }: a sum would not fit in 128 bits.

detail-approval_refused-ended = The request for approval is { $stage } already.
detail-approval_refused-expired = The time for approving it is over. Ask for it anew.
detail-approval_refused-own_operation = Nobody approves what they asked for themselves, or what is in their own favour. Ask somebody else.
detail-approval_refused-again = You have approved it already; each person counts once, with however many devices.
detail-approval_refused-no_role = Voting on this needs the role { $role }. Ask an operator for it.
detail-approval_refused-device_revoked = This device was revoked.
detail-approval_refused-mismatch = The signed statement is about another { $part }. Read the request again and sign what it says.
detail-approval_refused-changed = What is to be done has changed since its approval was asked for. Reject this request and ask anew.
detail-approval_refused-stale = The signed statement is older than five minutes. Sign it again.
detail-approval_refused-from_future = The signed statement was made in the future. Set the clock of the device.
detail-approval_refused-full = The request has as many votes as are kept. Ask for it anew.
detail-roles_refused-own_roles = Nobody changes their own roles. Ask another operator.
detail-roles_refused-last_operator = This person is the last operator. Make another person one first.
detail-bad_token-role_changed = The roles of this person have changed since the token was given. Get another token.

detail-factor_not_now-too_many_addresses = There are as many addresses as are kept. Remove one first.
detail-factor_not_now-no_address = There is no confirmed address for this. Read your addresses and confirm one.
detail-factor_not_now-channel_off = This server sends no messages by this channel. Use another factor.
detail-factor_not_now-not_sent = The message could not be sent. Ask again after half a minute, or use another factor.
detail-factor_not_now-no_other_device = There is no other device of yours that could be asked. Enrol one, or use another factor.
detail-factor_not_now-waiting = Nobody has answered at the other device yet. Ask again in two seconds.
