// The table of records.

const PAGE_RECORDS = 50;
/** With a condition that the server does not know, pages are read until there is something to show, up to here. */
const SEARCHED = { records: 200, pages: 25 };

/** `cursors`: where each page up to this one starts. `asked`: so that a late answer to an earlier question is dropped. */
const list = { cursors: [null], next: null, asked: 0, conditions: "", scopes: new Set() };

/** Nobody knows what became of it: its lease has lapsed, perhaps since it was read, or the process that gave the lease is gone. */
function isUnknown({ state, is_lapsed, lease_expires_at }) {
  return state === "in_flight" && (is_lapsed || lease_expires_at <= serverNow());
}

const STATE_NAMES = { in_flight: "in flight", completed: "completed", failed: "failed", unknown: "unknown" };

function stateMark(record) {
  const state = isUnknown(record) ? "unknown" : record.state;
  return h("span", { class: "state", "data-state": state }, STATE_NAMES[state] ?? state);
}

const linkOf = ({ scope, key }) => `#record?${new URLSearchParams({ scope, key })}`;

function conditions() {
  const { state, scope, key, older } = byId("filters").elements;
  return { state: state.value, scope: scope.value, key: key.value.trim(), older: Number(older.value) };
}

/** Reads the record of exactly this name, however many there are. */
async function lookUp(scope, key) {
  try {
    return [await call(query("v1/record", { scope, key }))];
  } catch {
    // Whatever else is wrong, the list will tell.
    return [];
  }
}

/** Reads one page: exactly one of the server's, or as many as it takes to find something. */
async function readPage({ state, scope, key, older }, after) {
  const isSearch = key !== "" || state === "unknown";
  const isNamed = (record) => record.scope === scope && record.key === key;
  const admits = (record) => record.key.includes(key) && (state !== "unknown" || isUnknown(record)) && !isNamed(record);
  const isOfState = (record) => state === "" || state === record.state || (state === "unknown" && isUnknown(record));
  const named = after === null && scope && key ? await lookUp(scope, key) : [];
  const asked = { state: state === "unknown" ? "in_flight" : state, scope, older_ms: older || null, limit: isSearch ? SEARCHED.records : PAGE_RECORDS };
  const found = named.filter((record) => isOfState(record) && serverNow() - record.first_seen_at >= older);
  const page = { records: found, damaged: [], next: after, examined: 0 };
  for (let pages = 0; pages < (isSearch ? SEARCHED.pages : 1); pages += 1) {
    const { records, damaged, next } = await call(query("v1/records", { ...asked, after: page.next }));
    page.records.push(...records.filter(admits));
    page.damaged.push(...damaged);
    page.examined += records.length;
    page.next = next;
    if (next === null || page.records.length >= PAGE_RECORDS) break;
  }
  return page;
}

async function showList() {
  const asked = (list.asked += 1);
  byId("list").setAttribute("aria-busy", "true");
  byId("list-error").replaceChildren();
  try {
    const page = await readPage(conditions(), list.cursors.at(-1));
    if (asked === list.asked) showPage(page);
  } catch (error) {
    if (asked !== list.asked) return;
    byId("list-error").append(h("p", { class: "banner", "data-tone": "bad" }, h("strong", {}, "The records could not be read."), " ", error.message));
  } finally {
    if (asked === list.asked) byId("list").removeAttribute("aria-busy");
  }
}

function showPage({ records, damaged, next, examined }) {
  list.next = next;
  byId("list").tBodies[0].replaceChildren(...damaged.map(damagedRow), ...records.map(row));
  byId("list").hidden = records.length + damaged.length === 0;
  const { state, scope, key, older } = conditions();
  const isFiltered = state || scope || key || older;
  byId("empty").hidden = !byId("list").hidden;
  byId("empty").textContent = next !== null ? `None among ${count(examined)} records; there are more on the next page.`
    : isFiltered ? "No record meets these conditions." : "There are no records yet. The first begin makes one.";
  byId("list-note").textContent = `${counted(records.length, "record")} on this page, read at ${clockTime.format(new Date())}`;
  byId("page-number").textContent = `Page ${list.cursors.length}`;
  byId("first").disabled = byId("previous").disabled = list.cursors.length === 1;
  byId("next").disabled = next === null;
  for (const { scope: seen } of records) {
    if (list.scopes.has(seen) || list.scopes.size >= 200) continue;
    list.scopes.add(seen);
    byId("scopes").append(h("option", { value: seen }));
  }
}

function row(record) {
  const cell = (label, ...children) => h("td", { "data-label": label }, ...children);
  const { attempt, first_seen_at, expires_at, payload_bytes, has_checkpoint } = record;
  const element = h("tr", {},
    cell("State", stateMark(record)),
    h("th", { scope: "row", class: "key" }, h("a", { href: linkOf(record), title: record.key }, record.key)),
    h("td", { class: "scope", "data-label": "Scope", title: record.scope }, record.scope),
    h("td", { class: "number", "data-label": "Attempt" }, String(attempt)),
    cell("First seen", ago(first_seen_at)),
    h("td", { class: "progress", "data-label": "Progress" }, progress(record), has_checkpoint ? h("span", { class: "tag" }, "checkpoint") : null),
    cell("Expires", expires_at === null ? "–" : untilThen(expires_at)),
    h("td", { class: "number", "data-label": "Payload" }, record.state === "in_flight" ? "–" : bytes(payload_bytes)));
  element.addEventListener("click", (event) => {
    // A drag selects text, and a click with a modifier is the browser's.
    const isPlain = !event.target.closest("a") && !event.ctrlKey && !event.metaKey && !event.shiftKey && getSelection().isCollapsed;
    if (isPlain) element.querySelector("a").click();
  });
  return element;
}

function progress({ state, ended_at, started_at, lease_expires_at, is_lapsed }) {
  if (state === "in_flight" && is_lapsed && lease_expires_at > serverNow()) return "its process is gone";
  if (state === "in_flight") return counting(lease_expires_at, (ms) => (ms < 0 ? `lease for ${age(-ms)}` : `lease lapsed ${age(ms)} ago`));
  return ended_at === null ? "ended" : h("span", { title: dateOf(ended_at).toISOString() }, `ended after ${duration(Math.max(0, ended_at - started_at))}`);
}

function damagedRow(key) {
  const name = key === null ? "a key that is damaged itself" : h("a", { href: linkOf(key) }, key.key);
  return h("tr", { class: "damaged" },
    h("td", {}, h("span", { class: "state", "data-state": "damaged" }, "damaged")),
    h("th", { scope: "row", class: "key" }, name), h("td", { class: "scope" }, key?.scope ?? ""), h("td", { colspan: 5 }, "does not verify; it counts as used"));
}

function restart() {
  list.cursors = [null];
  list.conditions = JSON.stringify(conditions());
  showList();
}

/** Leaving a field tells of a change that was heard of as it was typed. */
function restartIfChanged() {
  if (list.conditions !== JSON.stringify(conditions())) restart();
}

function startRecords() {
  let typing = 0;
  const filters = byId("filters");
  filters.addEventListener("submit", (event) => event.preventDefault());
  filters.addEventListener("change", restartIfChanged);
  filters.addEventListener("input", (event) => {
    clearTimeout(typing);
    if (event.target.type !== "radio") typing = setTimeout(restartIfChanged, 300);
  });
  byId("refresh").addEventListener("click", showList);
  byId("first").addEventListener("click", restart);
  byId("previous").addEventListener("click", () => {
    list.cursors.pop();
    showList();
  });
  byId("next").addEventListener("click", () => {
    list.cursors.push(list.next);
    showList();
  });
  restart();
}
