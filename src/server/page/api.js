// The server: relative addresses, so that the page works wherever it is served.

const ANSWER_WITHIN_MS = 15000;

/** Why a call has no result: in words for the person, and whether the server was reached at all. */
class CallError extends Error {
  constructor(message, { status = 0, kind = "unreachable" } = {}) {
    super(message);
    Object.assign(this, { status, kind });
  }
}

let token = remembered("sessionStorage", "idemstore-token");

function keepToken(value) {
  token = value;
  remember("sessionStorage", "idemstore-token", value);
}

/** Sends a request and returns the text of its answer. Without a token that the server accepts, it asks for one first. */
async function callText(path, body) {
  for (;;) {
    const sent = token;
    const response = await send(path, body, sent);
    const text = await response.text().catch(() => {
      throw new CallError("The connection broke off in the middle of an answer.");
    });
    if (response.ok) return text;
    if (response.status === 401) {
      // Another call may have got a new one meanwhile.
      if (sent === token) await askForToken(sent !== null);
      continue;
    }
    throw problem(response.status, text);
  }
}

async function call(path, body) {
  const text = await callText(path, body);
  try {
    return JSON.parse(text);
  } catch {
    throw new CallError("The answer is not JSON. Is there something else between this page and the store?", { kind: "not_json" });
  }
}

async function send(path, body, bearer) {
  const headers = { Accept: "application/json" };
  if (bearer !== null) headers.Authorization = `Bearer ${bearer}`;
  if (body !== undefined) headers["Content-Type"] = "application/json";
  const signal = AbortSignal.timeout(ANSWER_WITHIN_MS);
  try {
    return await fetch(path, { method: body === undefined ? "GET" : "POST", body, headers, signal, cache: "no-store", redirect: "error" });
  } catch (error) {
    const isLate = error.name === "TimeoutError";
    throw new CallError(isLate ? `No answer within ${ANSWER_WITHIN_MS / 1000} seconds.` : "The server cannot be reached.");
  }
}

function problem(status, text) {
  try {
    const { detail, title, kind } = JSON.parse(text);
    return new CallError(detail ?? title ?? `Status ${status}`, { status, kind });
  } catch {
    return new CallError(`The server answered with status ${status}.`, { status, kind: "unknown" });
  }
}

function query(path, parameters) {
  const given = Object.entries(parameters).filter(([, value]) => value !== null && value !== undefined && value !== "");
  return `${path}?${new URLSearchParams(given)}`;
}
