"""A mail server for tests: aiosmtpd, under TLS from the first byte or by STARTTLS, which says on stdout what it gets.

Usage: smtp_server.py CERTIFICATE KEY. Prints a line of JSON with its two ports, then one for each mail. Ends when stdin does."""

import asyncio
import json
import logging
import ssl
import sys
import warnings
from email import message_from_bytes, policy

from aiosmtpd.smtp import SMTP, AuthResult

# Handshakes that fail are what some tests want.
logging.disable()
warnings.simplefilter("ignore")

USER, PASSWORD = b"robot@wallet.example", b"let me in"


class Handler:
    async def handle_RCPT(self, server, session, envelope, address, options):
        name = address.split("@")[0]
        if name == "refused":
            return f"550 5.1.1 <{address}> nobody here"
        if name == "later":
            return f"451 4.3.0 <{address}> not now"
        if name == "slow":
            await asyncio.sleep(60)
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server, session, envelope):
        mail = message_from_bytes(envelope.content, policy=policy.default)
        print(json.dumps({
            "tls": server.transport.get_extra_info("sslcontext") is not None,
            "user": session.auth_data if session.authenticated else None,
            "from": envelope.mail_from,
            "to": envelope.rcpt_tos,
            "headers": {name.lower(): str(value) for name, value in mail.items()},
            "text": mail.get_content(),
        }), flush=True)
        return "250 OK"


def authenticator(server, session, envelope, mechanism, data):
    right = mechanism in ("LOGIN", "PLAIN") and (data.login, data.password) == (USER, PASSWORD)
    return AuthResult(success=right, handled=False, auth_data=USER.decode() if right else None)


async def main():
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    tls.load_cert_chain(sys.argv[1], sys.argv[2])

    def wrapped():
        return SMTP(Handler(), authenticator=authenticator, auth_required=True, auth_require_tls=False)

    def upgraded():
        return SMTP(Handler(), authenticator=authenticator, tls_context=tls, require_starttls=True)

    def bare():
        return SMTP(Handler())

    loop = asyncio.get_running_loop()
    servers = [
        await loop.create_server(wrapped, "127.0.0.1", 0, ssl=tls),
        await loop.create_server(upgraded, "127.0.0.1", 0),
        await loop.create_server(bare, "127.0.0.1", 0),
    ]
    ports = [server.sockets[0].getsockname()[1] for server in servers]
    print(json.dumps(dict(zip(("tls", "starttls", "bare"), ports))), flush=True)
    await loop.run_in_executor(None, sys.stdin.read)


asyncio.run(main())
