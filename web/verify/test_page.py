"""Goal: the verify page says in a real browser what `tpw verify` says, from a server and from a folder, and lets nothing else in.

Method: Chromium is driven over its own pipe (Chrome DevTools Protocol). Files are chosen and dropped as a person does it;
what the page shows is read from its document and compared with `tpw verify --json`. A message of the console, a violation
of the policy or a request beyond the page's own files fails the test.

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

    def rows(self, kind):
        return self.browser.run(f"[...document.querySelectorAll('tr.{kind}')].map((row) => row.innerText)")

    def is_own(self, url):
        if url.startswith("data:,") or url == self.address:
            return True
        base = self.address.split("/verify")[0]
        own = ["/verify/page.js", "/verify/page.css", "/verify/judge.wasm", "/v1/trust"]
        return self.address.startswith("https:") and url in [base + path for path in own]


class Judge:
    """`tpw verify`, the program that the page has to agree with."""

    def __init__(self, tpw):
        self.tpw = tpw

    def says(self, receipt, trust):
        command = [self.tpw, "verify", str(receipt), "--trust", str(trust), "--json"]
        return json.loads(subprocess.run(command, capture_output=True, text=True, check=False).stdout)


def texts(language):
    """The texts of the page, read from their sources again."""
    found = {}
    for name in ("page", "evidence", "cli"):
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
    page.browser.run("document.activeElement.blur(); scrollTo(0, 0); true")
    reached = []
    for _ in range(4):
        for kind in ("keyDown", "keyUp"):
            page.browser.call("Input.dispatchKeyEvent", type=kind, key="Tab", code="Tab", windowsVirtualKeyCode=9)
        reached.append(page.browser.run(
            "document.activeElement.dataset.language ?? document.activeElement.id"))
        # A file's button is the label behind its field.
        width = page.browser.run(
            "(({ id, nextElementSibling, dataset }) => parseFloat(getComputedStyle("
            "dataset.language ? document.activeElement : nextElementSibling).outlineWidth))(document.activeElement)")
        if width < 2:
            raise Failed(f"{reached[-1]} does not show that it is reached")
    expect(reached, ["en", "zh-CN", "receipt", "trust"], "the way of the tab key")


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
    tests.run("download", check_download, VerifyPage(browser, f"{server.url}/verify/verify.html"), None)


def check_download(page, _none):
    """The whole page works under the server's headers, too, and asks the server for nothing."""
    page.drop(RECEIPTS / "good" / "ed25519.tpr", RECEIPTS / "trust.json")
    expect(page.text("#verdict strong"), "Valid: ed25519.tpr", "the page in one file")


if __name__ == "__main__":
    sys.exit(main())
