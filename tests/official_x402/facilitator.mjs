// A facilitator without a chain: it checks signatures for real, and its ledger is the set of nonces that have moved money.
// The ledger outlives the resource servers, as a chain does. `/control` says how the next settlements go, `/seen` what happened.
import http from "node:http";
import { verifyTypedData } from "viem";
import { authorizationTypes } from "@x402/evm";

const NETWORK = "eip155:84532";
const CHAIN_ID = 84532;

const seen = { verify: 0, settle: 0, charged: 0, held: 0 };
// From nonce to whether it is confirmed.
const ledger = new Map();
// settle: "answer"; "refuse" (moves nothing); "drop" (moves the money, then dies without an answer, as a crash looks from
// outside); "pend" (moves it and says that it is not confirmed yet); "garble" (moves it and answers what is no receipt).
// hold: once the settlement is decided and booked, wait with the answer until hold is off.
let control = { settle: "answer", hold: false };
let released = [];

async function isSigned({ payload, accepted }) {
  const { authorization, signature } = payload;
  return verifyTypedData({
    address: authorization.from,
    domain: {
      name: accepted.extra.name,
      version: accepted.extra.version,
      chainId: CHAIN_ID,
      verifyingContract: accepted.asset,
    },
    types: authorizationTypes,
    primaryType: "TransferWithAuthorization",
    message: authorization,
    signature,
  });
}

async function verify({ paymentPayload }) {
  seen.verify += 1;
  const payer = paymentPayload.payload.authorization.from;
  if (await isSigned(paymentPayload)) return { isValid: true, payer };
  return { isValid: false, invalidReason: "invalid_exact_evm_payload_signature", payer };
}

function refused(errorReason, transaction = "") {
  return { success: false, errorReason, transaction, network: NETWORK };
}

function book(authorization) {
  const { nonce } = authorization;
  if (control.settle === "refuse") return refused("insufficient_funds");
  // A pending settlement may be asked for again: it is looked up, as the official facilitator does.
  if (ledger.get(nonce) === "pending") return refused("settlement_pending", nonce);
  if (ledger.has(nonce)) return refused("invalid_exact_evm_nonce_already_used");
  ledger.set(nonce, control.settle === "pend" ? "pending" : "confirmed");
  seen.charged += 1;
  if (control.settle === "pend") return refused("settlement_pending", nonce);
  return { success: true, transaction: authorization.nonce, network: NETWORK, payer: authorization.from };
}

async function settle({ paymentPayload }, socket) {
  seen.settle += 1;
  const { settle } = control;
  const receipt = book(paymentPayload.payload.authorization);
  if (control.hold) {
    seen.held += 1;
    await new Promise((resolve) => released.push(resolve));
  }
  if (settle === "drop") return void socket.destroy();
  return settle === "garble" ? "settled, more or less" : receipt;
}

function steer(change) {
  control = { ...control, ...change };
  if (!control.hold) {
    for (const resolve of released) resolve();
    released = [];
    seen.held = 0;
  }
  return control;
}

async function body(request) {
  const chunks = [];
  for await (const chunk of request) chunks.push(chunk);
  return chunks.length ? JSON.parse(Buffer.concat(chunks).toString()) : {};
}

const routes = {
  "GET /supported": () => ({ kinds: [{ x402Version: 2, scheme: "exact", network: NETWORK }], extensions: [], signers: {} }),
  "POST /verify": verify,
  "POST /settle": settle,
  "POST /control": steer,
  "GET /seen": () => seen,
};

const server = http.createServer(async (request, response) => {
  const route = routes[`${request.method} ${request.url}`];
  try {
    const answer = route ? await route(await body(request), request.socket) : { error: "no such route" };
    if (answer === undefined) return;
    response.writeHead(route ? 200 : 404, { "content-type": "application/json" });
    response.end(JSON.stringify(answer));
  } catch (error) {
    response.writeHead(400, { "content-type": "application/json" });
    response.end(JSON.stringify({ error: String(error) }));
  }
});
// Without an end by itself it would outlive a driver that was killed.
process.stdin.resume().on("end", () => process.exit(0));
server.listen(0, "127.0.0.1", () => console.log(`listening on http://127.0.0.1:${server.address().port}`));
