"""Goal: the verify page says in a real browser what `tpw verify` says, from a server and from a folder, and lets nothing else in.

Method: Chromium is driven over its own pipe (Chrome DevTools Protocol). Files are chosen and dropped as a person does it;
what the page shows is read from its document and compared with `tpw verify --json`. A message of the console, a violation
of the policy or a request beyond the page's own files fails the test. Printed receipts that carry the page are made by the program, opened
from a folder, and changed as somebody would who wants to be believed: their text, their receipt, their trust file.

Run by `cargo xtask test`: test_page.py --tpw PROGRAM [--chromium PROGRAM] [--pictures FOLDER]
"""

import argparse
import base64
import json
import pathlib
import re
import subprocess
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))
from browser import CONTRAST, Browser, Failed, Page, Server, Tests, attack, expect

ROOT = pathlib.Path(__file__).resolve().parents[2]
RECEIPTS = ROOT / "spec" / "vectors" / "receipts"
ANCHORS = ROOT / "spec" / "vectors" / "anchors"
OTS = ROOT / "spec" / "vectors" / "ots"
DIST = ROOT / "web" / "verify" / "dist"


class VerifyPage(Page):
    """The verify page, open in the browser."""

    def choose(self, field, path):
        """Chooses a file with the field's own button."""
        self.mark()
        root = self.browser.call("DOM.getDocument")["root"]["nodeId"]
        node = self.browser.call("DOM.querySelector", nodeId=root, selector=f"#{field}")["nodeId"]
        self.browser.call("DOM.setFileInputFiles", nodeId=node, files=[str(path)])
        self.changed()

    def drop(self, *paths):
        """Drops files onto the frame."""
        self.mark()
        place = self.browser.run(
            "(() => { scrollTo(0, 0); const r = document.querySelector('#files').getBoundingClientRect();"
            " return [r.left + r.width / 2, r.top + r.height / 2]; })()")
        data = {"items": [], "files": [str(path) for path in paths], "dragOperationsMask": 1}
        for kind in ("dragEnter", "dragOver", "drop"):
            self.browser.call("Input.dispatchDragEvent", type=kind, x=place[0], y=place[1], data=data)
        self.changed()

    def write(self, text):
        """Writes blocks into their field, in place of what stands there; the page judges anew, whatever is written."""
        self.mark()
        self.browser.run("(() => { const field = document.querySelector('#blocks'); field.focus(); field.select(); return true; })()")
        if text:
            self.browser.call("Input.insertText", text=text)
        else:
            for kind in ("keyDown", "keyUp"):
                self.browser.call("Input.dispatchKeyEvent", type=kind, key="Delete", code="Delete", windowsVirtualKeyCode=46)
        self.changed()

    def mark(self):
        self.browser.run("document.querySelector('#verdict').replaceChildren();"
                         " document.querySelector('#notice').textContent = ''; true")

    def changed(self):
        # The page fills its verdict or its notice anew with every judgement.
        self.browser.until("document.querySelector('#verdict').textContent !== ''"
                           " || document.querySelector('#notice').textContent !== ''")

    def outcomes(self, kind):
        """The classes of the rows of a table: what they say beside their words."""
        return self.browser.run(
            f"[...document.querySelectorAll('tr.{kind}')].map((row) => row.className.split(' ')[1])")

    def text_of(self, selector, attribute):
        return self.browser.run(f"document.querySelector({json.dumps(selector)})?.getAttribute({json.dumps(attribute)}) ?? ''")

    def rows(self, kind):
        return self.browser.run(f"[...document.querySelectorAll('tr.{kind}')].map((row) => row.innerText)")

    def is_own(self, url):
        if url.startswith("data:,") or url == self.address:
            return True
        base = self.address.split("/verify")[0]
        own = ["/verify/page.js", "/verify/page.css", "/verify/judge.wasm", "/v1/trust"]
        return self.address.startswith("https:") and url in [base + path for path in own]


class PrintedPage(VerifyPage):
    """A printed receipt that carries the page."""

    def is_own(self, url):
        return url.startswith("data:") or url == self.address

    def shows(self, selector):
        """Whether a person sees it."""
        return self.browser.run(f"[...document.querySelectorAll({json.dumps(selector)})].some((one) => one.getClientRects().length > 0)")


class Judge:
    """`tpw verify`, the program that the page has to agree with."""

    def __init__(self, tpw):
        self.tpw = tpw

    def says(self, receipt, trust):
        command = [self.tpw, "verify", str(receipt), "--trust", str(trust), "--json"]
        return json.loads(subprocess.run(command, capture_output=True, text=True, check=False).stdout)

    def prints(self, receipt, trust, language, folder):
        """The receipt as a page that verifies itself."""
        out = pathlib.Path(folder) / f"{receipt.stem}-{language}.html"
        command = [self.tpw, "--lang", language, "receipt", "print", str(receipt), "--trust", str(trust)]
        subprocess.run([*command, "--format", "self-verifying", "--out", str(out)], capture_output=True, check=True)
        return out.read_text()


def texts(language):
    """The texts of the page, read from their sources again."""
    found = {}
    for name in ("page", "evidence", "cli", "exports", "reasons", "renewal"):
        for line in (ROOT / "i18n" / language / f"{name}.ftl").read_text().splitlines():
            key, equals, value = line.partition(" = ")
            if equals and not line.startswith((" ", "#")):
                found[key] = value
    return found


def cases():
    """A good receipt of each kind, by the first word of its name, and for each layer the first two that are broken in it."""
    good, broken, counts = {}, [], {}
    for case in json.loads((RECEIPTS / "manifest.json").read_text()):
        layer = case["layer"] or "none"
        if case["valid"]:
            good.setdefault(re.split(r"[-.]", case["file"])[0], case)
        elif counts.setdefault(layer, 0) < 2:
            counts[layer] += 1
            broken.append(case)
    layers = {key.removeprefix("layer-") for key in texts("en") if key.startswith("layer-")} - {"none"}
    if len(good) < 20 or not layers <= set(counts):
        raise Failed(f"the corpus lacks something: {len(good)} good, {sorted(counts)}")
    return [*good.values(), *broken]


def check_case(page, judge, case):
    """What the page shows of a receipt in both languages, against the program and the manifest."""
    receipt, trust = RECEIPTS / case["file"], RECEIPTS / case["trust"]
    page.drop(receipt, trust)
    said = judge.says(receipt, trust)
    expect(said["valid"], case["valid"], "tpw verify")
    name = receipt.name
    for language in ("en", "zh-CN"):
        page.speak(language)
        known = texts(language)
        expect(page.browser.run("document.documentElement.lang"), language, "the language")
        head = known["page-valid" if case["valid"] else "page-invalid"].replace("{ $name }", name)
        expect(page.text("#verdict strong"), head, "the verdict")
        expect(page.outcomes("level"), [level["outcome"] for level in said["levels"]], "the levels")
        shown = page.rows("level")
        for level, row in zip(said["levels"], shown):
            if not row.startswith(f"{level['level']} {known['level-' + level['name']]}"):
                raise Failed(f"the row of {level['level']} says {row!r}")
        codes = [key for key in known if key.startswith("layer-") and key != "layer-none"]
        names = {known[key]: key.removeprefix("layer-") for key in codes}
        layers = {names[row.split("\n")[0].split("\t")[0].strip()]: outcome
                  for row, outcome in zip(page.rows("layer"), page.outcomes("layer"))}
        wanted = {layer: found["outcome"] for layer, found in said["layers"].items()}
        expect(layers, wanted, "the layers")
        if case["layer"]:
            expect(layers[case["layer"]], "failed", f"the layer {case['layer']}")
            if known[f"layer-{case['layer']}"] not in page.text("#verdict p"):
                raise Failed(f"the verdict does not name {case['layer']}: {page.text('#verdict p')}")
        check_payment(page, said["payment"], known)
    check_path(page, said)


def check_payment(page, payment, known):
    text = page.text("#payment")
    if payment is None:
        if known["page-payment-hidden"] not in text:
            raise Failed(f"an unproved payment is shown: {text!r}")
        if page.browser.run("document.querySelectorAll('#payment dd').length"):
            raise Failed("an unproved payment has fields")
        return
    for field in ("id", "payer", "payee", "purpose", "booked", "received", "created", "intent_hash", "device"):
        if payment[field] not in text:
            raise Failed(f"the payment lacks its {field}, {payment[field]!r}: {text!r}")


def check_path(page, said):
    """The picture has one box for each hash, and its topmost says whether it is the root."""
    boxes = page.browser.run("document.querySelectorAll('svg.path rect').length")
    inclusion = said["layers"].get("tlog_proof", {"outcome": "failed"})["outcome"]
    good = page.browser.run("document.querySelectorAll('svg.path .holds').length")
    if inclusion == "proved":
        steps = page.browser.run("document.querySelectorAll('#path tbody tr').length")
        expect((boxes, good), (2 * steps + 1, 1), "the picture of a proved path")
        index = said["payment"]["leaf_index"] if said["payment"] else None
        if index is not None and index not in page.text("#path p"):
            raise Failed(f"the path does not name entry {index}")


def check_trust(page, judge):
    """What is no trust file, and one of somebody else."""
    good = RECEIPTS / "good" / "ed25519.tpr"
    page.speak("en")
    page.drop(good, RECEIPTS / "manifest.json")
    expect(page.text("#notice").startswith("manifest.json is no trust file"), True, "another JSON file as trust")
    expect(page.text("#levels"), "", "levels without trust")
    page.choose("trust", RECEIPTS / "trust-operator.json")
    expect(page.text("#verdict strong"), "NOT valid: ed25519.tpr", "the trust of somebody else")
    page.choose("trust", RECEIPTS / "trust.json")
    expect(page.text("#verdict strong"), "Valid: ed25519.tpr", "chosen files")
    page.choose("receipt", RECEIPTS / "broken" / "statement-signature-flipped.tpr")
    expect(page.text("#verdict strong"), "NOT valid: statement-signature-flipped.tpr", "a chosen receipt")


def check_blocks(page, _none):
    """A block that a person writes down proves L4; another one, a wrong line or another chain does not, and takes nothing away."""
    page.speak("en")
    known = texts("en")
    trust = json.loads((ANCHORS / "trust.json").read_text())
    own, other = trust["evm_anchors"][0]["blocks"][:2]

    def found():
        return page.outcomes("level")[4], page.text("#anchors"), page.text("#blocks-fault")

    def said(key, **values):
        text = known[key]
        for name, value in values.items():
            text = text.replace(f"{{ ${name} }}", value)
        return text

    page.drop(ANCHORS / "good" / "in-a-full-block.tpr", ANCHORS / "trust-no-block.json")
    asked = said("page-anchor-evm-unknown-block", block="23456789", chain="1")
    expect(found(), ("absent", asked, ""), "an anchor in a block that nobody has named")
    expect(own[2:] in page.browser.run("document.body.innerText"), False, "the hash that the receipt claims is shown")
    page.write(other)
    expect(found(), ("absent", asked, ""), "another block")
    page.write(own)
    expect(found(), ("proved", "", ""), "the block")
    page.speak("zh-CN")
    expect(page.outcomes("level")[4], "proved", "the block, in Chinese")
    page.speak("en")
    page.write(f"{other}\n{own.upper().replace('X', 'x', 1)}\n")
    expect(found(), ("proved", "", ""), "the block among others, in large letters")
    for text, key, line in ((own[:-1], "form", "1"), (f"{own}\n{own[2:]}", "form", "2"), (f"{own}\nmain 1 {'00' * 80}", "header", "2"),
                            (f"{own}\n" * 65, "too-many", "65"), ("<img src=x onerror=alert(1)>", "form", "1")):
        page.write(text)
        expect(found(), ("absent", asked, said(f"page-blocks-{key}", line=line)), f"a line that is no block: {text[:90]!r}")
        expect(page.text("#verdict strong"), "Valid: in-a-full-block.tpr", "what is no block takes nothing away")
    page.write(own)
    page.choose("trust", ANCHORS / "trust-no-chain.json")
    asked = said("page-anchor-evm-unknown-chain", chain="1")
    expect(found(), ("absent", asked, said("page-blocks-no-chain", line="1")), "a trust file without a chain")
    page.choose("trust", ANCHORS / "trust-no-block.json")
    expect(found()[0], "proved", "the right trust file again")
    page.choose("receipt", ANCHORS / "good" / "unknown-block.tpr")
    expect(found()[0], "absent", "another receipt, whose block is another")
    page.choose("receipt", ANCHORS / "broken" / "status-failed.tpr")
    expect(found()[0], "failed", "a broken anchor")
    check_headers(page, found, said)
    page.write("")


def check_headers(page, found, said):
    """The same for a Bitcoin block header."""
    run = json.loads((OTS / "trust.json").read_text())["bitcoin_headers"][0]
    lines = [f"regtest {run['first_height'] + place} {header}" for place, header in enumerate(run["headers"])]
    page.write("")
    page.drop(OTS / "good" / "in-a-block.tpr", OTS / "trust-no-block.json")
    asked = said("page-anchor-bitcoin-unknown-chain", block="701")
    expect(found(), ("absent", asked, ""), "a stamped checkpoint")
    page.write(lines[0])
    expect(found()[0], "absent", "a header of another block")
    page.write(f"{lines[0]}\n{lines[1]}")
    expect(found(), ("proved", "", ""), "the header")
    for language in ("en", "zh-CN"):
        page.speak(language)
        told = texts(language)["page-holds-anchor"].split("{ $time }")[0]
        told = told.replace("{ $block }", "701").replace("{ $chain }", "Bitcoin regtest")
        expect(told in page.rows("level")[4], True, f"a block of a test network is told as one, {page.rows('level')[4]!r}")
    page.speak("en")
    page.write(lines[0].replace("700", "701", 1))
    expect(found()[0], "failed", "a header that says something else")
    page.write(lines[1].replace("regtest", "main", 1))
    expect(found(), ("absent", asked, said("page-blocks-header", line="1")), "a header that cost nothing")


def check_large(page, folder):
    large = pathlib.Path(folder) / "large.tpr"
    large.write_bytes(bytes((1 << 20) + 1))
    page.drop(large)
    expect(page.text("#notice"), "large.tpr is larger than 1048576 bytes, so it is not read", "a large file")


def check_names(page, folder):
    """The name of a file is text, whatever is in it."""
    hostile = pathlib.Path(folder) / "<img src=x onerror=alert(1)>.tpr"
    hostile.write_bytes((RECEIPTS / "good" / "ed25519.tpr").read_bytes())
    page.drop(hostile, RECEIPTS / "trust.json")
    expect(page.text("#verdict strong"), f"Valid: {hostile.name}", "a name with markup")
    expect(page.browser.run("document.images.length"), 0, "an image from a name")


def check_keyboard(page):
    """Everything that can be done is reached with the tab key, in the order of the page, and shows that it is."""
    # The key goes on from where the page was last: from its heading it comes to the first thing.
    page.browser.run("(() => { const first = document.querySelector('h1'); first.tabIndex = -1; first.focus(); first.blur();"
                     " first.removeAttribute('tabindex'); scrollTo(0, 0); return true; })()")
    reached = []
    for _ in range(5):
        for kind in ("keyDown", "keyUp"):
            page.browser.call("Input.dispatchKeyEvent", type=kind, key="Tab", code="Tab", windowsVirtualKeyCode=9)
        reached.append(page.browser.run(
            "document.activeElement.dataset.language ?? document.activeElement.id"))
        # A file's button is the label behind its field.
        width = page.browser.run(
            "(({ type, nextElementSibling }) => parseFloat(getComputedStyle("
            "type === 'file' ? nextElementSibling : document.activeElement).outlineWidth))(document.activeElement)")
        if width < 2:
            raise Failed(f"{reached[-1]} does not show that it is reached")
    expect(reached, ["en", "zh-CN", "receipt", "trust", "blocks"], "the way of the tab key")


def check_looks(page, pictures):
    """Contrast of WCAG 2.2 AA and no sideways scrolling, light and dark, wide and narrow, in both languages."""
    page.drop(RECEIPTS / "broken" / "time-over-other-data.tpr", RECEIPTS / "trust.json")
    for name, receipt in (("bad", "broken/proof-path-mutated.tpr"), ("good", "good/ed25519.tpr")):
        page.drop(RECEIPTS / receipt, RECEIPTS / "trust.json")
        for theme in ("light", "dark"):
            page.browser.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": theme}])
            for language in ("en", "zh-CN"):
                page.speak(language)
                for width in (320, 1100):
                    page.browser.call("Emulation.setDeviceMetricsOverride", width=width, height=900,
                                      deviceScaleFactor=1, mobile=False)
                    what = f"{name}-{theme}-{language}-{width}"
                    expect(page.browser.run(CONTRAST), [], f"contrast, {what}")
                    expect(page.browser.run("document.documentElement.scrollWidth <= innerWidth"), True, f"width, {what}")
                    if pictures:
                        shot = page.browser.call("Page.captureScreenshot", captureBeyondViewport=True)["data"]
                        (pathlib.Path(pictures) / f"{what}.png").write_bytes(base64.b64decode(shot))
    page.browser.call("Emulation.clearDeviceMetricsOverride")
    page.browser.call("Emulation.setEmulatedMedia", features=[])


def check_server(page, server):
    """The server's own trust file is there, and the page says what that is worth."""
    page.speak("en")
    expect(page.text("#trust-state"), f"from this server, {server.url}", "where the trust comes from")
    if "consistent" not in page.text("#trust-note"):
        raise Failed("the page does not say what a server's own trust file is worth")
    page.choose("receipt", RECEIPTS / "good" / "ed25519.tpr")
    expect(page.text("#verdict strong"), "NOT valid: ed25519.tpr", "another operator's receipt")
    page.drop(RECEIPTS / "trust.json")
    expect(page.text("#verdict strong"), "Valid: ed25519.tpr", "with the right trust")
    expect(page.text("#trust-note"), "", "the note about the server's trust")


def check_address(page, _none):
    """Nothing in the address hands the page a file."""
    expect(page.text("#levels"), "", "levels without a file")
    expect(page.text("#receipt-state"), "none chosen yet", "a receipt from the address")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--tpw", required=True)
    parser.add_argument("--chromium", default="chromium")
    parser.add_argument("--pictures")
    options = parser.parse_args()
    tests, judge = Tests(), Judge(options.tpw)
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        profile = pathlib.Path(folder) / "profile"
        profile.mkdir()
        browser = Browser(options.chromium, profile)
        server = Server(options.tpw, folder)
        try:
            browser.begin()
            browser.call("Security.setIgnoreCertificateErrors", ignore=True)
            run_all(tests, judge, server, browser, folder, options.pictures)
        finally:
            browser.close()
            server.close()
    print(f"{tests.passed} passed, {tests.failed} failed")
    return 1 if tests.failed else 0


def money(payment):
    """An amount as people write it, from minor units."""
    code, places = payment["asset"].split("/")
    digits = payment["amount"].rjust(int(places) + 1, "0")
    point = len(digits) - int(places)
    return f"{digits[:point]}{'.' if int(places) else ''}{digits[point:]} {code}"


def check_printed(page, judge, case, language):
    """A printed receipt shows what the program says, in both languages, and none of the text that it carries."""
    receipt, trust = RECEIPTS / case["file"], RECEIPTS / case["trust"]
    said, name = judge.says(receipt, trust), page.text_of("#receipt-file", "download")
    expect(page.browser.run("document.documentElement.lang"), language, "the language that it was printed in")
    for spoken in ("en", "zh-CN"):
        page.speak(spoken)
        known, payment = texts(spoken), said["payment"]
        expect(page.text("#verdict strong"), known["page-valid"].replace("{ $name }", name), "the verdict")
        expect(page.outcomes("level"), [level["outcome"] for level in said["levels"]], "the levels")
        expect(page.text("#sheet h2"), known[f"print-title-{payment['kind']}"], "the title")
        expect(page.text("#sheet .amount"), money(payment), "the amount")
        shown = page.text("#sheet")
        for field in ("id", "payer", "payee", "purpose", "booked", "intent_hash", "root"):
            expect(payment[field] in shown, True, f"the {field}")
        for posting in payment["postings"]:
            expect(f"{posting['debit']} → {posting['credit']}: {money(posting)}" in shown, True, "a posting")
        given = [known[f"approval-{one['kind']}"].replace("{ $at }", one["at"]).replace("{ $hash }", one["hash"]) for one in payment["approvals"]]
        reasons = [known[f"reason-{code}"] for code in payment["reasons"]]
        for text in [str(payment["score"]), *reasons, *given]:
            expect(text in shown, True, f"{text!r} on the sheet")
        expect(page.text("#altered"), "", "an alteration")
        expect(page.shows("#carried"), False, "the text that it carries is seen")
        expect(known["page-carried-note"] in page.text("#verdict"), True, "what that is worth")
    words = page.text("#sheet .words")
    expect("元" in words or payment["asset"].split("/")[0] in words, True, f"the amount in words, {words!r}")


def check_paper(page, _none):
    """What is put on paper: the receipt and what it proves, dark on white, and nothing to press."""
    page.browser.call("Emulation.setEmulatedMedia", media="print", features=[{"name": "prefers-color-scheme", "value": "dark"}])
    for shown, selector in ((True, "#sheet .amount"), (True, "tr.level"), (True, "#verdict strong"), (False, "button"),
                            (False, "#files"), (False, "#known"), (False, "#carried"), (False, "#sheet a")):
        expect(page.shows(selector), shown, f"{selector} on paper")
    expect(page.browser.run(CONTRAST), [], "contrast on paper")
    expect(page.browser.run("getComputedStyle(document.body).backgroundColor"), "rgb(255, 255, 255)", "the paper")
    page.browser.call("Emulation.setEmulatedMedia", media="", features=[])
    paper = base64.b64decode(page.browser.call("Page.printToPDF", printBackground=False)["data"])
    expect(paper[:5], b"%PDF-", "a print")


def check_printed_looks(page, pictures):
    for theme in ("light", "dark"):
        page.browser.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": theme}])
        for width in (320, 1100):
            page.browser.call("Emulation.setDeviceMetricsOverride", width=width, height=900, deviceScaleFactor=1, mobile=False)
            expect(page.browser.run(CONTRAST), [], f"contrast, {theme}, {width}")
            expect(page.browser.run("document.documentElement.scrollWidth <= innerWidth"), True, f"width, {theme}, {width}")
            if pictures:
                shot = page.browser.call("Page.captureScreenshot", captureBeyondViewport=True)["data"]
                (pathlib.Path(pictures) / f"printed-{theme}-{width}.png").write_bytes(base64.b64decode(shot))
    beside = page.browser.run("['#sheet', '#levels'].map((one) => document.querySelector(one).getBoundingClientRect().top)")
    expect(beside[0], beside[1], "the receipt and its levels side by side")
    page.browser.call("Emulation.clearDeviceMetricsOverride")
    page.browser.call("Emulation.setEmulatedMedia", features=[])


def lies(html, payment):
    """Prints whose text says something else than what was signed: the name of the lie, the page, what it says."""
    fact = lambda name: re.search(f'data-fact="{name}">([^<]*)<', html)
    amount, payee = fact("amount").group(0), fact("field-to").group(0)
    signed = money(payment)
    yield "another amount", html.replace(amount, 'data-fact="amount">9,999.99 USD<'), "9,999.99 USD"
    yield "another amount in words", html.replace(fact("words").group(0), 'data-fact="words">one million USD<'), "one million USD"
    yield "another payee", html.replace(payee, 'data-fact="field-to">acc_7zzzzzzzzzzzzzzzzzzzzzzzzz<'), "acc_7zzzzzzzzzzzzzzzzzzzzzzzzz"
    yield "no amount", html.replace(amount, ">9,999.99 USD<"), texts("en")["page-altered-missing"]
    yield "two amounts", html.replace(amount, f'{amount}/p><p data-fact="amount">9,999.99 USD<'), f"{signed} | 9,999.99 USD"
    yield "another kind", html.replace(fact("title").group(0), 'data-fact="title">Letter of credit<'), "Letter of credit"
    posting, score = fact("field-posting").group(0), fact("field-score").group(0)
    yield "another posting", html.replace(posting, posting.replace(": ", ": 9,999,")), ": 9,999,"
    yield "a posting less", html.replace(posting, ">gone<"), texts("en")["field-posting"]
    yield "another score", html.replace(score, 'data-fact="field-score">999<'), "999"
    yield "a reason", html.replace(score, f'{score}/bdi><bdi data-fact="field-reasons">+900 A known fraudster.<'), "+900 A known fraudster."
    yield "an approval", html.replace(score, f'{score}/bdi><bdi data-fact="field-approval">the operator released it<'), "the operator released it"
    yield from lies_beside(html, payment)


def lies_beside(html, payment):
    """Prints whose levels, names, headings or words are others, or whose rows are more."""
    known = texts("en")
    row = lambda name, fact, value: f'<tr><th>{name}</th><td><bdi data-fact="{fact}">{value}</bdi></td></tr>'
    renewed, anchor = f"L5 {known['level-renewed']}", known["layer-anchor"]
    absent = row(renewed, "print-levels", known["word-absent"])
    yield "a level more", html.replace(absent, row(renewed, "print-levels", "proved until 2099")), "proved until 2099"
    yield "another name of a level", html.replace(absent, absent.replace(renewed, "L5 audited by a bank")), "L5 audited by a bank"
    part = row(anchor, "print-layers", known["word-absent"])
    yield "a part that is proved", html.replace(part, row(anchor, "print-layers", "proved on a chain")), "proved on a chain"
    swapped = html.replace(f"<th>{known['field-from']}</th>", "<th>~</th>")
    swapped = swapped.replace(f"<th>{known['field-to']}</th>", f"<th>{known['field-from']}</th>").replace("<th>~</th>", f"<th>{known['field-to']}</th>")
    yield "parties that are swapped", swapped, f"{known['field-to']} | {payment['payer']} | {known['field-from']}"
    yield "a row more", html.replace(absent, f"{absent}<tr><th>insured up to</th><td>1,000,000 USD</td></tr>"), "insured up to | 1,000,000 USD"
    yield "a row less", html.replace(absent, ""), known["page-altered-rest"]
    yield "another heading", html.replace(f"<h2>{known['print-levels']}</h2>", "<h2>Guaranteed by a bank</h2>"), "Guaranteed by a bank"
    yield "other words", html.replace(f"<p>{known['print-verdict']}</p>", "<p>This paper is money.</p>"), "This paper is money."
    yield "another command", html.replace("<pre>tpw verify", "<pre>sh verify-for-me"), "sh verify-for-me"
    yield "words between", html.replace('<article id="carried" lang="en">', '<article id="carried" lang="en">Paid in full.'), "Paid in full."
    yield "a part that nobody sees", html.replace(f"<th>{renewed}</th>", f"<th hidden>{renewed}</th>"), known["page-altered-rest"]
    yield "a picture", html.replace(absent, f'{absent}<tr><td><img src="data:,"></td></tr>'), known["page-altered-rest"]


def check_lie_own_trust(page, lie):
    """What is printed is compared as it was printed, whatever somebody judges by."""
    page.speak("en")
    for trust, verdict in (("trust-operator.json", "NOT valid"), ("trust.json", "Valid")):
        page.choose("trust", RECEIPTS / trust)
        expect(page.text("#verdict strong").startswith(verdict), True, trust)
        expect(lie in page.text("#altered"), True, f"the alteration is told, judged by {trust}")


def check_lie(page, said, lie):
    """The page says what was changed and shows what was signed."""
    for language in ("en", "zh-CN"):
        page.speak(language)
        told = page.text("#altered")
        expect(texts(language)["page-altered"] in told, True, f"the alteration is told, {told!r}")
        if language == "en":
            expect(lie in told, True, f"what the text says, {told!r}")
        expect(page.text("#sheet .amount"), money(said["payment"]), "the amount that was signed")
        expect(lie in page.text("#findings") if len(lie) > 8 else False, False, "the lie as a part of the receipt")


def check_printed_broken(page, judge, case):
    """A receipt that does not hold is not shown as one, whatever the text around it says."""
    said = judge.says(RECEIPTS / case["file"], RECEIPTS / case["trust"])
    for language in ("en", "zh-CN"):
        page.speak(language)
        known = texts(language)
        expect(page.text("#verdict strong").startswith(known["page-invalid"].split("{")[0]), True, "the verdict")
        expect(page.outcomes("level"), [level["outcome"] for level in said["levels"]], "the levels")
        reason = known[f"layer-{case['layer']}"] if case["layer"] else known["page-incomplete"].split("{")[0]
        expect(reason in page.text("#verdict p"), True, f"the reason is {case['layer']}")
        expect(page.text("#sheet p"), known["page-sheet-none"], "the sheet")
        expect((page.shows(".amount"), page.shows("#carried")), (False, False), "the text that it carries is seen")


def check_printed_unread(page, wanted):
    expect(page.text("#notice") != "" or page.text("#verdict").startswith(texts("en")["page-waiting-trust"].split("{")[0]), True, wanted)
    expect((page.text("#findings"), page.shows("#carried")), ("", False), "what is shown without a verdict")


def check_printed_own_trust(page, _none):
    """A trust file of one's own is judged by, and is no alteration of the text."""
    page.speak("en")
    page.choose("trust", RECEIPTS / "trust-operator.json")
    expect(page.text("#verdict strong").startswith("NOT valid"), True, "the trust of somebody else")
    page.choose("trust", RECEIPTS / "trust.json")
    expect((page.text("#verdict strong").startswith("Valid"), page.text("#altered")), (True, ""), "one's own trust")
    expect(texts("en")["page-carried-note"] in page.text("#verdict"), False, "a note about trust from inside")


def printed(tests, judge, browser, folder, pictures):
    """Receipts that verify themselves, good, changed and broken."""
    good = {"file": "good/ed25519.tpr", "trust": "trust.json"}
    place = pathlib.Path(folder) / "printed.html"

    def opened(html):
        place.write_text(html)
        return PrintedPage(browser, place.as_uri())

    for case in (good, {"file": "good/compensation.tpr", "trust": "trust.json"}, {"file": "good/purpose-in-chinese.tpr", "trust": "trust.json"},
                 {"file": "good/step-up-and-factor.tpr", "trust": "trust.json"}, {"file": "good/operator-approved-after-expiry.tpr", "trust": "trust.json"},
                 {"file": "good/hold-released-by-16.tpr", "trust": "trust.json"}):
        for language in ("en", "zh-CN"):
            html = judge.prints(RECEIPTS / case["file"], RECEIPTS / case["trust"], language, folder)
            tests.run(f"printed {case['file']} {language}", check_printed, opened(html), judge, case, language)
    html = judge.prints(RECEIPTS / good["file"], RECEIPTS / good["trust"], "en", folder)
    tests.run("printed size", check_size, opened(html), html)
    tests.run("printed looks", check_printed_looks, opened(html), pictures)
    tests.run("printed paper", check_paper, opened(html), None)
    tests.run("printed trust", check_printed_own_trust, opened(html), None)
    said = judge.says(RECEIPTS / good["file"], RECEIPTS / good["trust"])
    for name, lying, lie in lies(html, said["payment"]):
        expect(lying != html, True, f"{name} is no lie")
        tests.run(f"printed with {name}", check_lie, opened(lying), said, lie)
        if name == "a level more":
            tests.run(f"printed with {name}, own trust", check_lie_own_trust, opened(lying), lie)
    inside = {part: re.search(f'id="{part}-file"[^>]*;base64,([^"]*)"', html).group(1) for part in ("receipt", "trust")}
    encoded = lambda name: base64.b64encode((RECEIPTS / name).read_bytes()).decode()
    for case in cases():
        if not case["valid"]:
            broken = html.replace(inside["receipt"], encoded(case["file"])).replace(inside["trust"], encoded(case["trust"]))
            if (RECEIPTS / case["file"]).stat().st_size:
                tests.run(f"printed {case['file']}", check_printed_broken, opened(broken), judge, case)
            else:
                tests.run(f"printed {case['file']}", check_printed_unread, opened(broken), "no bytes")
    for what, changed in (("a receipt that is no base64", html.replace(inside["receipt"], "~")),
                          ("no receipt", html.replace('id="receipt-file"', "")),
                          ("no trust", html.replace('id="trust-file"', "")),
                          ("a trust file that is none", html.replace(inside["trust"], encoded("manifest.json")))):
        tests.run(f"printed with {what}", check_printed_unread, opened(changed), what)
    attack(tests, "printed", opened(html))


def check_size(page, html):
    """One file of about 1.2 MB, under a policy that lets nothing in or out."""
    if not 500_000 < len(html.encode()) < 1_400_000:
        raise Failed(f"it has {len(html.encode())} bytes")
    policy = page.text_of("meta[http-equiv]", "content")
    expect(policy.startswith("default-src 'none'; script-src 'sha256-"), True, "its policy")
    for open_to in ("'self'", "'unsafe-inline'", "'unsafe-eval'", "http:", "https:", "*", "connect-src", "blob:"):
        expect(open_to in policy, False, f"{open_to} in its policy")


def run_all(tests, judge, server, browser, folder, pictures):
    alone = (DIST / "verify.html").as_uri()
    served = f"{server.url}/verify"
    for where, address in (("file", alone), ("server", served)):
        page = VerifyPage(browser, address)
        if where == "server":
            tests.run("server trust", check_server, page, server)
        for case in cases():
            tests.run(f"{where} {case['file']}", check_case, page, judge, case)
        tests.run(f"{where} trust", check_trust, page, judge)
        tests.run(f"{where} blocks", check_blocks, page, None)
        tests.run(f"{where} large file", check_large, page, folder)
        tests.run(f"{where} hostile name", check_names, page, folder)
        tests.run(f"{where} keyboard", check_keyboard, page)
    tests.run("looks", check_looks, page, pictures)
    for where, address in (("file", alone), ("server", served)):
        page = VerifyPage(browser, f"{address}#receipt=https://stranger.invalid/r.tpr&trust=data:,x")
        page.address = address
        tests.run(f"{where} address", check_address, page, None)
        page = VerifyPage(browser, address)
        attack(tests, where, page)
    printed(tests, judge, browser, folder, pictures)
    tests.run("download", check_download, VerifyPage(browser, f"{server.url}/verify/verify.html"), None)


def check_download(page, _none):
    """The whole page works under the server's headers, too, and asks the server for nothing."""
    page.drop(RECEIPTS / "good" / "ed25519.tpr", RECEIPTS / "trust.json")
    expect(page.text("#verdict strong"), "Valid: ed25519.tpr", "the page in one file")


if __name__ == "__main__":
    sys.exit(main())
