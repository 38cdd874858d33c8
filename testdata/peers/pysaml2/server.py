"""A service provider made with pysaml2: /login, /acs, /me, /logout, /slo, /soap, /metadata, and a public front page.

Its one argument is a JSON file with `port`, `idp` (entity ID), `binding` (for requests), and `saml` (pysaml2's own
configuration). Sessions live in memory. For tests on loopback only.
"""
import json
import secrets
import sys
import traceback
from http.cookies import SimpleCookie
from urllib.parse import parse_qsl
from wsgiref.simple_server import make_server
from xml.etree import ElementTree

from saml2 import BINDING_HTTP_POST, BINDING_HTTP_REDIRECT, BINDING_SOAP, saml, samlp, xmldsig
from saml2.client import Saml2Client
from saml2.config import SPConfig
from saml2.metadata import entity_descriptor
from saml2.sigver import verify_redirect_signature

with open(sys.argv[1], encoding="utf-8") as file:
    SETTINGS = json.load(file)
CONFIG = SPConfig().load(SETTINGS["saml"])
CLIENT = Saml2Client(CONFIG)
# its default is SHA-1, and version 7.0 does not read the options signing_algorithm and digest_algorithm of an app
CLIENT.signing_algorithm, CLIENT.digest_algorithm = xmldsig.SIG_RSA_SHA256, xmldsig.DIGEST_SHA256
# pysaml2 writes what came by SOAP anew before it checks the signature, which only holds with the prefixes it was made for
for prefix, space in (("saml", saml.NAMESPACE), ("samlp", samlp.NAMESPACE), ("ds", xmldsig.NAMESPACE)):
    ElementTree.register_namespace(prefix, space)
COOKIE = f"pysaml2_{SETTINGS['port']}"
OUTSTANDING = {}
SESSIONS = {}


class Refused(Exception):
    """What is not to be trusted."""


def page(text, status="200 OK", kind="text/plain", headers=()):
    return status, [("Content-Type", f"{kind}; charset=utf-8"), ("Cache-Control", "no-store"), *headers], text


def carry(info):
    """The redirect or auto-post form that pysaml2 made."""
    headers = dict(info["headers"])
    if "Location" in headers:
        return page("", "303 See Other", headers=[("Location", headers["Location"])])
    return page(info["data"], kind="text/html")


def login(request):
    binding = SETTINGS["binding"]
    identifier, info = CLIENT.prepare_for_authenticate(
        entityid=SETTINGS["idp"], binding=binding, relay_state=request["fields"].get("RelayState", ""), sign=True)
    OUTSTANDING[identifier] = "/"
    return carry(info)


def acs(request):
    fields = request["fields"]
    answer = CLIENT.parse_authn_request_response(fields["SAMLResponse"], BINDING_HTTP_POST, OUTSTANDING)
    if answer is None:
        raise Refused("no answer that can be read")
    OUTSTANDING.pop(answer.in_response_to, None)
    # pysaml2 forgets to note people whose assertion came encrypted
    CLIENT.users.add_information_about_person(answer.session_info())
    cookie = secrets.token_hex(16)
    SESSIONS[cookie] = {"name": answer.name_id, "index": answer.session_info()["session_index"],
                        "attributes": answer.get_identity(), "relayState": fields.get("RelayState", "")}
    return page("", "303 See Other", headers=[
        ("Location", "/me"), ("Set-Cookie", f"{COOKIE}={cookie}; Path=/; HttpOnly; SameSite=Lax")])


def me(request):
    session = SESSIONS.get(request["cookie"])
    if session is None:
        return page("nobody is signed in", "401 Unauthorized")
    return page(json.dumps({
        "nameID": session["name"].text, "nameIDFormat": session["name"].format, "sessionIndex": session["index"],
        "attributes": session["attributes"], "relayState": session["relayState"]}), kind="application/json")


def logout(request):
    session = SESSIONS.get(request["cookie"])
    if session is None:
        return page("nobody is signed in", "401 Unauthorized")
    sent = CLIENT.do_logout(session["name"], [SETTINGS["idp"]], reason="", expire=None, sign=True,
                            expected_binding=BINDING_HTTP_REDIRECT)
    return carry(sent[SETTINGS["idp"]][1])


def slo(request):
    fields = request["fields"]
    # pysaml2 leaves the signatures of the Redirect binding to the app
    if not any(verify_redirect_signature(fields, CLIENT.sec.sec_backend, certificate)
               for certificate in CLIENT.metadata.certs(SETTINGS["idp"], "idpsso")):
        raise Refused("the signature is not the identity provider's")
    if "SAMLResponse" in fields:
        answer = CLIENT.parse_logout_request_response(fields["SAMLResponse"], BINDING_HTTP_REDIRECT)
        CLIENT.handle_logout_response(answer)
        SESSIONS.pop(request["cookie"], None)
        return page("public page: you are signed out")
    return carry(leave(fields["SAMLRequest"], BINDING_HTTP_REDIRECT, fields.get("RelayState", "")))


def soap(request):
    info = leave(request["body"], BINDING_SOAP, "")
    return page(info["data"], kind="text/xml")


def leave(message, binding, relay_state):
    """Ends the sessions that a LogoutRequest names, and makes the answer."""
    asked = CLIENT.parse_logout_request(message, binding).message
    if asked.issuer.text != SETTINGS["idp"] or (binding == BINDING_SOAP and asked.signature is None):
        raise Refused("a LogoutRequest that is not the identity provider's, or not signed")
    known = [key for key, session in SESSIONS.items() if session["name"] == asked.name_id
             and session["index"] in [index.text for index in asked.session_index]]
    for key in known:
        del SESSIONS[key]
    if binding == BINDING_SOAP:  # handle_logout_request wants to sign the text of the answer, which is signed, once more
        CLIENT.local_logout(asked.name_id)
        answer = CLIENT.create_logout_response(asked, bindings=[binding], sign=True)
        return CLIENT.apply_binding(binding, answer, response=True, sign=False)
    return CLIENT.handle_logout_request(message, asked.name_id if known else None, binding, sign=True,
                                        relay_state=relay_state)


ROUTES = {
    "GET /": lambda request: page("public page"),
    "GET /login": login,
    "POST /acs": acs,
    "GET /me": me,
    "GET /logout": logout,
    "GET /slo": slo,
    "POST /soap": soap,
    "GET /metadata": lambda request: page(str(entity_descriptor(CONFIG)), kind="application/samlmetadata+xml"),
}


def serve(environ, start):
    body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0)).decode()
    cookie = SimpleCookie(environ.get("HTTP_COOKIE", "")).get(COOKIE)
    posted = environ["REQUEST_METHOD"] == "POST"
    request = {"body": body, "cookie": cookie.value if cookie else "",
               "fields": dict(parse_qsl(body if posted else environ["QUERY_STRING"], keep_blank_values=True))}
    route = ROUTES.get(f"{environ['REQUEST_METHOD']} {environ['PATH_INFO']}")
    try:
        status, headers, text = route(request) if route else page("not found", "404 Not Found")
    except Exception as error:  # a peer says what it did not like
        traceback.print_exc()
        status, headers, text = page(f"pysaml2: {type(error).__name__}: {error}", "403 Forbidden")
    start(status, headers)
    return [text.encode() if isinstance(text, str) else text]


make_server("127.0.0.1", SETTINGS["port"], serve).serve_forever()
