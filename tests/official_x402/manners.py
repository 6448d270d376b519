"""What the official clients send, and what they do with each answer: observed by a server that takes no money."""

import base64
import contextlib
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from cases import new_id

TERMS = {
    "x402Version": 2,
    "error": "Payment required",
    "resource": {"url": "http://127.0.0.1/report", "description": "a report", "mimeType": "application/json"},
    "accepts": [
        {
            "scheme": "exact",
            "network": "eip155:84532",
            "amount": "10000",
            "asset": "0x036CbD53842c5426634e7929541eC2318f3dCF7e",
            "payTo": "0x209693Bc6afc0C5328bA36FaF03C514EF312287C",
            "maxTimeoutSeconds": 300,
            "extra": {"name": "USDC", "version": "2"},
        }
    ],
    "extensions": {
        "payment-identifier": {
            "info": {"required": True},
            "schema": {
                "$schema": "https://json-schema.org/draft/2020-12/schema",
                "type": "object",
                "properties": {
                    "required": {"type": "boolean"},
                    "id": {"type": "string", "minLength": 16, "maxLength": 128, "pattern": "^[a-zA-Z0-9_-]+$"},
                },
                "required": ["required"],
            },
        }
    },
}


def encoded(value):
    return base64.b64encode(json.dumps(value).encode()).decode()


CHALLENGE = {"PAYMENT-REQUIRED": encoded(TERMS)}
FAILED = {"success": False, "errorReason": "insufficient_funds", "transaction": "", "network": "eip155:84532"}
PENDING = {"success": False, "errorReason": "settlement_pending", "transaction": "0x12", "network": "eip155:84532"}
# To a payment; without one the answer is the challenge.
ANSWERS = {
    "400": (400, {}),
    "409": (409, {"Retry-After": "1"}),
    "503": (503, {"Retry-After": "1"}),
    "504": (504, {}),
    "402 with the terms again": (402, CHALLENGE),
    "402 with a failed receipt": (402, {"PAYMENT-RESPONSE": encoded(FAILED)}),
    "402 with a pending receipt": (402, {"PAYMENT-RESPONSE": encoded(PENDING)}),
}


@contextlib.contextmanager
def server(status, headers):
    """Gives the URL of a server that answers payments so, and the headers of all requests that it has got."""
    got = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            got.append(dict(self.headers))
            answer = (status, headers) if "PAYMENT-SIGNATURE" in self.headers else (402, CHALLENGE)
            self.send_response(answer[0])
            for name, value in {**answer[1], "content-type": "application/json", "content-length": "2"}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(b"{}")

        def log_message(self, *_):
            pass

    listening = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=listening.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{listening.server_port}/report", got
    finally:
        listening.shutdown()
        thread.join()
        listening.server_close()


def observe(client, verdict):
    """A client asks, pays once, and hands every answer to its caller: it retries nothing by itself."""
    verdict.title(f"what {client.name} sends, and does")
    for what, (status, headers) in ANSWERS.items():
        with server(status, headers) as (url, got):
            payment_id = new_id()
            answer, payment = client.pay(url, payment_id)
        verdict.holds(
            f"{what}: {len(got)} requests, its caller gets {answer}",
            len(got) == 2 and answer.status == status and payment == got[1].get("PAYMENT-SIGNATURE"),
            "the challenge, one payment, and the answer",
        )
    more = {name.lower() for name in got[1]} - {name.lower() for name in got[0]}
    verdict.holds(f"a payment has these headers more: {sorted(more)}", "payment-signature" in more, "PAYMENT-SIGNATURE")
    sent = json.loads(base64.b64decode(payment))
    extension = sent["extensions"]["payment-identifier"]
    verdict.equal("its members", sorted(sent), ["accepted", "extensions", "payload", "resource", "x402Version"])
    verdict.equal("its id", extension["info"], {"required": True, "id": payment_id})
    verdict.equal("the rest of it is the server's", sent["accepted"] == TERMS["accepts"][0] and extension["schema"] ==
                  TERMS["extensions"]["payment-identifier"]["schema"] and sent["resource"] == TERMS["resource"], True)
