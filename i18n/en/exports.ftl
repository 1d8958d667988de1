# Receipts in bulk, and receipts in other forms.

## Verifying a folder

arg-receipts-in = Verify every receipt (.tpr) in this folder and those below it, on all cores
head-level = Level
verify-all-judging = verifying
verify-all-invalid = { $file }: NOT VALID: { $layer }: { $reason }
verify-all-missing = nothing is wrong, but signature, log entry and time-stamp are not all there
verify-all-done = { $valid } of { $all } receipts are valid; { $invalid } not valid, { $unread } could not be read ({ $ms } ms)
error-no-receipts-in = there is no receipt in { $path }
error-no-receipts-in-help = receipts are files that end in .tpr
error-folders-deep = the folder { $path } lies too deep
error-folders-deep-help = verify a folder further down

## Printing

help-tpw-receipt-print = Print a receipt as a page or a PDF that carries the receipt itself
arg-print-out = The file to write
arg-format = What to write
arg-font = A font with all characters of the receipt, such as one for Chinese (TrueType); needed for a PDF
print-title-payment = Payment receipt
print-title-compensation = Receipt of an undone payment
print-title-genesis = Receipt
print-title-orders = Receipt
print-verdict = Signature, log entry and time-stamp were verified when this was printed. Paper proves nothing by itself: the receipt file inside does, without its operator.
print-payment = Payment
print-levels = What is proved
print-decision = Decision and postings
print-evidence = Evidence
print-layers = Parts checked
print-guide = To verify again, save the receipt file inside this document and run, with a trust file that you have from the operator:
print-download = The receipt file
field-sequence = sequence number
field-created = signed
field-received = received
field-score = score
field-reasons = reasons
field-approval = approval
approval-step_up = its payer signed again at { $at }, statement { $hash }
approval-operator = an operator released it at { $at }, key { $hash }
approval-factor = its payer gave a further factor at { $at }, evidence { $hash }
field-posting = posting
field-log = log
field-root = root of the tree
field-file-hash = SHA-256 of the receipt file
field-trust-hash = SHA-256 of the trust file
error-font = the font { $path } cannot be used
error-font-help = name a TrueType font that has all characters, such as WenQuanYi Micro Hei (Debian: fonts-wqy-microhei), or print as HTML
error-font-missing = a PDF needs a font
error-font-missing-help = --font FILE

## Other forms

arg-export-out = The folder to write to; with asic or asic-ers, the file

## OpenTimestamps

help-tpw-ots = Prove with OpenTimestamps that a file is older than a Bitcoin block
help-tpw-ots-stamp = Ask calendars to have the hash of a file in a block
help-tpw-ots-upgrade = Ask the calendars of a proof whether there is a block by now
help-tpw-ots-verify = Verify a proof by block headers that you have
help-tpw-ots-attach = Put a proof over a checkpoint into receipts of its log, in place
help-tpw-ots-info = Show what a proof says; nothing is verified
arg-proof-file = The proof
arg-stamped-file = The file, of any kind; only a hash that hides it leaves this machine
arg-calendars = A calendar that may be asked; none else is, whatever a proof names
arg-ots-out = The proof to write; beside the file, with .ots added, if not given
arg-ots-proof = The proof, which names a block
arg-stamped-checkpoint = The checkpoint that was stamped, where it is not the receipts’ own; the log is then needed, too
arg-ots-data = The file that the proof is about
arg-ots-digest = The SHA-256 of the file that the proof is about
arg-headers = Bitcoin block headers of 80 bytes each, one after another, from a source that you trust
arg-first-height = The height of the first header
arg-network = Whose headers they are
ots-stamped = { $file }: promised by { $count } of { $all } calendars
ots-calendar-failed = { $url } gave no proof: { $reason }
ots-pending = { $file }: no block yet
ots-upgraded = { $file }: now with a block
ots-verified = { $file }: older than block { $height } of { $time }
ots-digest = SHA-256 of the file: { $digest }
ots-bitcoin = in Bitcoin block { $height }
ots-promise = promised by { $url }
ots-other = attested in a way that is not known here
ots-status = answer { $status }
error-ots-file = { $path } is no OpenTimestamps proof that can be read
error-ots-stamp = no calendar gave a proof
error-ots-digest = this is no SHA-256 in hexadecimal digits
error-ots-headers = the block headers in { $path } cannot be used
error-ots-headers-help = each must follow the one before and have the work it claims; see --first-height and --network
error-ots-other-file = the proof { $path } is about another file
error-ots-unproved = { $path } proves nothing by these headers
error-ots-unproved-help = give headers of the blocks that tpw ots info names; a calendar’s promise alone proves nothing
error-ots-no-block = { $path } names no block yet
error-ots-no-block-help = run tpw ots upgrade first
error-ots-which-checkpoint = the proof is about another checkpoint than a receipt’s own
error-ots-which-checkpoint-help = give that checkpoint with --checkpoint, and the log with --log and --trust
error-attach-worse = with this anchor { $path } would prove less than it does now
error-attach-worse-help = the receipt stays as it was: a block that the trust file or --headers has holds something else than the anchor says
error-ots-address = the calendars cannot be asked
