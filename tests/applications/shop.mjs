// A payment service as one writes it first: it insists on a key, and does nothing with it. It knows of no proxy.
import { randomUUID } from "node:crypto";
import express from "express";

const { PROVIDER_URL, PORT } = process.env;

const app = express();
app.use(express.json());

app.post("/payments", async (request, response) => {
  if (!request.get("Idempotency-Key")) {
    return response.status(400).json({ error: "Idempotency-Key header is required" });
  }
  const { amount, currency } = request.body;
  const charge = await chargeCard(amount, currency);
  response.status(201).json({ id: `pay_${randomUUID()}`, charge, status: "succeeded" });
});

async function chargeCard(amount, currency) {
  const body = JSON.stringify({ amount, currency });
  const answer = await fetch(`${PROVIDER_URL}/charges`, { method: "POST", body });
  return (await answer.json()).id;
}

const server = app.listen(Number(PORT), "127.0.0.1", () => {
  console.log(`listening on http://127.0.0.1:${server.address().port}`);
});
