/**
 * Reading charts: the values of all lines at the x nearest to the mouse, or by arrow keys, and entries of legends that
 * hide and show their lines.
 *
 * A chart is an SVG with `data-chart`, written by nnzoo/report/hover.py: {box, x, y, dates, lines}.
 */
nnzoo.hover = (() => {
  const SVG = "http://www.w3.org/2000/svg";
  const DAY = 86_400_000;
  /** What `attach` returned, by SVG. */
  const charts = new Map();
  let readout = null;

  /** Create an SVG element with attributes. */
  function shape(tag, attributes = {}) {
    const created = document.createElementNS(SVG, tag);
    for (const [name, value] of Object.entries(attributes)) created.setAttribute(name, value);
    return created;
  }

  /** The place of a value between two edges, by the limits of its axis, linear or logarithmic. */
  function place(axis, low, high, value) {
    const scale = axis.log ? Math.log : (number) => number;
    const [first, last] = axis.limits.map(scale);
    return low + (scale(value) - first) / (last - first) * (high - low);
  }

  /** A number with up to six significant digits, a whole one in full. */
  function digits(value) {
    return String(Number.isInteger(value) ? value : Number(value.toPrecision(6)));
  }

  /** A value of the x axis as text: a date where the axis has dates. */
  function format(chart, x) {
    if (!chart.dates) return digits(x);
    const text = new Date(Math.round(x * DAY / 1000) * 1000).toISOString();
    return text.replace("T00:00:00.000Z", "").replace(/(:00)?\.000Z$/, "").replace("T", " ");
  }

  /** The index of the number nearest to a value. */
  function nearest(numbers, value) {
    let best = 0;
    numbers.forEach((number, i) => {
      if (Math.abs(number - value) < Math.abs(numbers[best] - value)) best = i;
    });
    return best;
  }

  /** The floating box that all charts of a page share. */
  function box() {
    if (readout === null) {
      readout = nnzoo.element("div", {class: "readout", role: "status", hidden: ""});
      document.body.append(readout);
    }
    return readout;
  }

  /** Fill the box with a title and a line for each value: {color, name, text}. */
  function show(title, rows, left, top) {
    const element = box();
    element.replaceChildren(nnzoo.element("b", {}, title));
    for (const row of rows) {
      const mark = nnzoo.element("i", {style: `background: ${row.color}`});
      const name = nnzoo.element("bdi", {}, row.name);
      element.append(nnzoo.element("div", {}, mark, name, " ", nnzoo.element("span", {}, row.text)));
    }
    element.hidden = false;
    const width = document.documentElement.clientWidth;
    const right = left + 14 + element.offsetWidth;
    const x = right < width ? left + 14 : Math.max(4, left - 14 - element.offsetWidth);
    element.style.left = `${x + window.scrollX}px`;
    element.style.top = `${Math.max(4, top - element.offsetHeight / 2) + window.scrollY}px`;
  }

  /** Hide the box and the marks of a chart. */
  function hide(layer) {
    layer.replaceChildren();
    box().hidden = true;
  }

  /**
   * Let a chart be read with mouse and keyboard.
   * @param {SVGElement} svg
   * @param {Object} chart as nnzoo/report/hover.py writes it; a line may have `notes`, texts beside its values
   * @returns {{chart: Object, hidden: Set<number>, current: function(): ?number}} current: the x that is marked
   */
  function attach(svg, chart) {
    const [left, top, right, bottom] = chart.box;
    const layer = shape("g", {class: "marks"});
    const hidden = new Set();
    const first = chart.lines[0].x;
    for (const line of chart.lines) {
      line.x ??= first;
      line.index = new Map(line.x.map((x, i) => [x, i]));
    }
    const steps = [...new Set(chart.lines.flatMap((line) => line.x))].sort((a, b) => a - b);
    let current = null;
    svg.append(layer);
    svg.setAttribute("tabindex", "0");
    svg.setAttribute("role", "group");
    svg.setAttribute("aria-roledescription", "chart; arrow keys read its values");

    /** The visible lines with a value at an x: {y, text, color, name}. */
    function values(x) {
      const rows = [];
      chart.lines.forEach((line, i) => {
        const y = line.y[line.index.get(x)];
        if (hidden.has(i) || y === null || y === undefined) return;
        const index = line.index.get(x);
        const rest = line.high ? ` to ${digits(line.high[index])}` : line.notes ? ` ${line.notes[index]}` : "";
        rows.push({y, text: digits(y) + rest, color: line.color, name: line.name});
      });
      return rows;
    }

    /** Mark an x and show its values; at: where the mouse is, in pixels of the window. */
    function mark(x, at = null) {
      current = x;
      const rows = values(x);
      const across = place(chart.x, left, right, x);
      layer.replaceChildren(shape("line", {x1: across, x2: across, y1: top, y2: bottom}));
      for (const row of rows) {
        const y = place(chart.y, bottom, top, row.y);
        layer.append(shape("circle", {cx: across, cy: y, r: 3, fill: row.color}));
      }
      const rectangle = svg.getBoundingClientRect();
      const scale = rectangle.width / svg.viewBox.baseVal.width;
      const title = `${chart.x.label} ${format(chart, x)}`.trim();
      const thinned = chart.lines.some((line) => line.of);
      const middle = rectangle.top + scale * (top + bottom) / 2;
      show(thinned ? `${title} (some points left out)` : title, rows,
        rectangle.left + scale * across, at ?? middle);
    }

    /** The steps that a visible line has. */
    const visible = () => steps.filter((x) => values(x).length);

    /** Mark the x nearest to the mouse, the pen or the finger. */
    function follow(event) {
      const rectangle = svg.getBoundingClientRect();
      const x = (event.clientX - rectangle.left) * svg.viewBox.baseVal.width / rectangle.width;
      const shown = visible();
      const places = shown.map((step) => place(chart.x, left, right, step));
      if (places.length) mark(shown[nearest(places, x)], event.clientY);
    }

    svg.addEventListener("pointermove", follow);
    svg.addEventListener("pointerdown", follow);
    svg.addEventListener("pointerleave", () => hide(layer));
    svg.addEventListener("blur", () => hide(layer));
    svg.addEventListener("keydown", (event) => {
      const places = visible();
      if (event.target !== svg || !places.length) return;
      const index = current === null ? -1 : places.indexOf(current);
      const last = places.length - 1;
      const next = {
        ArrowRight: Math.min(last, index + 1), ArrowLeft: Math.max(0, index - 1), Home: 0, End: last,
      }[event.key];
      if (event.key === "Escape") hide(layer);
      if (next === undefined) return;
      event.preventDefault();
      mark(places[next]);
    });
    const attached = {chart, hidden, current: () => current};
    charts.set(svg, attached);
    return attached;
  }

  /** Let the entries of a chart's legend hide and show the lines of that name, in all charts of the page. */
  function legend(svg, chart) {
    for (const entry of svg.querySelectorAll("[data-legend]")) {
      const name = chart.lines[Number(entry.dataset.legend)]?.name;
      if (name === undefined) continue;
      entry.setAttribute("tabindex", "0");
      entry.setAttribute("role", "button");
      entry.setAttribute("aria-pressed", "true");
      entry.setAttribute("aria-label", `show ${name}`);
      entry.addEventListener("click", () => toggle(name));
      entry.addEventListener("keydown", (event) => {
        if (event.key !== "Enter" && event.key !== " ") return;
        event.preventDefault();
        toggle(name);
      });
    }
  }

  /** Hide or show the lines of a name. */
  function toggle(name) {
    for (const [svg, {chart, hidden}] of charts) {
      chart.lines.forEach((line, i) => {
        if (line.name !== name) return;
        if (!hidden.delete(i)) hidden.add(i);
        for (const element of svg.querySelectorAll(`[data-line="${i}"], [data-legend="${i}"]`)) {
          element.classList.toggle("off", hidden.has(i));
        }
        svg.querySelector(`[data-legend="${i}"]`)?.setAttribute("aria-pressed", String(!hidden.has(i)));
      });
    }
  }

  for (const svg of document.querySelectorAll("svg[data-chart]")) {
    const chart = JSON.parse(svg.dataset.chart);
    if (!chart.lines.length) continue;
    attach(svg, chart);
    legend(svg, chart);
  }
  return {attach, shape, place, nearest};
})();
