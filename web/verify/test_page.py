"""Goal: the verify page says in a real browser what `tpw verify` says, from a server and from a folder, and lets nothing else in.

Method: Chromium is driven over its own pipe (Chrome DevTools Protocol). Files are chosen and dropped as a person does it;
what the page shows is read from its document and compared with `tpw verify --json`. A message of the console, a violation
of the policy or a request beyond the page's own files fails the test.

Run by `cargo xtask test`: test_page.py --tpw PROGRAM [--chromium PROGRAM] [--pictures FOLDER]
"""

import argparse
import base64
import fcntl
import json
import os
import pathlib
import re
import select
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
RECEIPTS = ROOT / "spec" / "vectors" / "receipts"
DIST = ROOT / "web" / "verify" / "dist"
FLAGS = [
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--disable-dev-shm-usage", "--remote-debugging-pipe",
    "--no-default-browser-check", "--disable-extensions", "--disable-domain-reliability", "--lang=en",
]
WAIT_S = 30


class Failed(Exception):
    """What a test found wrong."""


class Browser:
    """Chromium with a fresh profile, on two pipes: commands end with a zero byte, and so do answers."""

    def __init__(self, program, folder):
        to_child, from_us = high_pipe()
        to_us, from_child = high_pipe()
        # Chromium reads commands from descriptor 3 and writes to 4.
        os.dup2(to_child, 3)
        os.dup2(from_child, 4)
        command = [program, *FLAGS, f"--user-data-dir={folder}", "about:blank"]
        log = open(pathlib.Path(folder) / "chromium.log", "wb")
        self.process = subprocess.Popen(command, pass_fds=(3, 4), stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        for descriptor in (3, 4, to_child, from_child):
            os.close(descriptor)
        self.out, self.input, self.buffer = from_us, to_us, b""
        self.count, self.session, self.events = 0, None, []

    def read(self, until):
        while b"\0" not in self.buffer:
            ready, _, _ = select.select([self.input], [], [], max(0.0, until - time.monotonic()))
            if not ready:
                raise Failed("the browser does not answer")
            piece = os.read(self.input, 1 << 16)
            if not piece:
                raise Failed("the browser has ended")
            self.buffer += piece
        message, self.buffer = self.buffer.split(b"\0", 1)
        return json.loads(message)

    def call(self, method, **parameters):
        self.count += 1
        message = {"id": self.count, "method": method, "params": parameters}
        if self.session:
            message["sessionId"] = self.session
        os.write(self.out, json.dumps(message).encode() + b"\0")
        until = time.monotonic() + WAIT_S
        while True:
            answer = self.read(until)
            if answer.get("id") == self.count:
                if "error" in answer:
                    raise Failed(f"{method}: {answer['error']}")
                return answer["result"]
            self.events.append(answer)

    def begin(self):
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self.session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network", "DOM", "Audits"):
            self.call(f"{domain}.enable")

    def run(self, script):
        """The value of an expression in the page."""
        answer = self.call("Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True)
        if "exceptionDetails" in answer:
            raise Failed(f"{script}: {answer['exceptionDetails']}")
        return answer["result"].get("value")

    def until(self, script):
        end = time.monotonic() + WAIT_S
        while time.monotonic() < end:
            value = self.run(script)
            if value:
                return value
            time.sleep(0.02)
        raise Failed(f"never true: {script}")

    def close(self):
        self.process.kill()
        self.process.wait()
        os.close(self.out)
        os.close(self.input)


def high_pipe():
    """A pipe away from the descriptors that are handed to the browser."""
    ends = os.pipe()
    moved = [fcntl.fcntl(end, fcntl.F_DUPFD_CLOEXEC, 10) for end in ends]
    for end in ends:
        os.close(end)
    return moved


class Server:
    """A real `tpw serve` with books of its own."""

    def __init__(self, tpw, folder):
        command = [tpw, "serve", "--data", f"{folder}/books", "--listen", "127.0.0.1:0", "--json"]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        for line in self.process.stdout:
            started = json.loads(line)
            if "url" in started:
                self.url = started["url"].rstrip("/")
                return
        raise Failed("`tpw serve` ended before it listened")

    def close(self):
        self.process.terminate()
        self.process.wait()


class Page:
    """The verify page, open in the browser."""

    def __init__(self, browser, address):
        self.browser, self.address = browser, address
        browser.events.clear()
        browser.call("Page.navigate", url=address)
        browser.until("document.documentElement?.dataset.ready === 'true'")

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

    def text(self, selector):
        return self.browser.run(f"document.querySelector({json.dumps(selector)})?.innerText ?? ''")

    def outcomes(self, kind):
        """The classes of the rows of a table: what they say beside their words."""
        return self.browser.run(
            f"[...document.querySelectorAll('tr.{kind}')].map((row) => row.className.split(' ')[1])")

    def rows(self, kind):
        return self.browser.run(f"[...document.querySelectorAll('tr.{kind}')].map((row) => row.innerText)")

    def speak(self, language):
        self.browser.run(f"document.querySelector('[data-language=\"{language}\"]').click()")

    def faults(self):
        """Messages, violations and requests that should not be."""
        self.browser.run("new Promise((done) => setTimeout(done, 20))")
        wrong = []
        for event in self.browser.events:
            method, detail = event.get("method"), event.get("params", {})
            if method in ("Runtime.consoleAPICalled", "Runtime.exceptionThrown", "Log.entryAdded", "Audits.issueAdded"):
                wrong.append(json.dumps(detail)[:400])
            elif method == "Network.requestWillBeSent":
                url = detail["request"]["url"]
                if not self.is_own(url):
                    wrong.append(f"a request to {url}")
        return wrong

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


def expect(found, wanted, what):
    if found != wanted:
        raise Failed(f"{what}: {found!r} instead of {wanted!r}")


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


def check_policy(page):
    """What an attacker in the page would try."""
    before = len(page.faults())
    script = "(() => { const s = document.createElement('script'); s.textContent = 'window.hit = 1'; document.body.append(s); })()"
    for attempt in (script, "document.body.innerHTML = '<b>x</b>'", "eval('window.hit = 1')",
                    "fetch('https://stranger.invalid/')"):
        # Scripts of the debugger are free of the policy unless they are told otherwise.
        page.browser.call("Runtime.evaluate", expression=f"try {{ {attempt} }} catch (error) {{}}",
                          awaitPromise=True, returnByValue=True, allowUnsafeEvalBlockedByCSP=False)
    expect(page.browser.run("window.hit ?? null"), None, "a script that was put in")
    if len(page.faults()) <= before:
        raise Failed("the policy let everything through")


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


CONTRAST = """(() => {
  const parse = (text) => text.match(/[\\d.]+/g).map(Number);
  const light = (rgb) => {
    const [r, g, b] = rgb.slice(0, 3).map((v) => (v / 255 <= 0.04045 ? v / 255 / 12.92 : ((v / 255 + 0.055) / 1.055) ** 2.4));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const behind = (node) => {
    for (let at = node; at; at = at.parentElement) {
      const paper = parse(getComputedStyle(at).backgroundColor);
      if (paper.length === 3 || paper[3] > 0) return paper;
    }
    return [255, 255, 255];
  };
  const low = [];
  for (const node of document.querySelectorAll('body *')) {
    const own = [...node.childNodes].some((child) => child.nodeType === 3 && child.data.trim());
    if (!own || !node.getClientRects().length || node.closest('svg, script')) continue;
    const style = getComputedStyle(node);
    const [a, b] = [light(parse(style.color)), light(behind(node))].sort((x, y) => y - x);
    const ratio = (a + 0.05) / (b + 0.05);
    if (ratio < 4.5) low.push(`${node.tagName}.${node.className} ${ratio.toFixed(2)} ${node.textContent.slice(0, 30)}`);
  }
  return low;
})()"""


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


class Tests:
    """Runs checks one by one and counts them."""

    def __init__(self):
        self.passed = self.failed = 0

    def run(self, name, check, page, *more):
        try:
            check(page, *more)
            faults = page.faults()
            if faults:
                raise Failed(f"the browser complains: {faults}")
            self.passed += 1
        except Failed as failure:
            self.failed += 1
            print(f"FAILED {name}: {failure}")
        page.browser.events.clear()


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
        server = Server(options.tpw, folder)
        browser = Browser(options.chromium, profile)
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
        page = Page(browser, address)
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
        page = Page(browser, f"{address}#receipt=https://stranger.invalid/r.tpr&trust=data:,x")
        page.address = address
        tests.run(f"{where} address", check_address, page, None)
        page = Page(browser, address)
        attack(tests, where, page)
    tests.run("download", check_download, Page(browser, f"{server.url}/verify/verify.html"), None)


def attack(tests, where, page):
    """Its violations are what is wanted, so that they are taken away again."""
    def check(page, _none):
        check_policy(page)
        page.browser.events.clear()
    tests.run(f"{where} policy", check, page, None)


def check_download(page, _none):
    """The whole page works under the server's headers, too, and asks the server for nothing."""
    page.drop(RECEIPTS / "good" / "ed25519.tpr", RECEIPTS / "trust.json")
    expect(page.text("#verdict strong"), "Valid: ed25519.tpr", "the page in one file")


if __name__ == "__main__":
    sys.exit(main())
