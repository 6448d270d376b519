"""The official Python clients, driven over standard input as client.mjs is. The argument says which: httpx or requests."""

import asyncio
import json
import sys
from concurrent.futures import ThreadPoolExecutor

import requests
from eth_account import Account
from x402 import x402Client, x402ClientSync
from x402.extensions.payment_identifier import append_payment_identifier_to_extensions
from x402.http.clients import wrapHttpxWithPayment, wrapRequestsWithPayment
from x402.http.utils import decode_payment_signature_header, encode_payment_signature_header
from x402.http.x402_http_client import x402HTTPClient, x402HTTPClientSync
from x402.mechanisms.evm.exact import register_exact_evm_client
from x402.mechanisms.evm.signers import EthAccountSigner
from x402.schemas.hooks import PaymentRequiredHeadersResult

SIGNER = EthAccountSigner(Account.from_key("0x" + "42" * 32))
PATIENCE_SECONDS = 30


def with_id(client, job, made):
    """Registers the scheme, and hooks that put the id into every payload and keep the last one as it was sent."""

    def append(context):
        append_payment_identifier_to_extensions(context.payment_required.extensions or {}, job["id"])

    def keep(context):
        made["payment"] = encode_payment_signature_header(context.payment_payload)

    register_exact_evm_client(client, SIGNER)
    return client.on_before_payment_creation(append).on_after_payment_creation(keep)


def saved_first(client, job):
    """Makes a client that sends the saved payment when it is asked for money, and only then makes another."""
    if job["do"] == "again":
        client.on_payment_required(lambda _: PaymentRequiredHeadersResult(headers={"PAYMENT-SIGNATURE": job["payment"]}))
    return client


def request_of(job):
    headers = {"content-type": "application/json"} if job.get("body") else {}
    return job.get("method", "GET"), job["url"], {"content": job.get("body"), "headers": headers}


def told(response, made):
    headers = {name.lower(): value for name, value in response.headers.items()}
    return {"status": response.status_code, "headers": headers, "body": response.text, **made}


def pay_by_requests(job):
    made = {}
    method, url, rest = request_of(job)
    client = saved_first(x402HTTPClientSync(with_id(x402ClientSync(), job, made)), job)
    # The wrapper asks the client that it is given for payloads, and the HTTP client hands that on.
    session = wrapRequestsWithPayment(requests.Session(), client)
    response = session.request(method, url, data=rest["content"], headers=rest["headers"], timeout=PATIENCE_SECONDS)
    return told(response, made)


def pay_by_httpx(job):
    async def pay():
        made = {}
        method, url, rest = request_of(job)
        client = saved_first(x402HTTPClient(with_id(x402Client(), job, made)), job)
        async with wrapHttpxWithPayment(client, timeout=PATIENCE_SECONDS) as session:
            return told(await session.request(method, url, **rest), made)

    return asyncio.run(pay())


def make(job):
    client = x402HTTPClientSync(with_id(x402ClientSync(), job, {}))
    required = client.get_payment_required_response(lambda _: job["required"], None)
    return {"payment": encode_payment_signature_header(client.create_payment_payload(required))}


def encode(job):
    return {"payment": encode_payment_signature_header(decode_payment_signature_header(job["payment"]))}


def run(pay, line):
    job = json.loads(line)
    try:
        result = {"pay": pay, "again": pay, "make": make, "encode": encode}[job["do"]](job)
    except Exception as error:  # Whatever it is, the driver is to see it.
        result = {"error": f"{type(error).__name__}: {error}"}
    sys.stdout.write(json.dumps({"n": job["n"], **result}) + "\n")
    sys.stdout.flush()


def main():
    pay = {"httpx": pay_by_httpx, "requests": pay_by_requests}[sys.argv[1]]
    with ThreadPoolExecutor(max_workers=8) as threads:
        for line in sys.stdin:
            threads.submit(run, pay, line)


if __name__ == "__main__":
    main()
