// Uses the guide's client for JavaScript as a shop would: `drive.mjs MODULE PLAN` prints what came of it.

import { setTimeout as passed } from "node:timers/promises";
import { pathToFileURL } from "node:url";

const { once } = await import(pathToFileURL(process.argv[2]));
const plan = JSON.parse(process.argv[3]);
const [charges, asked] = [[], []];

const charge = async (order) => {
  charges.push(order.of);
  // Long enough that the others come meanwhile.
  await passed(200);
  return { receipt: charges.length };
};
const findOut = async (key) => {
  asked.push(key);
  return plan.happened.includes(key) ? { receipt: "found" } : null;
};
const pay = (key, order = { of: key }) => once(plan.scope, key, order, charge, findOut);
const complaint = (promise) => promise.then(() => null, (error) => error.message);

const told = { storm: await Promise.all(Array.from({ length: 8 }, () => pay("storm"))) };
told.again = await pay("storm");
told.mismatch = await complaint(pay("storm", { of: "something else" }));
for (const key of [...plan.happened, ...plan.nothing_happened]) told[key] = await pay(key);
told.wrong = await complaint(pay(""));
console.log(JSON.stringify({ ...told, charges, asked }));
