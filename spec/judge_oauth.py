#!/usr/bin/env python3
"""Goal: the authorization server serves a client library that others wrote.
Method: authlib (OAuth 2) and joserfc (JOSE) against a real `tpw serve`: client credentials with private_key_jwt and DPoP, then pushed
authorization request, code with PKCE, consent on the device, refresh; tokens verified with the published keys; and refusals.

    judge_oauth.py --tpw PROGRAM
"""

import argparse
import hashlib
import base64
import json
import os
import pathlib
import re
import subprocess
import sys
import tempfile
import time
import uuid
import warnings
from urllib.parse import parse_qs, urlsplit

import requests
from authlib.integrations.base_client.errors import OAuthError
from authlib.integrations.requests_client import OAuth2Session
from authlib.oauth2.rfc7523 import PrivateKeyJWT
from authlib.oauth2.rfc7636 import create_s256_code_challenge
from joserfc import jwk, jwt

CALLBACK = "https://books.example/cb"
SCOPES = "balance:read statements:read"
PASSWORD = "correct horse battery"
# The server's tokens name RFC 8037's algorithm, which more verifiers know than RFC 9864's.
warnings.filterwarnings("ignore", message="EdDSA is deprecated")


class Checks:
    def __init__(self):
        self.passed = self.failed = 0

    def that(self, what, good, told=""):
        if good:
            self.passed += 1
        else:
            self.failed += 1
            print(f"FAILED {what}: {told}")


def trust(session, ca):
    """This certificate and no other, whatever the environment says."""
    session.verify, session.trust_env = ca, False


def alg_of(key):
    return "Ed25519" if isinstance(key, jwk.OKPKey) else "ES256"


def b64(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


class World:
    """A server, its operator, and a person with a device."""

    def __init__(self, tpw, folder):
        self.tpw, self.folder = tpw, pathlib.Path(folder)
        self.data = self.folder / "operator"
        words = [tpw, "serve", "--data", str(self.data), "--listen", "127.0.0.1:0"]
        log = open(self.folder / "serve.log", "w")
        self.server = subprocess.Popen(words, stdout=log, stderr=log)
        for _ in range(200):
            if (self.data / "address").exists():
                break
            time.sleep(0.1)
        self.issuer, self.ca = (self.data / "address").read_text().splitlines()[:2]

    def run(self, *words, code=0):
        env = dict(os.environ, LANG="en", NO_COLOR="1")
        done = subprocess.run([self.tpw, *words], capture_output=True, text=True, env=env)
        if done.returncode != code:
            raise RuntimeError(f"{words} ended with {done.returncode}: {done.stderr}")
        return done.stdout

    def ops(self, *words):
        return json.loads(self.run("ops", "--data", str(self.data), "--json", *words))

    def secret(self, name, text):
        path = self.folder / name
        path.write_text(text + "\n")
        path.chmod(0o600)
        return str(path)

    def log_in(self):
        """Entering clients wants more than the operator's key."""
        typed = self.secret("operator.password", "violet hammock 57")
        self.ops("factor", "password", "--secret-file", typed)
        self.ops("login", "--secret-file", typed)

    def person(self):
        added = self.ops("person", "add", "Ann", "--account", "USD/2:100.00:label=main")
        self.device = ["--wallet", str(self.folder / "wallet"), "--passphrase-file", self.secret("pass", PASSWORD)]
        code = self.secret("code", added["code"])
        self.run("wallet", "init", *self.device)
        self.run("wallet", "enrol", *self.device, "--server", self.issuer, "--ca", self.ca, "--code-file", code)
        return added["accounts"][0]

    def close(self):
        self.server.terminate()
        self.server.wait(20)


class Dpop(requests.auth.AuthBase):
    """RFC 9449 by joserfc alone; authlib has none."""

    def __init__(self, key, token=None):
        self.key, self.token = key, token

    def proof(self, method, url):
        header = {"typ": "dpop+jwt", "alg": "ES256", "jwk": self.key.as_dict(private=False)}
        for extra in ("kid", "use"):
            header["jwk"].pop(extra, None)
        claims = {"jti": str(uuid.uuid4()), "htm": method, "htu": url.split("?")[0], "iat": int(time.time())}
        if self.token:
            claims["ath"] = b64(hashlib.sha256(self.token.encode()).digest())
        return jwt.encode(header, claims, self.key, algorithms=["ES256"])

    def __call__(self, request):
        request.headers["DPoP"] = self.proof(request.method, request.url)
        if self.token:
            request.headers["Authorization"] = f"DPoP {self.token}"
        return request


class Program:
    """The client: authlib with a key for its assertions, and a DPoP key."""

    def __init__(self, world, metadata, signing, scope=SCOPES):
        self.metadata, self.issuer = metadata, metadata["issuer"]
        self.dpop = jwk.ECKey.generate_key("P-256")
        self.session = OAuth2Session(
            "books.example", signing, token_endpoint_auth_method="private_key_jwt", scope=scope,
            redirect_uri=CALLBACK, code_challenge_method="S256",
        )
        # The audience is the issuer; authlib's default, the address of the endpoint, is refused.
        self.session.register_client_auth_method(PrivateKeyJWT(self.issuer, alg=alg_of(signing)))
        self.http = requests.Session()
        for session in (self.session, self.http):
            trust(session, world.ca)

    def headers(self, url):
        return {"DPoP": Dpop(self.dpop).proof("POST", url)}

    def fetch(self, **more):
        url = self.metadata["token_endpoint"]
        return self.session.fetch_token(url, headers={**self.headers(url), "Accept": "application/json",
                                        "Content-Type": "application/x-www-form-urlencoded"}, **more)

    def ask(self, endpoint, **form):
        """A request with the client's assertion, as authlib signs it."""
        url = self.metadata[endpoint]
        auth = self.session.client_auth("private_key_jwt")
        return self.http.post(url, data=form, auth=auth, headers=self.headers(url))

    def get(self, path, token, key=None):
        return self.http.get(self.issuer + path, auth=Dpop(key or self.dpop, token))


def refused(call, error):
    try:
        got = call()
    except OAuthError as problem:
        return problem.error == error, problem
    return False, got


def token_holds(checks, program, token, subject):
    """RFC 9068 §4, with the keys that the server publishes."""
    keys = jwk.KeySet.import_key_set(program.http.get(program.metadata["jwks_uri"]).json())
    read = jwt.decode(token, keys, algorithms=["EdDSA"])
    claims = read.claims
    checks.that("typ", read.header["typ"] == "at+jwt", read.header)
    checks.that("iss and aud", claims["iss"] == claims["aud"] == program.issuer, claims)
    checks.that("sub", claims["sub"] == subject or subject is None, claims)
    checks.that("client_id", claims["client_id"] == "books.example", claims)
    thumbprint = program.dpop.thumbprint()
    checks.that("cnf", claims["cnf"] == {"jkt": thumbprint}, claims)


def credentials(checks, world, program, account):
    token = program.fetch(grant_type="client_credentials", scope="balance:read")
    text = token["access_token"]
    checks.that("token type", token["token_type"] == "DPoP", token)
    token_holds(checks, program, text, "books.example")
    path = f"/v1/accounts/{account}"
    checks.that("nothing is delegated", program.get(path, text).status_code == 404)
    until = time.strftime("%Y-%m-%d", time.gmtime(time.time() + 86400))
    given = json.loads(world.run("delegate", "add", "books.example", "--scope", "balance:read", "--until", until,
                                 "--json", *world.device))
    answer = program.get(path, text)
    checks.that("delegated", answer.status_code == 200 and answer.json()["available"] == "10000", answer.text)
    checks.that("no more than that", program.get(path + "/statement", text).status_code == 403)
    other = jwk.ECKey.generate_key("P-256")
    checks.that("another key", program.get(path, text, other).status_code == 401)
    bearer = program.http.get(program.issuer + path, headers={"Authorization": f"Bearer {text}"})
    checks.that("as a bearer token", bearer.status_code == 401)
    narrowed(checks, program, text, path, account)
    about = program.ask("introspection_endpoint", token=text).json()
    checks.that("introspected", about["active"] is True and about["scope"] == "balance:read", about)
    world.run("delegate", "remove", given["id"], *world.device)
    checks.that("taken back", program.get(path, text).status_code == 404)
    checks.that("revoked", program.ask("revocation_endpoint", token=text).status_code == 200)
    about = program.ask("introspection_endpoint", token=text).json()
    checks.that("ended", about == {"active": False}, about)
    checks.that("as ended", program.get(path, text).status_code == 401)


def narrowed(checks, program, token, path, account):
    """A part of a token, for another key, by a statement that the server never saw."""
    other = jwk.ECKey.generate_key("P-256")
    public = {name: value for name, value in program.dpop.as_dict(private=False).items() if name not in ("kid", "use")}
    header = {"typ": "tpw-narrowing+jwt", "alg": "ES256", "jwk": public}
    claims = {"ath": b64(hashlib.sha256(token.encode()).digest()), "scope": "balance:read", "account": account,
              "cnf": {"jkt": other.thumbprint()}, "exp": int(time.time()) + 60}

    def read(key, **change):
        statement = jwt.encode(header, {**claims, **change}, program.dpop, algorithms=["ES256"])
        headers = {"Token-Narrowing": statement}
        return program.http.get(program.issuer + path, auth=Dpop(key, token), headers=headers).status_code

    checks.that("narrowed", read(other) == 200)
    checks.that("narrowed, by the first key", read(program.dpop) == 401)
    for name, change in (
        ("more scopes", {"scope": SCOPES}), ("over", {"exp": int(time.time()) - 1}),
        ("of another token", {"ath": b64(hashlib.sha256(b"x").digest())}),
        ("with a restriction that is not known", {"ip": "192.0.2.1"}),
    ):
        checks.that(f"narrowed, {name}", read(other, **change) == 401)


def pushed(program, verifier, **change):
    form = {
        "response_type": "code", "client_id": "books.example", "redirect_uri": CALLBACK, "scope": SCOPES,
        "state": "s1", "code_challenge": create_s256_code_challenge(verifier), "code_challenge_method": "S256",
    }
    form.update(change)
    return program.ask("pushed_authorization_request_endpoint", **form)


def code_flow(checks, world, program, account):
    verifier = b64(os.urandom(40))
    answer = pushed(program, verifier)
    checks.that("pushed", answer.status_code == 201, answer.text)
    query = {"client_id": "books.example", "request_uri": answer.json()["request_uri"]}
    browser = requests.Session()
    trust(browser, world.ca)
    visit = lambda: browser.get(program.metadata["authorization_endpoint"], params=query, allow_redirects=False)
    page = visit()
    shown = re.search(r"tpw grant (\w{4}-\w{4})", page.text)
    checks.that("the page shows a code", page.status_code == 200 and shown, page.text)
    checks.that("before the consent", visit().status_code == 200)
    world.run("grant", shown.group(1), "--yes", *world.device)
    back = visit()
    checks.that("sent back", back.status_code == 303, back.text)
    target = back.headers["Location"]
    answered = {name: values[0] for name, values in parse_qs(urlsplit(target).query).items()}
    checks.that("to the registered address", target.startswith(CALLBACK + "?"), target)
    checks.that("iss and state", (answered["iss"], answered["state"]) == (program.issuer, "s1"), answered)
    redeem = lambda **change: program.fetch(**{
        "authorization_response": target, "state": "s1", "code_verifier": verifier, **change})
    checks.that("wrong verifier", *refused(lambda: redeem(code_verifier="x" * 43), "invalid_grant"))
    token = redeem()
    checks.that("scope", token["scope"] == SCOPES, token)
    checks.that("accounts", token["accounts"] == [account], token)
    text = token["access_token"]
    token_holds(checks, program, text, None)
    for path in (f"/v1/accounts/{account}", f"/v1/accounts/{account}/statement"):
        checks.that(path, program.get(path, text).status_code == 200)
    checks.that("another door", program.get("/v1/accounts", text).status_code == 401)
    url = program.metadata["token_endpoint"]
    old = token["refresh_token"]
    refresh = lambda value: program.session.refresh_token(url, refresh_token=value, headers={
        **program.headers(url), "Accept": "application/json", "Content-Type": "application/x-www-form-urlencoded"})
    next_token = refresh(old)
    checks.that("refreshed", next_token["refresh_token"] != old and next_token["access_token"] != text)
    checks.that("code replay", *refused(redeem, "invalid_grant"))
    checks.that("its tokens ended", program.get(f"/v1/accounts/{account}", next_token["access_token"]).status_code == 401)
    checks.that("its family ended", *refused(lambda: refresh(next_token["refresh_token"]), "invalid_grant"))


def refusals(checks, world, program, signing):
    checks.that("no grant for passwords", *refused(
        lambda: program.fetch(grant_type="password", username="a", password="b"), "unsupported_grant_type"))
    checks.that("scope", *refused(
        lambda: program.fetch(grant_type="client_credentials", scope="openid"), "invalid_scope"))
    for name, change in (
        ("plain", {"code_challenge_method": "plain"}),
        ("no challenge", {"code_challenge": ""}),
        ("another address", {"redirect_uri": CALLBACK + "/../x"}),
    ):
        answer = pushed(program, "v" * 43, **change)
        checks.that(name, (answer.status_code, answer.json()["error"]) == (400, "invalid_request"), answer.text)
    stranger = Program(world, program.metadata, type(signing).generate_key(signing.curve_name))
    checks.that("another key", *refused(lambda: stranger.fetch(grant_type="client_credentials"), "invalid_client"))
    by_address = Program(world, program.metadata, signing)
    auth = PrivateKeyJWT(program.metadata["token_endpoint"], alg=alg_of(signing))
    by_address.session.register_client_auth_method(auth)
    checks.that("another audience", *refused(lambda: by_address.fetch(grant_type="client_credentials"), "invalid_client"))
    unbound = lambda: program.session.fetch_token(program.metadata["token_endpoint"], grant_type="client_credentials")
    checks.that("without a proof", *refused(unbound, "invalid_dpop_proof"))


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--tpw", required=True)
    checks = Checks()
    with tempfile.TemporaryDirectory() as folder:
        world = World(os.path.abspath(parser.parse_args().tpw), folder)
        try:
            account = world.person()
            keys = [jwk.OKPKey.generate_key("Ed25519"), jwk.ECKey.generate_key("P-256")]
            public = {"keys": [key.as_dict(private=False) for key in keys]}
            (world.folder / "jwks.json").write_text(json.dumps(public))
            grants = ["authorization_code", "refresh_token", "client_credentials"]
            words = [word for grant in grants for word in ("--grant", grant)]
            words += [word for scope in SCOPES.split() for word in ("--scope", scope)]
            world.log_in()
            world.ops("client", "add", "books.example", "Books", "--redirect", CALLBACK,
                      "--jwks", str(world.folder / "jwks.json"), *words)
            url = world.issuer + "/.well-known/oauth-authorization-server"
            metadata = requests.get(url, verify=world.ca).json()
            checks.that("the issuer of the metadata", metadata["issuer"] == world.issuer, metadata)
            for signing in keys:
                program = Program(world, metadata, signing)
                credentials(checks, world, program, account)
                code_flow(checks, world, program, account)
                refusals(checks, world, program, signing)
        finally:
            world.close()
    print(f"{checks.passed} passed, {checks.failed} failed")
    return 1 if checks.failed else 0


if __name__ == "__main__":
    sys.exit(main())
