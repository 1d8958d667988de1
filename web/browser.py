"""Chromium over its own pipe (Chrome DevTools Protocol), and a real `tpw serve`: what the tests of the pages share."""

import fcntl
import json
import os
import pathlib
import select
import subprocess
import threading
import time

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
        # Chromium reads commands from descriptor 3 and writes to 4: it is started before anything else opens a file.
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

    def __init__(self, tpw, folder, *more):
        command = [tpw, "serve", "--data", f"{folder}/books", "--listen", "127.0.0.1:0", "--json", *more]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        # What the server told so far: somebody has to read on, or it would wait for the pipe.
        self.records = []
        for line in self.process.stdout:
            started = json.loads(line)
            self.records.append(line)
            if "development_certificate" in started:
                self.url, self.data = started["url"].rstrip("/"), started["data"]
                self.certificate = started["development_certificate"]
                threading.Thread(target=self.records.extend, args=(self.process.stdout,), daemon=True).start()
                return
        raise Failed("`tpw serve` ended before it listened")

    def close(self):
        self.process.terminate()
        self.process.wait()


class Page:
    """A page that is open in the browser."""

    def __init__(self, browser, address):
        self.browser, self.address = browser, address
        browser.events.clear()
        browser.call("Page.navigate", url=address)
        browser.until("document.documentElement?.dataset.ready === 'true'")

    def text(self, selector):
        return self.browser.run(f"document.querySelector({json.dumps(selector)})?.innerText ?? ''")

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
        """Whether the page may ask for this address."""
        raise NotImplementedError


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


def expect(found, wanted, what):
    if found != wanted:
        raise Failed(f"{what}: {found!r} instead of {wanted!r}")


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


def attack(tests, where, page):
    """Its violations are what is wanted, so that they are taken away again."""
    def check(page, _none):
        check_policy(page)
        page.browser.events.clear()
    tests.run(f"{where} policy", check, page, None)


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
