// One record: what is known of it, and its history.

/** Which record is open; null when none is. */
let opened = null;

function openedByAddress() {
  if (!location.hash.startsWith("#record?")) return null;
  const parameters = new URLSearchParams(location.hash.slice("#record?".length));
  return { scope: parameters.get("scope") ?? "", key: parameters.get("key") ?? "" };
}

async function readAudit({ scope, key }) {
  const rows = [];
  let from = null;
  // An answer looks at 1000 rows, and the store keeps 100,000.
  for (let pages = 0; pages <= 100; pages += 1) {
    const page = await call(query("v1/audit", { scope, key, from, limit: 100 }));
    rows.push(...page.rows);
    from = page.next;
    if (from === null || from === undefined) break;
  }
  return rows;
}

async function showDetail() {
  const which = opened;
  const body = byId("detail").querySelector(".drawer-body");
  const found = async () => {
    try {
      const text = await callText(query("v1/record", which));
      return { record: JSON.parse(text), text };
    } catch (error) {
      if (error.kind === "not_found") return { record: null, text: "" };
      throw error;
    }
  };
  let content;
  try {
    const [{ record, text }, audit] = await Promise.all([found(), readAudit(which)]);
    content = record ? ofRecord(record, text, audit) : ofNone(audit);
  } catch (error) {
    content = [h("p", { class: "banner", "data-tone": "bad" }, h("strong", {}, "This record could not be read."), " ", error.message)];
    if (error.kind === "corrupted") content.push(ofDamaged(which));
  }
  if (which === opened) body.replaceChildren(head(which), ...content);
}

function head({ scope, key }) {
  const copy = h("button", { type: "button", class: "quiet", onclick: () => navigator.clipboard.writeText(key).then(() => toast("Key copied.")) }, "Copy");
  return h("header", { class: "drawer-head" },
    h("div", {}, h("h2", { id: "detail-title", tabindex: "-1" }, key), h("p", { class: "scope" }, scope)),
    // Only over TLS and on this machine does a browser allow it.
    navigator.clipboard ? copy : null,
    h("button", { type: "button", class: "quiet", "aria-label": "Close", onclick: () => byId("detail").close() }, "✕"));
}

function ofNone(audit) {
  return [h("p", { class: "prose" }, "There is no record of this key: it is free. It was released, it has expired and was swept, or it was never used."), timeline(auditEvents(audit))];
}

function ofDamaged(which) {
  return h("div", {},
    h("p", { class: "prose" }, "The record does not verify, so its key counts as used. If you know what became of the operation, you can release the key."),
    h("div", { class: "actions start" }, h("button", { type: "button", class: "danger", onclick: () => openResolve(which, "released") }, "Release…")));
}

function ofRecord(record, text, audit) {
  return [
    h("p", { class: "state-line" }, stateMark(record), h("span", {}, meaning(record))),
    record.state === "in_flight" ? h("div", { class: "actions start" },
      h("button", { type: "button", class: "primary", onclick: () => openResolve(record, null) }, "Resolve…"),
      h("button", { type: "button", onclick: () => openResolve(record, "released") }, "Release…")) : null,
    facts(record),
    timeline([...recordEvents(record), ...auditEvents(audit)]),
    stored("Checkpoint", record.has_checkpoint ? memberText(text, "checkpoint") : null, record.checkpoint_base64),
    record.state === "in_flight" ? null : payload(record),
  ].filter(Boolean);
}

function meaning(record) {
  if (record.state === "completed") return "It succeeded; every retry gets the stored payload.";
  if (record.state === "failed") return "It failed for good; every retry gets the stored payload.";
  if (!isUnknown(record)) return "An attempt is running. If it dies, its lease lapses, and then you can resolve it here.";
  return record.has_checkpoint
    ? "The attempt went silent after its checkpoint: its effect may have happened. Ask the provider, then resolve it."
    : "The attempt went silent: its effect is unknown. Ask the provider, then resolve it.";
}

function facts({ token: granted, attempt, fingerprint, payload_bytes, expires_at, state }) {
  const rows = [["Attempt", String(attempt)], ["Token", String(granted)], ["Fingerprint", fingerprint && h("span", { class: "code" }, fingerprint)],
    ["Payload", state === "in_flight" ? null : bytes(payload_bytes)], ["Known until", expires_at === null ? "it is ended or resolved" : instant(expires_at)]];
  return h("dl", { class: "facts" }, rows.filter(([, value]) => value).map(([name, value]) => h("div", {}, h("dt", {}, name), h("dd", {}, value))));
}

function recordEvents(record) {
  const { state, attempt, first_seen_at, started_at, ended_at, lease_expires_at, expires_at, has_checkpoint, is_lapsed } = record;
  const events = [{ at: first_seen_at, title: "First seen", text: attempt === 1 ? "attempt 1 was granted" : "attempt 1 was granted; it never ended" }];
  if (attempt > 1) events.push({ at: started_at, title: "Takeover", text: `attempt ${attempt} was granted, with the effect of the one before unknown` });
  if (has_checkpoint) events.push({ at: started_at, title: "Checkpoint", text: "set by an attempt at a time that is not recorded: the effect may have started", loose: true });
  if (state === "in_flight") {
    const isOver = lease_expires_at <= serverNow();
    const isGone = is_lapsed && !isOver;
    if (isGone) events.push({ at: started_at, title: "Process gone", text: "the process that gave the lease has ended since, so nobody holds it", tone: "unknown", loose: true });
    else events.push({ at: lease_expires_at, title: isOver ? "Lease lapsed" : "Lease lapses", text: isOver ? "and nobody ended the attempt" : "unless the attempt ends or renews it", tone: isOver ? "unknown" : null });
  } else if (ended_at !== null) {
    events.push({ at: ended_at, title: state === "completed" ? "Completed" : "Failed", text: `${duration(Math.max(0, ended_at - started_at))} after the attempt began`, tone: state });
  }
  const [title, text] = state === "in_flight" ? ["May be swept", "if nobody has ended or resolved it: the key is then new again"]
    : [expires_at > serverNow() ? "Expires" : "Expired", "from then on the key is new again"];
  if (expires_at !== null) events.push({ at: expires_at, title, text });
  return events;
}

function auditEvents(rows) {
  return rows.map(({ at, outcome, reason }) => ({ at, title: `Resolved by an operator as ${outcome}`, text: `“${reason}”`, tone: "operator" }));
}

function timeline(events) {
  // Equal times stay in the order in which they happened.
  events.sort((a, b) => a.at - b.at);
  return h("section", {}, h("h3", {}, "Timeline"), events.length ? h("ol", { class: "timeline" }, events.map(({ at, title, text, tone, loose }) =>
    h("li", { "data-tone": tone, "data-future": at > serverNow() + 1000 },
      h("strong", {}, title), h("span", { class: "event-time" }, loose ? "" : h("span", { title: dateOf(at).toISOString() }, instant(at), " · "), loose ? "" : untilThen(at)), h("p", {}, text))))
    : h("p", { class: "prose" }, "Nothing is recorded."));
}

function stored(title, text, base64) {
  if (base64) return h("section", {}, h("h3", {}, `${title} (not JSON: what can be read of it)`), h("pre", { tabindex: "0" }, readable(base64)),
    h("details", {}, h("summary", {}, "In base64"), h("pre", { tabindex: "0" }, base64)));
  return text === null || text === undefined ? null : h("section", {}, h("h3", {}, title), h("pre", { tabindex: "0" }, indented(text)));
}

/** Bytes as text, with a dot for each that is none; the proxy's records are mostly text. */
function readable(base64) {
  const bytes = Uint8Array.from(atob(base64), (c) => c.charCodeAt(0));
  return new TextDecoder().decode(bytes).replace(/[^\P{C}\n]|\ufffd/gu, "·");
}

/** Payloads may be private, so they are shown when asked for. */
function payload({ scope, key }) {
  const place = h("section", {}, h("h3", {}, "Payload"));
  const show = h("button", { type: "button", onclick: async () => {
    show.disabled = true;
    try {
      const text = await callText(query("v1/record", { scope, key, payload: "true" }));
      const base64 = memberText(text, "payload_base64");
      place.replaceWith(stored("Payload", memberText(text, "payload"), base64 && base64 !== "null" ? JSON.parse(base64) : null) ?? place);
    } catch (error) {
      show.disabled = false;
      place.append(h("p", { class: "field-error", role: "alert" }, error.message));
    }
  } }, "Show payload");
  place.append(show);
  return place;
}

function followAddress() {
  const [wanted, dialog] = [openedByAddress(), byId("detail")];
  opened = wanted;
  if (!wanted) return dialog.open && dialog.close();
  dialog.querySelector(".drawer-body").replaceChildren(head(wanted), h("p", { class: "prose" }, "Reading…"));
  if (!dialog.open) dialog.showModal();
  dialog.scrollTop = 0;
  return showDetail();
}

function startDetail() {
  const dialog = byId("detail");
  addEventListener("hashchange", followAddress);
  dialog.addEventListener("click", (event) => event.target === dialog && dialog.close());
  dialog.addEventListener("close", () => {
    if (opened) forgetAddress();
    // The row that it was opened from may be gone.
    if (document.activeElement === document.body) byId("records").focus();
  });
  followAddress();
}

function forgetAddress() {
  opened = null;
  window.history.replaceState(null, "", location.pathname + location.search);
}
