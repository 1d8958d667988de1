#!/usr/bin/env python3
"""How long `tpw verify --all` takes for receipts with every classical layer: witnesses, time-stamp, anchor, evidence record.

usage: bulk.py TPW RPC COUNT [--own]

TPW is the program, RPC the address of an EVM node for tests (`eval "$(cargo xtask anvil start)"`, then "$TPW_TEST_EVM"), which is reset. One
person pays COUNT times; with --own each payment waits for its witnesses, so that each receipt is under a checkpoint of its own. Prints one
object of JSON: receipts, checkpoints, sizes in bytes, and milliseconds of five runs of the whole command. Exit code 1 unless every receipt
has L0 to L5.
"""
import json
import os
import pathlib
import ssl
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request

FINAL = "0x46"
TIME_MAX_S = 300


class Scene:
    def __init__(self, tpw, rpc, folder):
        self.tpw, self.rpc, self.folder = tpw, rpc, folder
        self.children = []

    def run(self, *words, may_wait=False):
        ran = subprocess.run([self.tpw, *words], cwd=self.folder, capture_output=True, text=True, check=False)
        if ran.returncode and not may_wait:
            raise SystemExit(f"{' '.join(words)}: {ran.returncode}\n{ran.stdout[-1000:]}{ran.stderr[-1000:]}")
        return ran.stdout

    def json(self, *words):
        return json.loads(self.run(*words, "--json"))

    def start(self, key, *words):
        """A server, and the line with which it says where it is."""
        child = subprocess.Popen([self.tpw, *words, "--json"], cwd=self.folder, text=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        self.children.append(child)
        for line in child.stdout:
            if line.startswith("{") and key in (told := json.loads(line)):
                threading.Thread(target=lambda: [None for _ in child.stdout], daemon=True).start()
                return child, told
        raise SystemExit(f"{' '.join(words)} ended")

    def node(self, method, *params):
        body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": params}).encode()
        with urllib.request.urlopen(urllib.request.Request(self.rpc, body, {"content-type": "application/json"})) as answer:
            return json.load(answer)["result"]

    def write(self, name, text):
        with open(self.folder / name, "w", encoding="utf-8", opener=lambda path, flags: os.open(path, flags, 0o600)) as file:
            file.write(text)


def witnesses(scene):
    started = [scene.start("keys", "log", "witness", "serve", "--data", f"w{n}", "--name", f"w{n}.example", "--trust", "books/trust.json",
                           "--listen", "127.0.0.1:0")[1] for n in range(3)]
    lines = [f"witness w{n} {told['keys'][0]} {told['url']}/\n" for n, told in enumerate(started)]
    scene.write("policy", "".join(lines) + "group all all w0 w1 w2\nquorum all\n")
    scene.write("ca.pem", "".join(pathlib.Path(scene.folder, told["development_certificate"]).read_text("utf-8") for told in started))


def anchors(scene):
    for method, params in [("anvil_setChainId", [31337]), ("anvil_reset", []), ("evm_setAutomine", [True])]:
        scene.node(method, *params)
    account = scene.json("anchor", "init", "--data", "anchor")["account"]
    scene.node("anvil_setBalance", account, "0xde0b6b3a7640000")
    deploy = ["anchor", "deploy", "--data", "anchor", "--rpc", scene.rpc]
    scene.run(*deploy, may_wait=True)
    while scene.node("eth_getTransactionCount", account, "latest") == "0x0":
        time.sleep(0.1)
    scene.node("anvil_mine", FINAL)
    scene.run(*deploy)


def metrics(told, folder):
    trusted = ssl.create_default_context(cafile=folder / told["development_certificate"])
    with urllib.request.urlopen(told["url"] + "/metrics", context=trusted) as answer:
        lines = answer.read().decode().splitlines()
    return {name: value for name, _, value in (line.rpartition(" ") for line in lines if not line.startswith("#"))}


def is_complete(now, booked):
    anchored = int(now["tpw_anchored_tree_size"]) >= int(now["tpw_tree_size"])
    return anchored and int(now["tpw_archived_receipts"]) >= booked


def paid(scene, count, own):
    """The folder of receipts with all that came to them."""
    serve = ["serve", "--data", "books", "--audience", "bank.example", "--rate-limit", "100000"]
    server, _ = scene.start("development_certificate", *serve, "--listen", "127.0.0.1:0")
    person = ["ops", "--data", "books", "person", "add"]
    payer, payee = scene.json(*person, "Payer", "--account", "USD/2:1000000.00"), scene.json(*person, "Payee", "--account", "USD/2")
    server.terminate()
    server.wait()
    witnesses(scene)
    anchors(scene)
    more = ["--witnesses", "policy", "--witness-ca", "ca.pem", "--anchor", "anchor", "--anchor-rpc", scene.rpc, "--anchor-every", "1s",
            "--anchor-poll", "1s", "--evidence-every", "30", *(["--witnessed-from", "USD/2:0.01"] if own else [])]
    _, told = scene.start("development_certificate", *serve, "--listen", "127.0.0.1:0", *more)
    wallet = ["--wallet", "wallet", "--passphrase-file", "pass"]
    scene.write("pass", "long words for nobody 17\n")
    scene.write("code", payer["code"] + "\n")
    scene.run("wallet", "init", *wallet)
    scene.run("wallet", "enrol", *wallet, "--server", told["url"], "--ca", told["development_certificate"], "--code-file", "code")
    accounts = [person["accounts"][0] for person in (payer, payee)]
    rows = [f"{accounts[0]},{accounts[1]},{1 + n % 7}.{10 + n % 90},USD/2,row {n}\n" for n in range(count)]
    scene.write("pay.csv", "from,to,amount,asset,note\n" + "".join(rows))
    # One of many may wait for its payer.
    scene.run("pay", *wallet, "--batch", "pay.csv", "--yes-new-payee", may_wait=True)
    booked = int(metrics(told, scene.folder)['tpw_payments_total{status="booked"}'])
    end = time.monotonic() + TIME_MAX_S
    while not is_complete(now := metrics(told, scene.folder), booked):
        if time.monotonic() > end:
            raise SystemExit(f"not all of {booked} receipts are archived and anchored: {now}")
        scene.node("anvil_mine", FINAL)
        time.sleep(1)
    scene.run("wallet", "receipts", *wallet, "--out", "receipts", "--fresh")
    return sorted((scene.folder / "receipts").glob("*.tpr"))


def measured(scene, files):
    judge = ["--trust", "books/trust.json", "--policy", "policy"]
    found = json.loads(scene.run("verify", *(str(file) for file in files), *judge, "--json"))
    blocks = {anchor["block_hash"] for one in found for anchor in one.get("anchors", [])}
    known = [word for block in sorted(blocks) for word in ("--block-hash", block)]
    took_ms, told = [], ""
    for _ in range(5):
        begun = time.monotonic()
        told = scene.run("verify", "--all", "receipts", *judge, *known)
        took_ms.append(round((time.monotonic() - begun) * 1000, 1))
    levels = [line.split("\t")[1] for line in told.splitlines() if line.startswith("L")]
    if levels != [str(len(files))] * 6:
        raise SystemExit(f"not every receipt has every level:\n{told}")
    return took_ms


def main(tpw, rpc, count, *flags):
    with tempfile.TemporaryDirectory() as folder:
        scene = Scene(os.path.abspath(tpw), rpc, pathlib.Path(folder))
        try:
            files = paid(scene, int(count), "--own" in flags)
            took_ms = measured(scene, files)
        finally:
            for child in scene.children:
                child.terminate()
        heads = {file.read_bytes().split(b"bank.example/log\n")[1].split(b"\n")[0] for file in files}
        sizes = [file.stat().st_size for file in files]
    median = statistics.median(took_ms)
    print(json.dumps({"receipts": len(files), "checkpoints": len(heads), "bytes": [min(sizes), statistics.median(sizes), max(sizes)],
                      "took_ms": took_ms, "median_ms": median, "ms_per_receipt": round(median / len(files), 3)}))


if __name__ == "__main__":
    if not 4 <= len(sys.argv) <= 5:
        sys.exit(__doc__)
    main(*sys.argv[1:])
