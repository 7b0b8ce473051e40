/**
 * A threshold that moves: right and wrong decisions, precision, recall and F1 at each, beside the curve of precision and
 * recall. `nnzoo.data.thresholds` is written by nnzoo/report/thresholds.py.
 */
nnzoo.threshold = (() => {
  const data = nnzoo.data.thresholds;
  const panel = document.getElementById("threshold");
  if (!data?.labels || panel === null) return {};
  const {attach, shape, place} = nnzoo.hover;
  const NAMES = {val: "validation rows", test: "test rows", train: "training rows"};
  const COLORS = data.splits.map((split) => split === "test" ? "var(--c1)" : "var(--c2)");
  const BOX = [44, 12, 316, 206];

  /** How many of some descending thresholds are at least a value. */
  function countAbove(thresholds, value) {
    let [low, high] = [0, thresholds.length];
    while (low < high) {
      const middle = (low + high) >> 1;
      if (thresholds[middle] >= value) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  /** Counts and ratios when the rows of the `k` highest thresholds are predicted; a ratio of nothing is 0. */
  function measure(part, k) {
    const [tp, fp] = [part.tpSums[k], part.fpSums[k]];
    const fn = part.positives - tp;
    const tn = part.n - tp - fp - fn;
    const ratio = (a, b) => b ? a / b : 0;
    return {
      TP: tp, FP: fp, FN: fn, TN: tn,
      precision: ratio(tp, tp + fp), recall: ratio(tp, tp + fn), F1: ratio(2 * tp, 2 * tp + fp + fn),
    };
  }

  /** Add up the counts of a label, once: `tpSums` and `fpSums`, the rows that the k highest thresholds predict. */
  function prepare(label) {
    for (const part of label.splits) {
      part.thresholds ??= label.grid;
      if (part.tpSums) continue;
      let [tp, fp] = [0, 0];
      part.tpSums = [0, ...part.tp.map((added) => tp += added)];
      part.fpSums = [0, ...part.fp.map((added) => fp += added)];
    }
    return label;
  }

  /**
   * The curve of precision and recall: all its points, and for each recall the one of highest precision.
   * @returns {{path: number[][], x: number[], y: number[], thresholds: number[]}}
   */
  function curve(part) {
    const best = new Map();
    const path = [];
    part.thresholds.forEach((threshold, i) => {
      const {TP, FP, recall, precision} = measure(part, i + 1);
      if (!(TP + FP)) return;
      path.push([recall, precision]);
      if ((best.get(recall)?.precision ?? -1) < precision) best.set(recall, {precision, threshold});
    });
    const x = [...best.keys()].sort((a, b) => a - b);
    const highest = x.map((recall) => best.get(recall));
    return {path, x, y: highest.map((each) => each.precision), thresholds: highest.map((each) => each.threshold)};
  }

  const state = {label: data.labels[data.first], value: 0.5};
  const choice = nnzoo.element("select", {"aria-label": data.several ? "label" : "class"});
  data.labels.forEach((label, i) => choice.append(nnzoo.element("option", {value: i}, label.label)));
  choice.value = String(data.first);
  const slider = nnzoo.element("input", {
    type: "range", min: "0", max: "1", step: "0.001", "aria-label": "threshold", id: "threshold-slider",
    list: "threshold-marks",
  });
  const field = nnzoo.element("input", {
    type: "number", min: "0", max: "1", step: "any", "aria-label": "threshold as a number", id: "threshold-value",
  });
  const marks = nnzoo.element("span", {});
  const ticks = nnzoo.element("datalist", {id: "threshold-marks"});
  const body = nnzoo.element("tbody", {});
  const headers = data.splits.map((split, i) =>
    nnzoo.element("th", {class: "n", scope: "col", style: `color: ${COLORS[i]}`}, NAMES[split] ?? split));
  const head = nnzoo.element("thead", {}, nnzoo.element("tr", {}, nnzoo.element("td", {}), ...headers));
  const numbers = nnzoo.element("table", {id: "threshold-table", "aria-live": "polite"}, head, body);
  const note = nnzoo.element("p", {class: "soft"});
  const chart = nnzoo.element("figure", {}, nnzoo.element("figcaption", {}, "Precision and recall"));
  let chosen = [];

  /** Axes with grid lines and labels at 0, 0.25, … 1. */
  function axes() {
    const [left, top, right, bottom] = BOX;
    const svg = shape("svg", {viewBox: "0 0 331 240", class: "curve", "aria-label": "Precision by recall"});
    for (const tick of [0, 0.25, 0.5, 0.75, 1]) {
      const [x, y] = [left + tick * (right - left), bottom - tick * (bottom - top)];
      svg.append(
        shape("line", {x1: x, x2: x, y1: top, y2: bottom}), shape("line", {x1: left, x2: right, y1: y, y2: y}),
      );
      const below = shape("text", {x, y: bottom + 12, "text-anchor": "middle"});
      const beside = shape("text", {x: left - 5, y: y + 3, "text-anchor": "end"});
      below.textContent = beside.textContent = String(tick);
      svg.append(below, beside);
    }
    const recall = shape("text", {x: (left + right) / 2, y: bottom + 27, "text-anchor": "middle"});
    const precision = shape("text", {x: 0, y: 0, "text-anchor": "middle", transform: `translate(11 ${(top + bottom) / 2}) rotate(-90)`});
    [recall.textContent, precision.textContent] = ["recall", "precision"];
    svg.append(recall, precision);
    return svg;
  }

  /** Draw the curves of the chosen label. */
  function draw() {
    const [left, top, right, bottom] = BOX;
    const axis = {label: "recall", limits: [0, 1], log: false};
    const svg = axes();
    const lines = [];
    state.label.splits.forEach((part, i) => {
      const {path, x, y, thresholds} = curve(part);
      const points = path.map(([recall, precision]) => {
        const [across, up] = [place(axis, left, right, recall), place(axis, bottom, top, precision)];
        return `${across.toFixed(2)},${up.toFixed(2)}`;
      });
      svg.append(shape("polyline", {points: [...new Set(points)].join(" "), fill: "none", stroke: COLORS[i], "stroke-width": 1.6}));
      const notes = thresholds.map((threshold) => `at threshold ${nnzoo.number(threshold)}`);
      if (x.length) lines.push({name: `precision, ${NAMES[data.splits[i]]}`, color: COLORS[i], x, y, notes, thresholds});
    });
    state.label.splits.forEach((part, i) => state.label.marks.forEach(({name, value}) => {
      const {TP, FP, recall, precision} = measure(part, countAbove(part.thresholds, value));
      if (!(TP + FP)) return;
      const [x, y] = [place(axis, left, right, recall), place(axis, bottom, top, precision)];
      const title = shape("title");
      title.textContent = name;
      const mark = shape("circle", {cx: x, cy: y, r: 4, stroke: COLORS[i], class: "mark"});
      mark.append(title);
      svg.append(mark);
    }));
    chosen = state.label.splits.map((_, i) => shape("circle", {r: 5, fill: COLORS[i], class: "chosen"}));
    svg.append(...chosen);
    chart.replaceChildren(chart.firstChild, svg);
    if (!lines.length) return;
    const {current} = attach(svg, {box: BOX, x: axis, y: {label: "precision", limits: [0, 1], log: false}, lines});
    const choose = () => {
      const x = current();
      const line = lines.find((each) => each.index.has(x));
      if (line) move(line.thresholds[line.index.get(x)]);
    };
    svg.addEventListener("click", choose);
    svg.addEventListener("keydown", (event) => { if (event.key === "Enter") choose(); });
  }

  /** Show the numbers at the threshold. */
  function update() {
    const columns = state.label.splits.map((part) => measure(part, countAbove(part.thresholds, state.value)));
    const rows = Object.keys(columns[0]).map((name) => nnzoo.element("tr", {},
      nnzoo.element("th", {scope: "row"}, name),
      ...columns.map((column) => nnzoo.element("td", {class: "n"},
        Number.isInteger(column[name]) && name === name.toUpperCase() && name !== "F1"
          ? String(column[name]) : column[name].toFixed(4)))));
    body.replaceChildren(...rows);
    const [left, top, right, bottom] = BOX;
    columns.forEach(({precision, recall, TP, FP}, i) => {
      chosen[i].setAttribute("cx", left + recall * (right - left));
      chosen[i].setAttribute("cy", bottom - precision * (bottom - top));
      chosen[i].style.display = TP + FP ? "" : "none";
    });
    slider.value = String(state.value);
    if (document.activeElement !== field) field.value = String(state.value);
  }

  /** Move the threshold; of very many rows to the nearest one whose counts are known. */
  function move(value) {
    if (!Number.isFinite(value)) return;
    const {grid} = state.label;
    state.value = grid ? grid.reduce((best, each) => Math.abs(each - value) < Math.abs(best - value) ? each : best)
      : Math.min(1, Math.max(0, value));
    update();
  }

  /** Choose a class or label. */
  function choose(label) {
    state.label = prepare(label);
    marks.replaceChildren(...label.marks.map(({name, value}) => {
      const text = name === String(value) ? name : `${name}: ${nnzoo.number(value)}`;
      const button = nnzoo.element("button", {type: "button"}, text);
      button.addEventListener("click", () => move(value));
      return button;
    }));
    ticks.replaceChildren(...label.marks.map(({value}) => nnzoo.element("option", {value: String(value)})));
    draw();
    move(label.marks.at(-1).value);
  }

  /** Sentences on what the numbers are, and what they are not for. */
  function notes() {
    const grid = state.label.grid;
    const known = grid ? `Counts are exact, at ${grid.length} thresholds.` : "Counts are exact, at every threshold.";
    const has = (split) => data.splits.includes(split);
    const advice = !has("test") ? has("train") ? "These rows trained the network: new rows will do worse." : ""
      : has("val") ? "Choose a threshold by the validation rows, then read its quality from the test rows; "
        + "one chosen on test rows looks better than it is."
        : "There are no validation rows to choose by: a threshold chosen on these test rows looks better than it is.";
    const rest = data.several || data.labels.length <= 2 ? ""
      : "One class against all others: the most probable class, as in the matrix, is another rule.";
    const left = data.labels.length < data.num_labels
      ? `The ${data.labels.length} most frequent of ${data.num_labels} ${data.several ? "labels" : "classes"}.` : "";
    const weighted = data.weighted ? "Each row counts once, whatever its weight." : "";
    note.textContent = [advice, known, rest, left, weighted].filter(Boolean).join(" ");
  }

  choice.addEventListener("change", () => choose(data.labels[Number(choice.value)]));
  slider.addEventListener("input", () => move(Number(slider.value)));
  field.addEventListener("input", () => { if (field.value !== "") move(Number(field.value)); });
  field.addEventListener("blur", update);
  const noun = data.several ? "label" : "class";
  panel.append(
    nnzoo.element("h3", {}, "Threshold"),
    nnzoo.element("p", {class: "soft"}, `The ${noun} is predicted where its probability is at least the threshold. `
      + "Rings on the curve are the thresholds of the buttons."),
    nnzoo.element("div", {class: "tool threshold"}, choice, slider, field, marks, ticks),
    nnzoo.element("div", {class: "grid"}, nnzoo.element("div", {}, numbers, note), chart),
  );
  choose(state.label);
  notes();
  return {move};
})();
