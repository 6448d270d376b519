// Ending an attempt that nobody will end any more: the choice, its meaning, a reason, and a second thought.

const REASON_BYTES_MAX = 1024;

const OUTCOMES = [
  { outcome: "completed", title: "It happened", word: "completed",
    text: "The provider shows the effect. From now on every retry gets the payload below as a success, and the operation is not run again." },
  { outcome: "failed", title: "It did not, and never will", word: "failed",
    text: "The provider shows no effect, or a final refusal. Every retry gets the payload below as a failure, and the operation is not run again." },
  { outcome: "released", title: "It did not happen; let it run again", word: "released",
    text: "The record is removed. The next request with this key runs the operation from the start. If the effect did happen after all, it happens twice." },
];

/** `chosen`: the outcome to start with; null where the person has to choose. */
function openResolve(record, chosen) {
  const dialog = byId("resolve");
  const isDamaged = record.state === undefined;
  const offered = OUTCOMES.filter(({ outcome }) => !isDamaged || outcome === "released");
  const choices = offered.map(({ outcome, title, text }) => h("label", { class: "choice" },
    h("input", { type: "radio", name: "outcome", value: outcome, checked: outcome === chosen, "aria-describedby": `about-${outcome}` }),
    h("span", {}, h("strong", {}, title), h("span", { id: `about-${outcome}`, class: "about" }, text))));
  const reason = h("textarea", { name: "reason", rows: "2", required: true, maxlength: String(REASON_BYTES_MAX), placeholder: "What you found out, and where" });
  const payloadText = h("textarea", { name: "payload", rows: "3", class: "code", spellcheck: "false", placeholder: '{"receipt": "…"}', "aria-describedby": "payload-help" });
  const payloadField = h("label", { class: "field" }, h("span", {}, "Payload for every retry (JSON)"), payloadText,
    h("small", { id: "payload-help" }, "What your server would have stored; behind the proxy a response, such as ", h("code", {}, '{"status": 201, "body": {…}}'), ". Empty means null."));
  const sure = h("input", { type: "checkbox", name: "sure" });
  const sureLabel = h("label", { class: "sure" }, sure, h("span", {}, "I have made sure at the provider that nothing happened"));
  const complaint = h("p", { class: "field-error", role: "alert" });
  const confirm = h("button", { type: "submit", class: "primary" });
  const form = h("form", { novalidate: true },
    h("h2", { id: "resolve-title", tabindex: "-1" }, "How did this attempt end?"),
    h("p", { class: "subject" }, h("b", {}, record.key), h("span", { class: "scope" }, record.scope)),
    isDamaged || isUnknown(record) ? null : h("p", { class: "banner", "data-tone": "warn" },
      "A live lease still holds this key for ", counting(record.lease_expires_at, (ms) => (ms < 0 ? age(-ms) : "a moment")), ". The store refuses to resolve it until then."),
    h("fieldset", { class: "choices" }, h("legend", { class: "hidden" }, "Outcome"), choices),
    payloadField,
    h("label", { class: "field" }, h("span", {}, "Reason (kept in the audit)"), reason),
    sureLabel, complaint,
    h("div", { class: "actions" }, h("button", { type: "button", onclick: () => dialog.close() }, "Cancel"), confirm));
  const choose = () => {
    const outcome = form.elements.outcome.value;
    payloadField.hidden = outcome === "released" || outcome === "";
    sureLabel.hidden = outcome !== "released";
    confirm.textContent = outcome === "released" ? "Release the key" : `Resolve ${outcome && `as ${outcome}`}`;
    confirm.className = outcome === "released" ? "danger" : "primary";
    complaint.textContent = "";
  };
  form.addEventListener("change", (event) => event.target.name === "outcome" && choose());
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    submitResolve(record, form, complaint, confirm);
  });
  dialog.replaceChildren(form);
  choose();
  dialog.showModal();
  (form.querySelector("input:checked") ?? form.querySelector("input")).focus();
}

/** What is wrong with the form, and where; null when nothing is. */
function fault({ outcome, payload, reason, sure }) {
  if (outcome.value === "") return [outcome[0], "Choose how it ended. If you do not know yet, ask the provider first."];
  if (outcome.value !== "released" && payload.value.trim() !== "") {
    try {
      JSON.parse(payload.value);
    } catch (error) {
      return [payload, `The payload is not JSON: ${error.message}`];
    }
  }
  const length = new TextEncoder().encode(reason.value.trim()).length;
  if (length === 0) return [reason, "Say why: whoever looks at this payment next will want to know."];
  if (length > REASON_BYTES_MAX) return [reason, `The reason has ${length} bytes; ${REASON_BYTES_MAX} fit.`];
  if (outcome.value === "released" && !sure.checked) return [sure, "Confirm that nothing happened; otherwise it may happen twice."];
  return null;
}

async function submitResolve({ scope, key, token: looked_at }, form, complaint, confirm) {
  const { outcome, payload, reason } = form.elements;
  const wrong = fault(form.elements);
  for (const field of form.querySelectorAll("[aria-invalid]")) field.removeAttribute("aria-invalid");
  complaint.textContent = wrong?.[1] ?? "";
  if (wrong) {
    wrong[0].setAttribute("aria-invalid", "true");
    return wrong[0].focus();
  }
  // As text, so that the payload is stored to the digit as it was entered.
  const members = Object.entries({ scope, key, outcome: outcome.value, reason: reason.value.trim() }).map(([name, value]) => `${JSON.stringify(name)}:${JSON.stringify(value)}`);
  // What the person knows is known of this attempt. A damaged record does not say which it has.
  if (looked_at !== undefined) members.push(`"token":${looked_at}`);
  if (outcome.value !== "released" && payload.value.trim() !== "") members.push(`"payload":${payload.value.trim()}`);
  confirm.disabled = true;
  try {
    await call("v1/resolve", `{${members.join(",")}}`);
  } catch (error) {
    if (error.kind === "attempt_changed") showDetail();
    complaint.textContent = error.status ? error.message : `${error.message} Whether it was resolved is unknown: close this and look at the record.`;
    return undefined;
  } finally {
    confirm.disabled = false;
  }
  byId("resolve").close();
  toast(outcome.value === "released" ? "The key is free again." : `Resolved as ${outcome.value}.`);
  showList();
  await showDetail();
  return byId("detail-title")?.focus();
}
