// The figures: asked for each second while somebody can see them.

const POLL_MS = 1000;
const RETRY_MS_MAX = 15000;

/** The latest figures, how far the server's clock is ahead of ours, and the samples of the charts. */
const figures = { stats: null, clockAhead: 0, samples: [] };

const serverNow = () => Date.now() + figures.clockAhead;

const begins = ({ fresh, takeover, replay, in_flight, mismatch }) => fresh + takeover + replay + in_flight + mismatch;
const ends = ({ completed, failed, released }) => completed + failed + released;

/** What happened between two answers, per second; a gap where they cannot be compared. */
function sampleBetween(before, after) {
  const at = after.now;
  const seconds = (after.now - before.now) / 1000;
  const isRestarted = before.started_at !== after.started_at || begins(after.answers) < begins(before.answers);
  if (isRestarted || seconds <= 0 || seconds > 10) return { at, gap: true };
  const per = (of) => Math.max(0, of(after.answers) - of(before.answers)) / seconds;
  const [begun, replayed, ended] = [per(begins), per((answers) => answers.replay), per(ends)];
  const { latencies = {}, commits } = after;
  const ms = (figure, name) => (figure && figure.count > 0 ? figure[name] / 1000 : null);
  return {
    at, begun, replayed, ended,
    hits: begun > 0 ? replayed / begun : null,
    p50: ms(latencies.begin?.recent, "p50_us"), p99: ms(latencies.begin?.recent, "p99_us"),
    endP99: ms(latencies.complete?.recent, "p99_us"), commit: ms(commits, "p99_us"),
  };
}

const charts = [
  new Chart("Operations per second", { show: rate, mark: (value) => count(Number(value.toPrecision(3))), top: 1, series: [
    { name: "begins", of: ({ begun }) => begun }, { name: "ends", of: ({ ended }) => ended }, { name: "replays", of: ({ replayed }) => replayed },
  ] }),
  new Chart("Hit rate", { show: percent, mark: (value) => `${Math.round(value * 100)} %`, top: 0.1, ceiling: 1, note: "Replays among all begins", series: [{ name: "replays / begins", of: ({ hits }) => hits }] }),
  new Chart("Latency", { show: duration, top: 0.5, note: "Of the requests of the last 10 to 20 seconds, and of all commits since the start", series: [
    { name: "begin p50", of: ({ p50 }) => p50 }, { name: "begin p99", of: ({ p99 }) => p99 }, { name: "complete p99", of: ({ endP99 }) => endP99 },
    { name: "commit p99", of: ({ commit }) => commit },
  ] }),
];

function take(stats) {
  if (figures.stats) figures.samples.push(sampleBetween(figures.stats, stats));
  const first = figures.samples.findIndex(({ at }) => at >= stats.now - WINDOW_MS - POLL_MS);
  figures.samples.splice(0, Math.max(0, first));
  figures.stats = stats;
  figures.clockAhead = stats.now - Date.now();
  charts.forEach((chart) => chart.update(figures.samples));
  showTiles(stats);
  showBanners(stats);
  byId("uptime").textContent = `up ${age(stats.now - stats.started_at)}`;
}

function showConnection(state, text) {
  const element = byId("connection");
  element.dataset.state = state;
  // Announced when it changes, and not each second.
  if (element.textContent !== text) element.textContent = text;
}

async function poll() {
  let [wait, failures] = [POLL_MS, 0];
  for (;;) {
    if (document.hidden) {
      showConnection("paused", "Paused");
      await new Promise((shown) => document.addEventListener("visibilitychange", shown, { once: true }));
      continue;
    }
    try {
      take(await call("v1/stats"));
      showConnection("live", "Live");
      [wait, failures] = [POLL_MS, 0];
    } catch (error) {
      failures += 1;
      wait = Math.min(RETRY_MS_MAX, POLL_MS * 2 ** Math.min(failures - 1, 4));
      showConnection("lost", error.status ? `Error: ${error.message}` : `Connection lost. ${error.message}`);
    }
    document.body.classList.toggle("stale", failures > 0);
    await new Promise((passed) => setTimeout(passed, wait));
  }
}

function startFigures() {
  byId("charts").append(...charts.map((chart) => chart.element));
  setInterval(() => document.hidden || countOn(), 1000);
  poll();
}
