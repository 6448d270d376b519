// The official fetch client, driven over standard input: a JSON object per line is a job, a line with the same `n` its result,
// with the header `payment` that was made for it, if any.
//   pay    pays for a request with the payment id `id`: a new payload, so a new nonce, each time
//   again  the same, but sends the saved header `payment` first when the server asks for money, by the client's own hook
//   make   makes the payment for the challenge `required` (the header of a 402) and sends nothing
//   encode writes the payload in the header `payment` as this SDK writes it
import readline from "node:readline";
import { decodePaymentSignatureHeader, encodePaymentSignatureHeader } from "@x402/core/http";
import { ExactEvmScheme } from "@x402/evm/exact/client";
import { appendPaymentIdentifierToExtensions } from "@x402/extensions/payment-identifier";
import { wrapFetchWithPayment, x402Client, x402HTTPClient } from "@x402/fetch";
import { privateKeyToAccount } from "viem/accounts";

const account = privateKeyToAccount(`0x${"42".repeat(32)}`);

// Puts the id into every payload, and keeps the last one as it was sent.
function newClient({ id }, made = {}) {
  const core = new x402Client()
    .register("eip155:*", new ExactEvmScheme(account))
    .onBeforePaymentCreation(async ({ paymentRequired }) => {
      appendPaymentIdentifierToExtensions(paymentRequired.extensions ?? {}, id);
    })
    .onAfterPaymentCreation(async ({ paymentPayload }) => {
      made.payment = encodePaymentSignatureHeader(paymentPayload);
    });
  return new x402HTTPClient(core);
}

async function send(client, made, { url, method = "GET", body }) {
  const headers = body ? { "content-type": "application/json" } : {};
  const response = await wrapFetchWithPayment(fetch, client)(url, { method, body, headers });
  return { status: response.status, headers: Object.fromEntries(response.headers), body: await response.text(), ...made };
}

const jobs = {
  async pay(job) {
    const made = {};
    return send(newClient(job, made), made, job);
  },
  async again(job) {
    const made = {};
    const saved = async () => ({ headers: { "PAYMENT-SIGNATURE": job.payment } });
    return send(newClient(job, made).onPaymentRequired(saved), made, job);
  },
  async make(job) {
    const client = newClient(job);
    const required = client.getPaymentRequiredResponse(() => job.required);
    return { payment: encodePaymentSignatureHeader(await client.createPaymentPayload(required)) };
  },
  async encode({ payment }) {
    return { payment: encodePaymentSignatureHeader(decodePaymentSignatureHeader(payment)) };
  },
};

readline.createInterface({ input: process.stdin }).on("line", async (line) => {
  const job = JSON.parse(line);
  const result = await jobs[job.do](job).catch((error) => ({ error: `${error.name}: ${error.message}` }));
  console.log(JSON.stringify({ n: job.n, ...result }));
});
