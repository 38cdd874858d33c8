"""A mail server that keeps what it is given, made with aiosmtpd.

Its one argument is a JSON file with `port`, `folder` (each mail becomes a JSON file there), `tls` ("", "starttls" or "smtps"), `cert`
and `key` (PEM files), `user` and `password` (empty: none is asked for). For tests on loopback only.
"""
import json
import os
import signal
import ssl
import sys
import threading
from email import message_from_bytes, policy

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult, LoginPassword

with open(sys.argv[1], encoding="utf-8") as file:
    SETTINGS = json.load(file)


class Keeper:
    """Writes each mail into the folder, whole at once."""

    def __init__(self):
        self.count = 0

    async def handle_RCPT(self, server, session, envelope, address, options):
        if address.startswith("refused@"):
            return "550 5.1.1 No such mailbox here"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server, session, envelope):
        mail = message_from_bytes(envelope.content, policy=policy.default)
        text, html = mail.get_body(("plain",)), mail.get_body(("html",))
        self.count += 1
        kept = {
            "from": envelope.mail_from, "to": envelope.rcpt_tos, "raw": envelope.content.decode("utf-8", "replace"),
            "subject": mail["Subject"], "sender": mail["From"], "recipient": mail["To"], "headers": mail.keys(),
            "text": text.get_content() if text else "", "html": html.get_content() if html else "",
            "encrypted": session.ssl is not None or SETTINGS["tls"] == "smtps", "authenticated": bool(session.authenticated),
        }
        name = os.path.join(SETTINGS["folder"], f"{self.count:06d}.json")
        with open(name + ".part", "w", encoding="utf-8") as out:
            json.dump(kept, out)
        os.rename(name + ".part", name)
        return "250 OK"


def authenticator(server, session, envelope, mechanism, data):
    good = isinstance(data, LoginPassword) and data.login.decode() == SETTINGS["user"] and data.password.decode() == SETTINGS["password"]
    return AuthResult(success=good, handled=False)


def main():
    options = {}
    if SETTINGS["tls"]:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(SETTINGS["cert"], SETTINGS["key"])
        if SETTINGS["tls"] == "smtps":
            options["ssl_context"] = context
        else:
            options.update(tls_context=context, require_starttls=True)
    if SETTINGS["user"]:
        options.update(authenticator=authenticator, auth_required=True, auth_require_tls=SETTINGS["tls"] == "starttls")
    controller = Controller(Keeper(), hostname="127.0.0.1", port=SETTINGS["port"], **options)
    controller.start()
    print("ready", flush=True)
    ended = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: ended.set())
    ended.wait()
    controller.stop()


main()
