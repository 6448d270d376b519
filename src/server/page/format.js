// Figures as people read them.

const plain = new Intl.NumberFormat("en");
const compact = new Intl.NumberFormat("en", { notation: "compact", maximumFractionDigits: 1 });

function count(value) {
  return value < 1e7 ? plain.format(value) : compact.format(value);
}

function rate(value) {
  return value >= 100 ? plain.format(Math.round(value)) : value >= 10 ? value.toFixed(1) : value > 0 ? value.toFixed(2) : "0";
}

function percent(share) {
  return share === null ? "–" : `${(share * 100).toFixed(share === 0 || share === 1 ? 0 : 1)} %`;
}

/** A count with its noun. */
function counted(value, noun) {
  return `${count(value)} ${noun}${value === 1 ? "" : "s"}`;
}

function bytes(value) {
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  let unit = 0;
  while (value >= 1024 && unit < units.length - 1) {
    value /= 1024;
    unit += 1;
  }
  return `${unit === 0 || value >= 100 ? Math.round(value) : value.toFixed(1)} ${units[unit]}`;
}

/** A length of time, in at most two units. */
function duration(ms) {
  if (ms < 1) return ms > 0 ? `${Math.round(ms * 1000)} µs` : "0 s";
  if (ms < 10 && ms % 1) return `${ms.toFixed(1)} ms`;
  if (ms < 1000) return `${Math.round(ms)} ms`;
  if (ms < 9950) return `${(ms / 1000).toFixed(1)} s`;
  const seconds = Math.round(ms / 1000);
  const [days, hours, minutes] = [Math.floor(seconds / 86400), Math.floor(seconds / 3600) % 24, Math.floor(seconds / 60) % 60];
  if (days) return `${days} d${hours ? ` ${hours} h` : ""}`;
  if (hours) return `${hours} h${minutes ? ` ${minutes} min` : ""}`;
  if (minutes) return `${minutes} min${minutes < 10 && seconds % 60 ? ` ${seconds % 60} s` : ""}`;
  return `${seconds} s`;
}

/** Like `duration`, for what is counted in whole seconds as it passes. */
function age(ms) {
  return ms < 1000 ? "now" : duration(Math.floor(ms / 1000) * 1000).replace(".0", "");
}

const clockTime = new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit", second: "2-digit" });

/** The date of any number: one beyond what a date can be is the last that can. */
function dateOf(ms) {
  return new Date(Math.min(ms, 8.64e15));
}

/** The local time to the millisecond, with its date. */
function instant(ms) {
  const date = dateOf(ms);
  const two = (value) => String(value).padStart(2, "0");
  const day = `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())}`;
  return `${day} ${clockTime.format(date)}.${String(date.getMilliseconds()).padStart(3, "0")}`;
}
