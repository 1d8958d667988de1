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

arg-export-out = The folder to write to; with asic, the file
