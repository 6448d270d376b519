"""A payment service as one writes it first: it insists on a key, and does nothing with it. It knows of no proxy."""

import json
import os
import urllib.request
import uuid

from flask import Flask, jsonify, request

PROVIDER = os.environ["PROVIDER_URL"]

app = Flask(__name__)


@app.post("/payments")
def create_payment():
    if not request.headers.get("Idempotency-Key"):
        return jsonify(error="Idempotency-Key header is required"), 400
    payment = request.get_json()
    charge = charge_card(payment["amount"], payment["currency"])
    return jsonify(id=f"pay_{uuid.uuid4().hex}", charge=charge, status="succeeded"), 201


def charge_card(amount, currency):
    order = json.dumps({"amount": amount, "currency": currency}).encode()
    with urllib.request.urlopen(urllib.request.Request(f"{PROVIDER}/charges", data=order)) as answer:
        return json.load(answer)["id"]
