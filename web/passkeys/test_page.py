"""Goal: the passkey page does in a real browser what its link is for, shows what a key is about to sign, and is of no use for more.

Method: a person's device (`tpw`) gets one-time links from a real `tpw serve`; Chromium opens them with its virtual
authenticators (Chrome DevTools Protocol, domain WebAuthn). What came of it is read from the page and, as the server tells
it, from the device. A message of the console, a violation of the policy or a request beyond the page's own fails the test.

Run by `cargo xtask test`: test_page.py --tpw PROGRAM [--chromium PROGRAM] [--pictures FOLDER]
"""

import argparse
import base64
import json
import os
import pathlib
import re
import socket
import subprocess
import sys
import tempfile
import threading

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))
from browser import CONTRAST, Browser, Failed, Page, Server, Tests, attack, expect

SOURCE = (pathlib.Path(__file__).parent / "page.js").read_text()
OWN = ["/passkeys", "/passkeys/page.js", "/passkeys/page.css", "/v1/factors/passkeys:start", "/v1/factors/passkeys:finish"]


def texts(language):
    """The texts of the page, read from its source."""
    part = SOURCE.split(f'{language}: {{' if language == "en" else f'"{language}": {{', 1)[1].split("\n  },", 1)[0]
    return {key: json.loads(value) for key, value in re.findall(r'^    (\w+): (".*"),$', part, re.MULTILINE)}


EN, ZH = texts("en"), texts("zh-CN")


class Device:
    """A person's enrolled device, and what the server tells it."""

    def __init__(self, tpw, server, folder, name, *accounts):
        self.tpw, self.folder = tpw, folder
        self.passphrase = self.secret("passphrase", "correct horse battery")
        added = self.ran([tpw, "ops", "--data", server.data, "--json", "person", "add", name,
                          *(word for account in accounts for word in ("--account", account))])
        self.accounts = added["accounts"]
        code = self.secret("code", added["code"])
        self.call("wallet", "init")
        self.call("wallet", "enrol", "--server", server.url, "--ca", server.certificate, "--code-file", code)
        self.id = self.call("wallet", "show")["device"]

    def secret(self, name, text):
        path = self.folder / name
        with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
            file.write(text)
        return str(path)

    def ran(self, command, wanted=0):
        done = subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL, check=False)
        expect(done.returncode, wanted, f"{' '.join(command[1:4])}: {done.stderr}")
        return json.loads(done.stdout) if done.stdout.strip() else None

    def call(self, *words, wanted=0):
        own = ["--wallet", str(self.folder / "wallet"), "--passphrase-file", self.passphrase, "--json"]
        return self.ran([self.tpw, *words, *own], wanted)

    def link(self, *words):
        return self.call(*words)["url"]

    def keys(self):
        """This person's keys by their names, and the level of the device's session."""
        told = self.call("factor", "list")
        return {key["name"]: key for key in told["passkeys"]}, told["acr"]

    def pay(self, payee, note, wanted):
        order = ("wallet", "pay", "main", payee, "1200", "USD/2", "--note", note, "--yes", "--no-input")
        return self.call(*order, wanted=wanted)


class PasskeyPage(Page):
    """The page, opened by a link."""

    def __init__(self, browser, link):
        # Another fragment alone would not load it anew.
        browser.call("Page.navigate", url="about:blank")
        self.origin = re.match(r"https://[^/]+", link)[0]
        self.refused = False
        super().__init__(browser, link)

    def is_own(self, url):
        return url == "about:blank" or url in [self.origin + path for path in OWN]

    def faults(self):
        """A refusal by the server stands in the console by itself; only where one is wanted it is no fault."""
        if self.refused:
            self.browser.events[:] = [event for event in self.browser.events if not is_refusal(event)]
        return super().faults()

    def go(self):
        self.browser.run("document.querySelector('#go').click()")
        self.browser.until("document.querySelector('#outcome').dataset.outcome !== ''")
        return self.text("#outcome")

    def name(self, name):
        self.browser.run(f"document.querySelector('#name').value = {json.dumps(name)}; true")

    def shows_form(self):
        return self.browser.run("document.querySelector('#form').getClientRects().length > 0")


def is_refusal(event):
    entry = event.get("params", {}).get("entry", {})
    return event.get("method") == "Log.entryAdded" and entry.get("source") == "network" and "/v1/factors/" in entry.get("url", "")


class Authenticators:
    """Virtual authenticators of the browser, of which one is there at a time."""

    def __init__(self, browser):
        self.browser, self.present = browser, None
        browser.call("WebAuthn.enable", enableUI=False)

    def plug(self, verifies=True, synced=False, protocol="ctap2"):
        self.pull()
        options = {
            "protocol": protocol, "transport": "internal" if protocol == "ctap2" else "usb", "isUserVerified": verifies,
            "automaticPresenceSimulation": True, "hasResidentKey": protocol == "ctap2", "hasUserVerification": verifies,
        }
        if synced:
            options |= {"defaultBackupEligibility": True, "defaultBackupState": True}
        added = self.browser.call("WebAuthn.addVirtualAuthenticator", options=options)
        self.present = added["authenticatorId"]

    def pull(self):
        if self.present:
            self.browser.call("WebAuthn.removeVirtualAuthenticator", authenticatorId=self.present)
            self.present = None

    def credentials(self):
        return self.browser.call("WebAuthn.getCredentials", authenticatorId=self.present)["credentials"]

    def put_back(self, credentials):
        for credential in credentials:
            self.browser.call("WebAuthn.addCredential", authenticatorId=self.present, credential=credential)

    def verify(self, answer):
        self.browser.call("WebAuthn.setUserVerified", authenticatorId=self.present, isUserVerified=answer)

    def touch(self, answer):
        self.browser.call("WebAuthn.setAutomaticPresenceSimulation", authenticatorId=self.present, enabled=answer)


class Scene:
    """A person with a device and a browser, and somebody who is paid."""

    def __init__(self, options, server, browser, folder):
        homes = [pathlib.Path(folder) / name for name in ("ann", "bob")]
        for home in homes:
            home.mkdir()
        self.server, self.browser, self.keys = server, browser, Authenticators(browser)
        self.ann = Device(options.tpw, server, homes[0], "Ann", "USD/2:90000:label=main")
        # Who was paid before is no longer asked about: each payment has a payee of its own.
        accounts = [word for place in range(4) for word in ("--account", f"USD/2:label=account{place}")]
        bob = ["ops", "--data", server.data, "--json", "person", "add", "Bob", *accounts]
        self.payees = self.ann.ran([options.tpw, *bob])["accounts"]
        self.links = []

    def waiting(self, note):
        """A payment that waits for its payer."""
        payee = self.payees.pop()
        return {"payee": payee, "note": note, "payment": self.ann.pay(payee, note, 5)["payment"]}

    def open(self, *words, origin=None):
        link = self.ann.link(*words)
        self.links.append(link)
        if origin:
            link = link.replace(re.match(r"https://[^/]+", link)[0], origin)
        return PasskeyPage(self.browser, link)


def refused(page, language="en"):
    """The server's word for an answer that does not count."""
    page.refused = True
    said = page.go()
    wanted = {"en": "What the passkey answered does not count here", "zh-CN": "通行密钥"}[language]
    if wanted not in said:
        raise Failed(f"not refused: {said!r}")
    expect(page.shows_form(), False, "the form after an answer")


def register(scene, tests, name, *words, language="en"):
    """Registers the authenticator that is there."""
    known = EN if language == "en" else ZH
    page = scene.open("factor", "passkey", *words)

    def check(page):
        page.speak(language)
        expect(page.browser.run("location.href"), f"{page.origin}/passkeys", "the address")
        expect(page.browser.run("history.length < 3 || !JSON.stringify(history.state)?.includes('#')"), True, "the history")
        expect(page.text("#about"), known["register_security_key" if words else "register_passkey"], "what it is about")
        expect(page.text("#go"), known["go_register"], "the button")
        page.name(name)
        expect(page.go(), known["registered"].replace("{name}", name), "the outcome")
        expect(page.shows_form(), False, "the form after it was used")
    tests.run(f"register {name}", check, page)


def log_in(scene, tests, name, aal, language="en"):
    """Uses the authenticator that is there for the session."""
    known = EN if language == "en" else ZH
    page = scene.open("login", "--with", "passkey")

    def check(page):
        page.speak(language)
        expect(page.text("#about"), known["use"], "what it is about")
        if scene.ann.id not in page.text("#asked"):
            raise Failed(f"the page does not say which device asked: {page.text('#asked')!r}")
        expect(page.browser.run("document.querySelector('#name-row').hidden"), True, "a name for a known key")
        expect(page.go(), known["used"].replace("{name}", name), "the outcome")
        expect(scene.ann.keys()[1], aal, "the level of the session")
    tests.run(f"log in with {name}", check, page)


def check_given_up(page, scene):
    """Nobody's finger, then another page: the link still works, and only then it is used."""
    scene.keys.touch(False)
    scene.browser.run("document.querySelector('#go').click()")
    scene.browser.until("document.querySelector('#outcome').textContent !== ''")
    expect(page.text("#outcome"), EN["waiting"], "while it waits")
    scene.browser.call("Page.navigate", url="about:blank")
    scene.keys.touch(True)
    again = PasskeyPage(scene.browser, scene.links[-1])
    expect(again.go(), EN["used"].replace("{name}", "Ann's laptop"), "the second try")


def check_unverified(page, scene):
    """A wrong finger is told, changes nothing, and can be tried again; a page that does not ask for one gets nowhere."""
    scene.keys.verify(False)
    expect(page.go(), EN["cancelled"], "an unverified user")
    expect(page.shows_form(), True, "the form after it was cancelled")
    # What a forged page would do: ask the authenticator for less than the server asked for.
    page.browser.run(ASK_FOR_LESS)
    refused(page)
    scene.keys.verify(True)


ASK_FOR_LESS = """(() => {
  const get = navigator.credentials.get.bind(navigator.credentials);
  navigator.credentials.get = ({ publicKey }) => get({ publicKey: { ...publicKey, userVerification: 'discouraged' } });
  return true;
})()"""


class Relay:
    """Another port that hands everything on: the page is the server's own, and its origin is not."""

    def __init__(self, server):
        host, port = server.url.removeprefix("https://").split(":")
        self.to, self.listener = (host, int(port)), socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            near, _ = self.listener.accept()
            far = socket.create_connection(self.to)
            for one, other in ((near, far), (far, near)):
                threading.Thread(target=self.copy, args=(one, other), daemon=True).start()

    @staticmethod
    def copy(one, other):
        try:
            while piece := one.recv(1 << 16):
                other.sendall(piece)
            other.shutdown(socket.SHUT_WR)
        except OSError:
            pass


def check_other_origin(page, scene):
    before = scene.ann.keys()
    refused(page)
    expect(scene.ann.keys(), before, "what the server keeps")


def check_address(page, _scene):
    """The browser itself lets no page at an address use the keys of a name."""
    expect(page.go(), EN["cancelled"], "at an address")


def check_payment(page, scene, paid, language, name):
    known = EN if language == "en" else ZH
    page.speak(language)
    expect(page.text("#about"), known["pay"], "what it is about")
    expect([page.text(f"#{field}") for field in ("money", "payee", "purpose", "id")],
           ["1200.00 USD", paid["payee"], paid["note"], paid["payment"]], "what is shown")
    expect(page.text("#money-label"), known["money"], "the word for the amount")
    expect(page.go(), known["paid_booked"].replace("{name}", name), "the outcome")
    done = scene.ann.pay(paid["payee"], paid["note"], 0)
    expect((done["payment"], done["outcome"]), (paid["payment"], "booked"), "the payment")
    check_evidence(page, scene, paid["payment"], scene.ann.folder / "wallet" / "receipts" / done["receipt"])


def check_evidence(page, scene, payment, receipt):
    """What the browser signed is judged again offline, by the receipt; at another origin, or changed, it shows nothing."""
    kept = scene.ann.folder / "evidence"
    scene.ann.call("factor", "evidence", payment, "--out", str(kept))
    trust = f"{scene.server.data}/trust.json"
    judge = [scene.ann.tpw, "factor", "judge", str(kept), "--receipt", str(receipt), "--trust", trust, "--json", "--origin"]
    told = scene.ann.ran([*judge, page.origin])
    expect((told["valid"], told["payment"], told["user_verified"]), (True, payment, True), "the evidence")
    scene.ann.ran([*judge, "https://localhost.example"], wanted=4)
    kept.write_bytes(kept.read_bytes()[:-1] + b"\0")
    scene.ann.ran([*judge, page.origin], wanted=4)


OTHER_CHALLENGE = """(async () => {
  const answer = await fetch('/v1/factors/passkeys:start', { method: 'POST', headers: { 'Content-Type': 'application/json' },
    body: JSON.stringify({ code: CODE }) });
  const { options } = await answer.json();
  const other = PublicKeyCredential.parseRequestOptionsFromJSON(options).challenge;
  const get = navigator.credentials.get.bind(navigator.credentials);
  navigator.credentials.get = ({ publicKey }) => get({ publicKey: { ...publicKey, challenge: other } });
  return answer.status;
})()"""


def check_other_payment(page, scene, shown, other):
    """A page that shows one payment and has another one signed moves neither."""
    code = scene.ann.link("login", "--with", "passkey", "--payment", other["payment"]).split("#")[1]
    expect(page.browser.run(OTHER_CHALLENGE.replace("CODE", json.dumps(code))), 200, "the other link")
    refused(page)
    for payment in (shown, other):
        expect(scene.ann.pay(payment["payee"], payment["note"], 5)["payment"], payment["payment"], "still waiting")


def check_removed(page, scene, name):
    """A key that is removed while the page waits counts no more."""
    keys, _level = scene.ann.keys()
    scene.ann.call("factor", "remove", keys[name]["id"])
    refused(page)
    expect(name in scene.ann.keys()[0], False, "a removed key")


def check_used_up(page, scene):
    expect(page.shows_form(), False, "the form of a used link")
    page.refused = True
    if not page.text("#outcome"):
        raise Failed("nothing is said of a used link")


def check_no_link(page, _scene):
    expect(page.text("#about"), EN["no_link"], "without a link")
    expect(page.shows_form(), False, "the form without a link")


def check_secrets(_page, scene):
    """No code of a link stands in what the server told its operator."""
    codes = [link.split("#")[1] for link in scene.links]
    expect([code for code in codes if any(code in line for line in scene.server.records)], [], "codes in the records")


def check_looks(page, pictures):
    """Contrast of WCAG 2.2 AA and no sideways scrolling, light and dark, wide and narrow, in both languages."""
    for theme in ("light", "dark"):
        page.browser.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": theme}])
        for language in ("en", "zh-CN"):
            page.speak(language)
            for width in (320, 1100):
                page.browser.call("Emulation.setDeviceMetricsOverride", width=width, height=900,
                                  deviceScaleFactor=1, mobile=False)
                what = f"passkeys-{theme}-{language}-{width}"
                expect(page.browser.run(CONTRAST), [], f"contrast, {what}")
                expect(page.browser.run("document.documentElement.scrollWidth <= innerWidth"), True, f"width, {what}")
                if pictures:
                    shot = page.browser.call("Page.captureScreenshot")["data"]
                    (pathlib.Path(pictures) / f"{what}.png").write_bytes(base64.b64decode(shot))
    page.browser.call("Emulation.clearDeviceMetricsOverride")
    page.browser.call("Emulation.setEmulatedMedia", features=[])


def run_all(tests, scene, pictures):
    scene.keys.plug()
    register(scene, tests, "Ann's laptop")
    log_in(scene, tests, "Ann's laptop", "aal2", "zh-CN")
    tests.run("given up", check_given_up, scene.open("login", "--with", "passkey"), scene)
    tests.run("unverified", check_unverified, scene.open("login", "--with", "passkey"), scene)
    relay = Relay(scene.server)
    page = scene.open("login", "--with", "passkey", origin=f"https://localhost:{relay.port}")
    tests.run("another origin", check_other_origin, page, scene)
    page = scene.open("login", "--with", "passkey", origin=scene.server.url)
    tests.run("an address", check_address, page, scene)
    payments(tests, scene, pictures)
    other_keys(tests, scene)
    page = PasskeyPage(scene.browser, f"{page.origin}/passkeys")
    tests.run("no link", check_no_link, page, scene)
    attack(tests, "passkeys", page)
    page = PasskeyPage(scene.browser, scene.links[0])
    page.refused = True
    tests.run("a used link", check_used_up, page, scene)
    tests.run("secrets", check_secrets, page, scene)


def payments(tests, scene, pictures):
    link = ("login", "--with", "passkey", "--payment")
    for language, note in (("en", "rent"), ("zh-CN", "<b>房租</b>")):
        paid = scene.waiting(note)
        page = scene.open(*link, paid["payment"])
        if language == "en":
            tests.run("looks", check_looks, page, pictures)
        tests.run(f"payment {note}", check_payment, page, scene, paid, language, "Ann's laptop")
    shown, other = scene.waiting("small"), scene.waiting("large")
    page = scene.open(*link, shown["payment"])
    tests.run("another payment", check_other_payment, page, scene, shown, other)


def other_keys(tests, scene):
    """Keys that are worth less than a passkey of this computer, or no more than it."""
    laptop = scene.keys.credentials()
    scene.keys.plug(synced=True)
    register(scene, tests, "手机", language="zh-CN")
    expect_key(tests, scene, "手机", True, "packed")
    log_in(scene, tests, "手机", "aal2")
    page = scene.open("login", "--with", "passkey")
    tests.run("removed", check_removed, page, scene, "手机")
    scene.keys.plug(verifies=False, protocol="u2f")
    register(scene, tests, "Old key", "--security-key")
    expect_key(tests, scene, "Old key", False, "fido-u2f")
    scene.keys.plug()
    scene.keys.put_back(laptop)
    log_in(scene, tests, "Ann's laptop", "aal2")


def expect_key(tests, scene, name, synced, attestation):
    page = PasskeyPage(scene.browser, f"{scene.links[-1].split('#')[0]}")

    def check(_page):
        key = scene.ann.keys()[0][name]
        found = (key["backup_eligible"], key["attestation"], key["attested"])
        expect(found, (synced, attestation, False), f"what is kept of {name}")
    tests.run(f"what is kept of {name}", check, page)


def makers(folder):
    """A folder with the root of one maker, so that every key is asked what it is; none here is of that maker."""
    devices = json.loads((pathlib.Path(__file__).parents[2] / "spec/vectors/webauthn/devices.json").read_text())
    root = base64.b64encode(base64.urlsafe_b64decode(devices["roots"]["apple"] + "==")).decode()
    path = pathlib.Path(folder) / "makers"
    path.mkdir()
    (path / "apple.pem").write_text(f"-----BEGIN CERTIFICATE-----\n{root}\n-----END CERTIFICATE-----\n")
    return str(path)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--tpw", required=True)
    parser.add_argument("--chromium", default="chromium")
    parser.add_argument("--pictures")
    options = parser.parse_args()
    tests = Tests()
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        profile = pathlib.Path(folder) / "profile"
        profile.mkdir()
        browser = Browser(options.chromium, profile)
        server = Server(options.tpw, folder, "--passkey-anchors", makers(folder))
        try:
            browser.begin()
            browser.call("Security.setIgnoreCertificateErrors", ignore=True)
            run_all(tests, Scene(options, server, browser, folder), options.pictures)
        finally:
            browser.close()
            server.close()
    print(f"{tests.passed} passed, {tests.failed} failed")
    return 1 if tests.failed else 0


if __name__ == "__main__":
    sys.exit(main())
