"""The HTTP API as a backend of idemkit."""

import asyncio
import base64
import http.client
import json
import urllib.parse

from idemkit.core.state import ClaimResult, ClaimResultType, State, StoredRecord

SCOPE = "idemkit"


class Backend:
    """What idemkit calls a claim is begin here; a reclaimed lease is a takeover."""

    def __init__(self, address):
        self.address = address

    async def claim(self, effective_key, fingerprint, fingerprint_version, lease_ttl_seconds):
        status, answer = await self._post(
            "begin", effective_key, request=[fingerprint, fingerprint_version], lease_ms=millis(lease_ttl_seconds)
        )
        record = await self._record(effective_key, fingerprint, fingerprint_version)
        if status == 201:
            kinds = {"fresh": ClaimResultType.NEW_CLAIMED, "takeover": ClaimResultType.LEASE_RECLAIMED}
            return ClaimResult(kinds[answer["answer"]], record, our_claim_token=str(answer["token"]))
        if status == 200:
            return ClaimResult(ClaimResultType.ALREADY_COMPLETED, record)
        if status == 409 and answer.get("answer") == "in_flight":
            return ClaimResult(ClaimResultType.ALREADY_CLAIMED, record)
        raise RuntimeError(f"begin: {status} {answer}")

    async def complete(self, effective_key, claim_token, response_status, response_headers, response_body, expires_after_seconds):
        payload = {
            "status": response_status, "headers": response_headers, "body": base64.b64encode(response_body).decode(),
        }
        return await self._end(
            "complete", effective_key, claim_token, payload=payload, retention_ms=millis(expires_after_seconds)
        )

    async def release(self, effective_key, claim_token):
        return await self._end("release", effective_key, claim_token)

    async def renew(self, effective_key, claim_token, lease_ttl_seconds):
        return await self._end("renew", effective_key, claim_token, lease_ms=millis(lease_ttl_seconds))

    async def wait_for_completion(self, effective_key, timeout_seconds):
        """Begins as the same request would and waits; a key that this gets, because it was released meanwhile, is given back."""
        status, record = await self._get(effective_key)
        if status == 404:
            return None
        status, answer = await self._post(
            "begin", effective_key, fingerprint=record["fingerprint"], wait_ms=millis(timeout_seconds)
        )
        if status == 201 and answer["answer"] == "fresh":
            await self._end("release", effective_key, str(answer["token"]))
        return await self._record(effective_key, None, None) if status == 200 else None

    async def _end(self, verb, key, token, **fields):
        # A token is a number here; what is none cannot be that of any grant, and neither can 0.
        token = int(token) if token.isdecimal() else 0
        status, answer = await self._post(verb, key, token=token, **fields)
        if status == 409 and answer["kind"] == "lease_lost":
            return False
        if status != 200:
            raise RuntimeError(f"{verb}: {status} {answer}")
        return True

    async def _record(self, key, fingerprint, fingerprint_version):
        status, found = await self._get(key)
        if status != 200:
            raise RuntimeError(f"record: {status} {found}")
        payload = found["payload"] or {}
        return StoredRecord(
            effective_key=key,
            state=State.CLAIMED if found["state"] == "in_flight" else State.COMPLETED,
            fingerprint=fingerprint or found["fingerprint"],
            fingerprint_version=fingerprint_version or 1,
            claim_token=str(found["token"]),
            claimed_at=found["started_at"] / 1000,
            lease_until=found["lease_expires_at"] / 1000,
            completed_at=found["ended_at"] and found["ended_at"] / 1000,
            response_status=payload.get("status"),
            response_headers=payload.get("headers", {}),
            response_body=base64.b64decode(payload.get("body", "")),
        )

    async def _get(self, key):
        query = urllib.parse.urlencode({"scope": SCOPE, "key": key, "payload": "true"})
        return await self._ask("GET", f"/v1/record?{query}", None)

    async def _post(self, verb, key, **fields):
        return await self._ask("POST", f"/v1/{verb}", json.dumps({"scope": SCOPE, "key": key, **fields}))

    async def _ask(self, method, target, body):
        return await asyncio.to_thread(self._ask_now, method, target, body)

    def _ask_now(self, method, target, body):
        connection = http.client.HTTPConnection(self.address, timeout=60)
        try:
            connection.request(method, target, body)
            response = connection.getresponse()
            return response.status, json.loads(response.read())
        finally:
            connection.close()


class Forgetful(Backend):
    """The same without fencing, as if it looked the token up instead of demanding it: the control of the vectors."""

    async def _end(self, verb, key, token, **fields):
        _, found = await self._get(key)
        return await super()._end(verb, key, str(found["token"]), **fields)


def millis(seconds):
    return round(seconds * 1000)
