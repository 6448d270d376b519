// The row of figures, and what an operator has to be told without asking.

const TILES = [
  ["In flight", ({ in_flight }) => count(in_flight), ({ waiting }) => (waiting ? `${counted(waiting, "caller")} waiting` : "nobody waits")],
  ["Oldest in flight", ({ oldest_in_flight_ms }) => (oldest_in_flight_ms === null ? "none" : age(oldest_in_flight_ms)),
    ({ answers }) => counted(answers.takeover, "takeover"), ({ oldest_in_flight_ms }) => oldest_in_flight_ms > 3600000],
  ["Completed", ({ completed }) => count(completed), ({ answers }) => `${count(answers.completed)} since start`],
  ["Failed", ({ failed }) => count(failed), ({ answers }) => `${count(answers.failed)} since start`],
  ["Hit rate", ({ answers }) => percent(begins(answers) ? answers.replay / begins(answers) : null), ({ answers }) => counted(answers.replay, "replay")],
  ["Refused", ({ answers }) => count(answers.full + answers.refused + answers.lease_lost + answers.mismatch),
    ({ answers }) => `${count(answers.mismatch)} mismatched`, ({ answers }) => answers.full > 0],
  ["Sweep lag", ({ sweep_lag_ms }) => (sweep_lag_ms === null ? "unknown" : duration(sweep_lag_ms)), ({ swept }) => `${count(swept)} swept`,
    ({ sweep_lag_ms }) => sweep_lag_ms === null],
  ["On disk", ({ file_bytes }) => bytes(file_bytes), ({ record_bytes }) => `${bytes(record_bytes)} of records`],
];

let tiles = null;

function showTiles(stats) {
  if (!tiles) {
    tiles = TILES.map(([name]) => ({ value: h("span", { class: "value" }), under: h("span", { class: "under" }), name }));
    byId("tiles").append(...tiles.map(({ name, value, under }) => h("div", {}, h("dt", {}, name), h("dd", {}, value, under))));
  }
  TILES.forEach(([, value, under, isBad], at) => {
    tiles[at].value.textContent = value(stats);
    tiles[at].under.textContent = under(stats);
    tiles[at].value.classList.toggle("bad", Boolean(isBad?.(stats)));
  });
}

const BANNERS = [
  ["bad", ({ is_poisoned }) => is_poisoned, () => ["The store is poisoned.",
    "It refuses every write since an I/O failure or a dead thread. Look at the disk and the log, then restart the process; nothing acknowledged is lost."]],
  ["warn", ({ clock_doubted_ms }) => clock_doubted_ms !== null && clock_doubted_ms !== undefined, ({ clock_doubted_ms }) => ["The clock is in doubt.",
    `It leapt ahead by ${duration(clock_doubted_ms)}, so nothing is swept. Check the time of this machine; after an hour the store believes it.`]],
  ["bad", ({ io }) => io.damaged_reads > 0, ({ io }) => ["The disk returns damaged data.",
    `${counted(io.damaged_reads, "read")} did not verify. Replace the disk, run verify, and restore a backup if it finds damage.`]],
  ["warn", ({ upkeep_failures }) => upkeep_failures > 0, ({ upkeep_failures }) => ["Upkeep fails.",
    `${count(upkeep_failures)} of the sweeps and merges failed: the disk is full, or a page is damaged. Space is not given back.`]],
];

let banners = "";

function showBanners(stats) {
  const due = BANNERS.filter(([, isDue]) => isDue(stats)).map(([tone, , words]) => [tone, ...words(stats)]);
  // They are announced when they change.
  if (JSON.stringify(due) === banners) return;
  banners = JSON.stringify(due);
  byId("banners").replaceChildren(...due.map(([tone, title, text]) => h("p", { class: "banner", "data-tone": tone }, h("strong", {}, title), " ", text)));
}
