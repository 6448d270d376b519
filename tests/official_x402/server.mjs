// The official Express server as its documentation writes it: a paid route that requires a payment identifier.
// Arguments: the facilitator's URL, and a port if it is to be a certain one. `GET /runs` says how often the handler ran in this
// process.
import express from "express";
import { HTTPFacilitatorClient } from "@x402/core/server";
import { ExactEvmScheme } from "@x402/evm/exact/server";
import { paymentMiddleware, x402ResourceServer } from "@x402/express";
import {
  PAYMENT_IDENTIFIER,
  declarePaymentIdentifierExtension,
  paymentIdentifierResourceServerExtension,
} from "@x402/extensions/payment-identifier";

const NETWORK = "eip155:84532";
const [facilitator, port = "0"] = process.argv.slice(2);

const paid = {
  accepts: {
    scheme: "exact",
    network: NETWORK,
    price: {
      asset: "0x036CbD53842c5426634e7929541eC2318f3dCF7e",
      amount: "10000",
      extra: { name: "USDC", version: "2" },
    },
    payTo: "0x209693Bc6afc0C5328bA36FaF03C514EF312287C",
    maxTimeoutSeconds: 300,
  },
  description: "a report",
  mimeType: "application/json",
  extensions: { [PAYMENT_IDENTIFIER]: declarePaymentIdentifierExtension(true) },
};
const resourceServer = new x402ResourceServer(new HTTPFacilitatorClient({ url: facilitator }))
  .register(NETWORK, new ExactEvmScheme())
  .registerExtension(paymentIdentifierResourceServerExtension);

let runs = 0;
const report = (request, response) => {
  runs += 1;
  response.json({ report: runs });
};
const app = express();
app.get("/runs", (request, response) => response.json({ runs }));
app.use(paymentMiddleware({ "GET /report": paid, "POST /report": paid }, resourceServer));
app.get("/report", report);
app.post("/report", report);

process.stdin.resume().on("end", () => process.exit(0));
const server = app.listen(Number(port), "127.0.0.1", () =>
  console.log(`listening on http://127.0.0.1:${server.address().port}`),
);
