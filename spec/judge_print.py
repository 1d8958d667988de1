#!/usr/bin/env python3
"""Prints receipts with the product and reads the prints as a stranger would: PDF with PDFium, the QR code off its picture with
ZXing, HTML with a parser. Whatever is printed must carry the receipt file, byte by byte.

    judge_print.py --tpw PROGRAM --font FONT
"""

import argparse
import base64
import hashlib
import html.parser
import os
import re
import subprocess
import sys
import tempfile

import pypdfium2
import zxingcpp

# What a page may hold and what would make a reader's program load or run something.
ACTIVE = {"script", "link", "img", "iframe", "object", "embed", "form", "base", "video", "audio", "source", "use", "image"}
WORDS = {"en": "twenty-five and 00/100 USD", "zh-CN": "美元贰拾伍元整"}
LEVELS = {"en": "L3 time-stamped", "zh-CN": "L3 有时间戳"}


class Page(html.parser.HTMLParser):
    """Tags, attributes and text of a page."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.attributes, self.text, self.style = [], [], "", ""
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        self.attributes += [(tag, name, value) for name, value in attributes]

    def handle_data(self, data):
        if self.tags and self.tags[-1] == "style" and not self.style:
            self.style = data
        self.text += data

    def attribute(self, tag, name, having=""):
        return next(value for t, n, value in self.attributes if (t, n) == (tag, name) and having in value)


class Judge:
    def __init__(self, tpw, font, folder):
        self.tpw, self.font, self.folder = tpw, font, folder
        self.passed, self.failed = 0, 0
        self.run("demo", "--once", "--out", folder, "--json")
        self.receipt, self.trust = os.path.join(folder, "receipt.tpr"), os.path.join(folder, "trust.json")
        with open(self.receipt, "rb") as file:
            self.bytes = file.read()

    def run(self, *words):
        return subprocess.run([self.tpw, *words], capture_output=True, text=True, timeout=60)

    def print(self, lang, receipt, *more):
        out = os.path.join(self.folder, "print")
        if os.path.exists(out):
            os.remove(out)
        ran = self.run("--lang", lang, "receipt", "print", receipt, "--trust", self.trust, "-o", out, *more)
        if not os.path.exists(out):
            return ran.returncode, None
        with open(out, "rb") as file:
            return ran.returncode, file.read()

    def holds(self, what, true):
        self.passed, self.failed = self.passed + bool(true), self.failed + (not true)
        if not true:
            print(f"FAILED: {what}")

    def code_holds(self, lang, code):
        self.holds(f"{lang}: the code names this file", hashlib.sha256(self.bytes).hexdigest() in code)
        self.holds(f"{lang}: the code's form", re.fullmatch(r"tpw-receipt:1:pay_\w{26}(:[0-9a-f]{64}){2}:\d+:[^ :]+", code))

    def pdf(self, lang):
        code, written = self.print(lang, self.receipt, "--format", "pdf", "--font", self.font)
        self.holds(f"{lang}: a PDF", code == 0 and written.startswith(b"%PDF-1.7"))
        document = pypdfium2.PdfDocument(written)
        files = [document.get_attachment(index) for index in range(document.count_attachments())]
        self.holds(f"{lang}: the PDF carries the receipt", [bytes(file.get_data()) for file in files] == [self.bytes])
        self.holds(f"{lang}: as its source", b"/AFRelationship /Source" in written and b"/AF [" in written)
        text = "".join(page.get_textpage().get_text_range() for page in document)
        self.holds(f"{lang}: amount in words", WORDS[lang] in text and "25.00 USD" in text)
        self.holds(f"{lang}: levels", LEVELS[lang] in text)
        codes = zxingcpp.read_barcodes(document[0].render(scale=3).to_pil())
        self.holds(f"{lang}: one code on the first page", len(codes) == 1)
        self.code_holds(lang, codes[0].text)
        again = self.print(lang, self.receipt, "--format", "pdf", "--font", self.font)[1]
        self.holds(f"{lang}: printed again it is the same", again == written)

    def html(self, lang):
        code, written = self.print(lang, self.receipt)
        self.holds(f"{lang}: a page", code == 0)
        page = Page(written.decode())
        href = page.attribute("a", "href")
        kind, data = href.split(",", 1)
        self.holds(f"{lang}: the page carries the receipt", base64.b64decode(data, validate=True) == self.bytes)
        self.holds(f"{lang}: with its type", kind == "data:application/vnd.tpw.receipt+cbor;base64")
        self.holds(f"{lang}: where a program finds it", page.attribute("a", "id") == "receipt-file")
        self.holds(f"{lang}: amount in words", WORDS[lang] in page.text and LEVELS[lang] in page.text)
        self.holds(f"{lang}: nothing active", not ACTIVE & set(page.tags))
        addresses = [v for _, n, v in page.attributes if n in ("href", "src", "srcset", "data", "action", "style") or n.startswith("on")]
        self.holds(f"{lang}: nothing from elsewhere", addresses == [href] and "url(" not in page.style and "@import" not in page.style)
        policy = page.attribute("meta", "content", "default-src")
        style = base64.b64encode(hashlib.sha256(page.style.encode()).digest()).decode()
        self.holds(f"{lang}: the policy allows this style and no more", policy ==
                   f"default-src 'none'; style-src 'sha256-{style}'; base-uri 'none'; form-action 'none'")

    def refused(self):
        """What does not hold is not printed, and neither is what a font cannot show."""
        for place in range(0, len(self.bytes), len(self.bytes) // 12):
            bad = os.path.join(self.folder, "bad.tpr")
            with open(bad, "wb") as file:
                file.write(self.bytes[:place] + bytes([self.bytes[place] ^ 1]) + self.bytes[place + 1:])
            valid = self.run("verify", bad, "--trust", self.trust).returncode == 0
            for more in ([], ["--format", "pdf", "--font", self.font]):
                code, written = self.print("en", bad, *more)
                self.holds(f"byte {place}", (code, written is None) == ((0, False) if valid else (4, True)))
        for font in (self.receipt, os.devnull, self.trust):
            self.holds(f"{font} is no font", self.print("en", self.receipt, "--format", "pdf", "--font", font) == (2, None))
        self.holds("a PDF needs a font", self.print("en", self.receipt, "--format", "pdf") == (2, None))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tpw", required=True)
    parser.add_argument("--font", required=True)
    wanted = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        judge = Judge(os.path.abspath(wanted.tpw), wanted.font, folder)
        for lang in WORDS:
            judge.pdf(lang)
            judge.html(lang)
        judge.refused()
    print(f"{judge.passed} passed, {judge.failed} failed")
    return 1 if judge.failed else 0


if __name__ == "__main__":
    sys.exit(main())
