// A line chart of the last minutes. Pure but for the element that it draws into.

const WINDOW_MS = 5 * 60 * 1000;
const MARGIN = { top: 8, right: 2, bottom: 18, left: 2 };
const CHART_HEIGHT = 132;

/** The smallest of these steps times a power of ten that is not below `value`; half of each is a short number, too. */
function roundUp(value) {
  const power = 10 ** Math.floor(Math.log10(value));
  return [1, 1.2, 1.6, 2, 2.4, 3, 4, 5, 6, 8, 10].map((step) => step * power).find((step) => step >= value * 0.999);
}

class Chart {
  /** `series`: `[{name, of: sample => number | null}]`; `show` makes text of a value and `mark` of one on the axis; `top` is the least upper end of the axis. */
  constructor(title, { series, show, mark = show, top, ceiling = Infinity, note }) {
    Object.assign(this, { title, series, show, mark, top, ceiling, samples: [], width: 320 });
    this.values = series.map(() => h("b", {}, "–"));
    this.picture = svg("svg", { class: "plot", role: "img", "aria-label": title });
    this.when = h("span", { class: "when" });
    const legend = series.map(({ name }, at) => h("li", { class: `series-${at}` }, h("i", {}), h("span", {}, name), this.values[at]));
    this.element = h("figure", { class: "chart panel" },
      h("figcaption", {}, h("h3", { title: note }, title), this.when, h("ul", {}, legend)), this.picture);
    this.picture.addEventListener("pointermove", (event) => this.point(event.offsetX));
    this.picture.addEventListener("pointerleave", () => this.point(null));
    new ResizeObserver(([entry]) => {
      this.width = Math.max(160, Math.floor(entry.contentRect.width));
      this.draw();
    }).observe(this.element);
  }

  /** `samples`: `[{at, ...}]`, oldest first; a sample with `gap` breaks the lines. */
  update(samples) {
    this.samples = samples;
    this.draw();
  }

  point(x) {
    this.pointed = x;
    this.draw();
  }

  draw() {
    const end = this.samples.at(-1)?.at ?? 0;
    const shown = this.samples.filter((sample) => sample.at >= end - WINDOW_MS);
    const values = shown.flatMap((sample) => this.series.map(({ of }) => (sample.gap ? null : of(sample)))).filter((value) => value !== null);
    const high = Math.min(this.ceiling, roundUp(Math.max(this.top, ...values)));
    const [inner, height] = [this.width - MARGIN.left - MARGIN.right, CHART_HEIGHT - MARGIN.top - MARGIN.bottom];
    const x = (at) => MARGIN.left + inner * (1 - (end - at) / WINDOW_MS);
    const y = (value) => MARGIN.top + height * (1 - Math.min(value, high) / high);
    this.picture.setAttribute("viewBox", `0 0 ${this.width} ${CHART_HEIGHT}`);
    this.picture.replaceChildren(...this.grid(high, y), ...this.series.map(({ of }, at) => this.line(shown, of, at, x, y)), ...this.cursor(shown, x, y));
  }

  grid(high, y) {
    const right = this.width - MARGIN.right;
    const lines = [0, high / 2, high].map((value) => [
      svg("line", { class: value ? "grid" : "axis", x1: MARGIN.left, x2: right, y1: y(value), y2: y(value) }),
      value ? svg("text", { x: MARGIN.left, y: y(value) - 3 + (value === high ? 12 : 0) }, this.mark(value)) : null,
    ]);
    const bottom = CHART_HEIGHT - 4;
    const times = [5, 4, 3, 2, 1].map((minutes) => svg("text", {
      class: "tick", x: MARGIN.left + (right - MARGIN.left) * (1 - minutes / 5), y: bottom, "text-anchor": minutes === 5 ? "start" : "middle",
    }, minutes === 5 ? "−5 min" : `−${minutes}`));
    return [...lines.flat(), ...times, svg("text", { class: "tick", x: right, y: bottom, "text-anchor": "end" }, "now")].filter(Boolean);
  }

  line(shown, of, number, x, y) {
    let [path, isDown] = ["", false];
    for (const sample of shown) {
      const value = sample.gap ? null : of(sample);
      if (value !== null) path += `${isDown ? "L" : "M"}${x(sample.at).toFixed(1)} ${y(value).toFixed(1)}`;
      isDown = value !== null;
    }
    return svg("path", { class: `line series-${number}`, d: path || "M0 0" });
  }

  /** The values under the pointer, or the latest. */
  cursor(shown, x, y) {
    const told = shown.filter((sample) => !sample.gap);
    const near = (sample) => Math.abs(x(sample.at) - this.pointed);
    const isPointing = this.pointed !== null && this.pointed !== undefined && told.length > 0;
    const sample = isPointing ? told.reduce((best, next) => (near(next) < near(best) ? next : best)) : told.at(-1);
    if (!sample) return [];
    const values = this.series.map(({ of }) => of(sample));
    values.forEach((value, at) => (this.values[at].textContent = value === null ? "–" : this.show(value)));
    this.when.textContent = isPointing ? clockTime.format(sample.at) : "";
    const said = this.series.map(({ name }, at) => `${name} ${this.values[at].textContent}`).join(", ");
    this.picture.setAttribute("aria-label", `${this.title}, last five minutes; now ${said}`);
    if (!isPointing) return [];
    const dots = values.map((value, at) => (value === null ? null : svg("circle", { class: `dot series-${at}`, cx: x(sample.at), cy: y(value), r: 3 })));
    return [svg("line", { class: "cursor", x1: x(sample.at), x2: x(sample.at), y1: MARGIN.top, y2: CHART_HEIGHT - MARGIN.bottom }), ...dots.filter(Boolean)];
  }
}
