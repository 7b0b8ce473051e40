/** Lines over epochs as SVG, with values at a cursor. */
nnzoo.LineChart = class {
  /**
   * Create an empty chart.
   * @param {{caption: string, label?: string, log?: boolean, note?: string}} options log: whether the values are on a
   *   logarithmic scale at first; a button changes it
   */
  constructor(options) {
    this.options = options;
    this.log = Boolean(options.log);
    this.series = [];
    this.epoch = null;
    this.hovered = null;
    this.svg = nnzoo.svg("svg", {viewBox: "0 0 380 200", role: "img", tabindex: "0", "aria-label": options.caption});
    this.legend = nnzoo.element("ul", {class: "legend"});
    this.button = nnzoo.element("button", {type: "button", class: "small", "aria-pressed": String(this.log)}, "log");
    this.button.title = "logarithmic scale";
    this.button.addEventListener("click", () => {
      this.log = !this.log;
      this.button.setAttribute("aria-pressed", String(this.log));
      this.draw();
    });
    const caption = nnzoo.element("figcaption", {}, options.caption, " ", this.button);
    this.figure = nnzoo.element("figure", {class: "chart"}, caption, this.svg, this.legend);
    if (options.note) this.figure.append(nnzoo.element("p", {class: "soft"}, options.note));
    this.svg.addEventListener("pointermove", (event) => this.hover(event));
    this.svg.addEventListener("pointerleave", () => this.moveCursor(null));
    this.svg.addEventListener("keydown", (event) => this.press(event));
    this.svg.addEventListener("blur", () => this.moveCursor(null));
  }

  /**
   * Show these lines. x must ascend; y may hold null.
   * @param {{name: string, x: number[], y: ?number[], color: string, dashed?: boolean}[]} series
   */
  set(series) {
    this.series = series;
    this.draw();
  }

  /**
   * Mark an epoch, at which the legend shows values unless the pointer is over another one.
   * @param {?number} epoch
   */
  mark(epoch) {
    this.epoch = epoch;
    this.drawCursor();
  }

  /** Draw axes and lines. */
  draw() {
    const area = {left: 46, right: 372, top: 8, bottom: 178};
    const values = this.series.flatMap((line) => line.y.filter((y) => this.isShown(y)));
    const epochs = this.series.flatMap((line) => [line.x[0], line.x[line.x.length - 1]]).filter(Number.isFinite);
    this.svg.replaceChildren();
    this.area = area;
    if (!values.length) {
      this.scale = null;
      this.drawCursor();
      return;
    }
    const x = nnzoo.scale(nnzoo.least(epochs), nnzoo.largest(epochs), area.left, area.right);
    const y = nnzoo.scale(nnzoo.least(values), nnzoo.largest(values), area.bottom, area.top, this.log);
    this.scale = {x, y};
    for (const tick of nnzoo.ticks(y.low, y.high, this.log)) {
      const at = y(tick);
      this.svg.append(
        nnzoo.svg("line", {x1: area.left, x2: area.right, y1: at, y2: at, class: "gridline"}),
        nnzoo.svg("text", {x: area.left - 4, y: at + 3.5, "text-anchor": "end"}, nnzoo.short(tick)),
      );
    }
    for (const tick of nnzoo.ticks(x.low, x.high, false).filter(Number.isInteger)) {
      this.svg.append(nnzoo.svg("text", {x: x(tick), y: area.bottom + 14, "text-anchor": "middle"}, nnzoo.short(tick)));
    }
    for (const line of this.series) this.svg.append(this.path(line));
    this.drawCursor();
  }

  /**
   * Tell whether a value can be drawn.
   * @param {?number} y
   * @returns {boolean}
   */
  isShown(y) {
    return Number.isFinite(y) && (!this.log || y > 0);
  }

  /**
   * Create the path of a line: gaps where there is no value, at most two points for each pixel.
   * @returns {SVGElement}
   */
  path(line) {
    const {x, y} = this.scale;
    let path = "";
    let pen = "M";
    let points = 0;
    const bucket = Math.max(1, Math.floor(line.x.length / 600));
    for (let start = 0; start < line.x.length; start += bucket) {
      let low = null;
      let high = null;
      for (let i = start; i < Math.min(start + bucket, line.x.length); i++) {
        if (!this.isShown(line.y[i])) continue;
        if (low === null || line.y[i] < line.y[low]) low = i;
        if (high === null || line.y[i] > line.y[high]) high = i;
      }
      if (low === null) {
        pen = "M";
        continue;
      }
      for (const i of low === high ? [low] : [Math.min(low, high), Math.max(low, high)]) {
        path += `${pen}${x(line.x[i]).toFixed(1)},${y(line.y[i]).toFixed(1)}`;
        pen = "L";
        points += 1;
      }
    }
    if (points === 1) {
      const [at, value] = path.slice(1).split(",");
      return nnzoo.svg("circle", {cx: at, cy: value, r: 3, fill: `var(${line.color})`});
    }
    const dash = line.dashed ? {"stroke-dasharray": "5 3"} : {};
    return nnzoo.svg("path", {d: path, class: "line", stroke: `var(${line.color})`, ...dash});
  }

  /** Draw the line at the cursor, and the values there in the legend. */
  drawCursor() {
    this.svg.querySelector(".cursor")?.remove();
    const epoch = this.hovered ?? this.epoch;
    if (this.scale && epoch !== null) {
      const at = this.scale.x(Math.min(Math.max(epoch, this.scale.x.low), this.scale.x.high));
      const ends = {x1: at, x2: at, y1: this.area.top, y2: this.area.bottom};
      this.svg.append(nnzoo.svg("line", {...ends, class: "cursor"}));
    }
    const shown = this.series.slice(0, 12);
    const items = shown.map((line) => {
      const at = epoch === null ? line.x.length - 1 : nnzoo.indexBefore(line.x, epoch);
      const value = at < 0 ? null : line.y[at];
      const swatch = nnzoo.element("i", {class: line.dashed ? "swatch dashed" : "swatch"});
      swatch.style.setProperty("--tone", `var(${line.color})`);
      const title = at < 0 ? "" : `${this.options.unit ?? "epoch"} ${line.x[at]}`;
      return nnzoo.element("li", {title}, swatch, `${line.name} `, nnzoo.element("b", {}, nnzoo.number(value)));
    });
    if (this.series.length > shown.length) items.push(nnzoo.element("li", {}, `and ${this.series.length - shown.length} more`));
    if (epoch !== null) items.unshift(nnzoo.element("li", {class: "soft"}, `${this.options.unit ?? "epoch"} ${epoch}`));
    this.legend.replaceChildren(...items);
  }

  /** Move the cursor to the pointer's epoch. */
  hover(event) {
    if (!this.scale) return;
    const box = this.svg.getBoundingClientRect();
    const at = ((event.clientX - box.left) / box.width) * 380;
    this.moveCursor(this.nearest(this.scale.x.inverse(at)));
  }

  /** Move the cursor with the arrow keys. */
  press(event) {
    const step = {ArrowLeft: -1, ArrowRight: 1}[event.key];
    const epochs = this.series[0]?.x ?? [];
    if (!step || !epochs.length) return;
    const from = nnzoo.indexBefore(epochs, this.hovered ?? this.epoch ?? Infinity);
    this.moveCursor(epochs[Math.min(Math.max(from + step, 0), epochs.length - 1)]);
    event.preventDefault();
    event.stopPropagation();
  }

  /**
   * Return the epoch of a line that is nearest.
   * @param {number} epoch
   * @returns {number}
   */
  nearest(epoch) {
    const candidates = this.series.flatMap((line) => {
      const at = nnzoo.indexBefore(line.x, epoch);
      return [line.x[Math.max(at, 0)], line.x[Math.min(at + 1, line.x.length - 1)]];
    });
    return candidates.reduce((best, x) => (Math.abs(x - epoch) < Math.abs(best - epoch) ? x : best), candidates[0]);
  }

  moveCursor(epoch) {
    if (epoch === this.hovered) return;
    this.hovered = epoch;
    this.drawCursor();
  }
};

/**
 * Create an element of SVG.
 * @param {string} tag
 * @param {Object<string, *>} attributes
 * @param {...(Node|string)} children
 * @returns {SVGElement}
 */
nnzoo.svg = (tag, attributes, ...children) => {
  const created = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) created.setAttribute(name, String(value));
  created.append(...children);
  return created;
};

/** Return the smallest of many numbers. */
nnzoo.least = (values) => values.reduce((a, b) => Math.min(a, b), Infinity);

/** Return the largest of many numbers. */
nnzoo.largest = (values) => values.reduce((a, b) => Math.max(a, b), -Infinity);

/**
 * Return a function from values to places, linear or logarithmic, with `inverse` and its ends `low` and `high`.
 */
nnzoo.scale = (low, high, from, to, log = false) => {
  const forward = log ? Math.log10 : (value) => value;
  let [start, end] = [forward(low), forward(high)];
  const margin = log || !end ? 0.5 : Math.abs(end) / 2;
  if (end - start <= 1e-9 * Math.abs(end)) [start, end] = [start - margin, end + margin];
  const scale = (value) => from + ((forward(value) - start) / (end - start)) * (to - from);
  const back = log ? (value) => 10 ** value : (value) => value;
  scale.inverse = (place) => back(start + ((place - from) / (to - from)) * (end - start));
  [scale.low, scale.high] = [back(start), back(end)];
  return scale;
};

/** Return round values between two ends: at most six, powers of ten on a logarithmic scale. */
nnzoo.ticks = (low, high, log) => {
  if (log && high / low >= 10) {
    const powers = [];
    for (let e = Math.ceil(Math.log10(low) - 1e-9); e <= Math.log10(high) + 1e-9; e++) powers.push(10 ** e);
    const stride = Math.ceil(powers.length / 6);
    return powers.filter((_, i) => i % stride === 0);
  }
  const rough = (high - low) / 5;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((factor) => factor * power).find((size) => size >= rough * 0.999);
  const ticks = [];
  for (let k = Math.ceil(low / step - 1e-9); k * step <= high + 1e-9 * step; k++) ticks.push(Number((k * step).toPrecision(12)));
  return ticks;
};

/** Format a number for an axis. */
nnzoo.short = (value) => {
  const size = Math.abs(value);
  if (size !== 0 && (size < 1e-3 || size >= 1e5)) return Number(value.toPrecision(3)).toExponential().replace("e+", "e");
  return String(Number(value.toPrecision(3)));
};

/** Return the place of the last number of an ascending list that is not above a value; -1 if there is none. */
nnzoo.indexBefore = (ascending, value) => {
  let [low, high] = [0, ascending.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (ascending[middle] <= value) low = middle + 1;
    else high = middle;
  }
  return low - 1;
};
