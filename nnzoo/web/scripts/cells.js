/**
 * The rows behind a number: those of a cell of the confusion matrix, of a decision on a label, of a bar of residuals, of a
 * point of predicted against actual values. `nnzoo.data.cells` is written by nnzoo/report/examples.py.
 */
nnzoo.cells = (() => {
  const data = nnzoo.data.cells;
  const panel = document.getElementById("cell");
  if (!data?.rows || panel === null) return {};
  const {shape, place, nearest} = nnzoo.hover;
  const DECISIONS = {tp: "true positives", fp: "false positives", fn: "false negatives", tn: "true negatives"};
  /** The most rows of a cell that are shown, and the most confusions that are listed. */
  const [MOST, MOST_LISTED] = [12, 300];
  let pressed = null;

  /** A small drawing of a series: {curve: channels of values, steps}. */
  function curve(row) {
    const [width, height, margin] = [130, 64, 3];
    const numbers = row.curve.flat().filter((value) => value !== null);
    const [low, high] = [Math.min(...numbers), Math.max(...numbers)];
    const label = `curve of ${row.steps} time steps, from ${nnzoo.number(low)} to ${nnzoo.number(high)}`;
    const svg = shape("svg", {viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": label});
    row.curve.forEach((channel, i) => {
      const points = channel.map((value, step) => {
        const x = margin + step / Math.max(1, channel.length - 1) * (width - 2 * margin);
        const y = height - margin - (value - low) / (high - low || 1) * (height - 2 * margin);
        return value === null ? "" : `${x.toFixed(1)},${y.toFixed(1)}`;
      });
      svg.append(shape("polyline", {
        points: points.join(" ").trim(), fill: "none", stroke: `var(--c${i % 8 + 1})`, "stroke-width": 1.2,
      }));
    });
    const range = nnzoo.element("div", {class: "soft"}, `${nnzoo.number(low)} to ${nnzoo.number(high)}, ${row.steps} steps`);
    return [svg, range];
  }

  /** The input of a row as elements: a picture, a curve, a text, or columns. */
  function input(row) {
    if (row.image?.startsWith("data:image/")) {
      return [nnzoo.element("img", {src: row.image, alt: row.name})];
    }
    if (row.curve) return curve(row);
    if (row.text !== undefined) return [nnzoo.element("div", {class: "text"}, row.text)];
    const lines = (row.values ?? []).map((value, i) => nnzoo.element("div", {}, `${data.columns[i]}: ${value}`));
    if (data.more_columns) lines.push(nnzoo.element("div", {class: "soft"}, `and ${data.more_columns} more columns`));
    return [nnzoo.element("div", {class: "columns"}, ...lines)];
  }

  /** A card with a row's input, prediction, truth and name. */
  function card(number, probability, about) {
    const row = data.rows[number];
    const wrong = data.kind === "classes" && row.predicted !== row.actual;
    const predicted = nnzoo.element("span", wrong ? {class: "wrong"} : {}, row.predicted);
    const lines = [nnzoo.element("div", {}, "predicted: ", predicted)];
    if (row.confidence !== undefined) {
      const percent = `${(100 * row.confidence).toFixed(2)} %`;
      lines[0].append(" ", nnzoo.element("span", {class: "nowrap"}, percent));
    }
    lines.push(nnzoo.element("div", {}, `actual: ${row.actual} `, nnzoo.element("span", {class: "soft"}, row.name)));
    if (probability !== undefined) lines.push(nnzoo.element("div", {}, `${about}: ${nnzoo.number(probability)}`));
    const content = input(row);
    const isPicture = ["IMG", "svg"].includes(content[0].tagName);
    const parts = isPicture ? [...content, ...lines] : [...lines, ...content];
    return nnzoo.element("div", {class: "card", "data-row": number}, ...parts);
  }

  /** Show rows below a title. */
  function show(title, note, rows, probabilities = [], about = "") {
    const close = nnzoo.element("button", {type: "button"}, "Close");
    close.addEventListener("click", hide);
    const isText = rows.some((number) => data.rows[number].text !== undefined);
    const cards = rows.map((number, i) => card(number, probabilities[i], about));
    panel.replaceChildren(
      nnzoo.element("h3", {role: "status"}, title),
      nnzoo.element("div", {class: "tool"}, close),
      nnzoo.element("p", {class: "soft"}, note),
      nnzoo.element("div", {class: isText ? "mistakes texts" : "mistakes"}, ...cards),
    );
    panel.hidden = false;
    panel.firstChild.scrollIntoView({block: "nearest"});
  }

  /** Empty the panel, and give the focus back. */
  function hide() {
    panel.hidden = true;
    panel.replaceChildren();
    pressed?.focus();
    mark(null);
  }

  /** Mark the element whose rows are shown. */
  function mark(element) {
    pressed?.setAttribute("aria-pressed", "false");
    pressed = element;
    pressed?.setAttribute("aria-pressed", "true");
  }

  /** How many rows of a cell are shown: "57 rows" or "12 of 57 rows". */
  function count(cell) {
    const noun = cell.count === 1 ? "row" : "rows";
    return cell.rows.length < cell.count ? `${cell.rows.length} of ${cell.count} ${noun}` : `${cell.count} ${noun}`;
  }

  /** The rows of a cell: {count, rows}; those of "class,fp" and its like are in several cells of the matrix. */
  function find(key, element) {
    const [first, second] = key.split(",");
    if (data.kind !== "classes" || !(second in DECISIONS)) return data.cells[key];
    const keys = Object.keys(data.cells).filter((cell) => {
      const [actual, predicted] = cell.split(",").map((part) => part === first);
      return {tp: actual && predicted, fp: predicted && !actual, fn: actual && !predicted}[second];
    });
    const members = keys.flatMap((cell) => data.cells[cell].rows);
    const direction = second === "tp" ? 1 : -1;
    members.sort((a, b) => direction * (data.rows[a].confidence - data.rows[b].confidence));
    return {count: Number(element.textContent), rows: members.slice(0, MOST)};
  }

  /** What a cell is, in words: {title, order}. */
  function describe(key) {
    const [first, second] = key.split(",");
    if (data.kind === "classes" && second in DECISIONS) {
      const order = second === "tp" ? "The least confident first." : "The most confident first.";
      return {title: `${DECISIONS[second]} of ${data.labels[first]}`, order};
    }
    if (data.kind === "labels") {
      const isWrong = second.startsWith("f");
      return {
        title: `${DECISIONS[second]} of ${data.labels[first]}`,
        order: isWrong ? "The largest errors first." : "Those nearest to the threshold first.",
      };
    }
    const [actual, predicted] = [data.labels[first], data.labels[second]];
    return first === second
      ? {title: `actual ${actual}, predicted correctly`, order: "The least confident first."}
      : {title: `actual ${actual}, predicted as ${predicted}`, order: "The most confident first."};
  }

  /** Show the rows of a cell. */
  function open(key, element) {
    const cell = find(key, element);
    const {title, order} = describe(key);
    const about = data.kind === "labels" ? `probability of ${data.labels[key.split(",")[0]]}` : "";
    const cut = cell.rows.length < cell.count ? " The others are left out, to keep this page small." : "";
    show(`${title}: ${count(cell)}`, `${order}${cut}`, cell.rows, cell.probabilities, about);
    mark(element);
  }

  /** Make an element a button that shows its cell. */
  function button(element) {
    const key = element.dataset.cell;
    const cell = data.cells[key];
    if (!cell && !(key.split(",")[1] in DECISIONS)) return;
    element.setAttribute("role", "button");
    element.setAttribute("aria-pressed", "false");
    element.setAttribute("aria-label", `${element.textContent.trim()}: ${describe(key).title}; show the rows`);
    element.tabIndex = 0;
    element.addEventListener("click", () => open(key, element));
    element.addEventListener("keydown", (event) => {
      if (event.key === "Escape") hide();
      if (event.key !== "Enter" && event.key !== " ") return;
      event.preventDefault();
      open(key, element);
    });
  }

  /** Let arrow keys move between the cells of a table, of which one alone is reached by the tab key. */
  function arrows(table) {
    const cells = [...table.querySelectorAll("[role=button]")];
    const moves = {ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1]};
    cells.forEach((cell, i) => { cell.tabIndex = i ? -1 : 0; });
    table.addEventListener("keydown", (event) => {
      const [across, down] = moves[event.key] ?? [0, 0];
      let cell = event.target.closest("td");
      if (!cell || !(across || down)) return;
      event.preventDefault();
      do {
        cell = table.rows[cell.parentNode.rowIndex + down]?.cells[cell.cellIndex + across];
      } while (cell && cell.getAttribute("role") !== "button");
      if (!cell) return;
      for (const other of cells) other.tabIndex = other === cell ? 0 : -1;
      cell.focus();
    });
  }

  /** Let clicks and arrow keys choose one of some places of a chart. choose(i) marks and shows it. */
  function choosable(svg, find, length, choose) {
    let current = -1;
    svg.setAttribute("tabindex", "0");
    svg.setAttribute("role", "group");
    svg.classList.add("choosable");
    svg.addEventListener("click", (event) => {
      const rectangle = svg.getBoundingClientRect();
      const scale = svg.viewBox.baseVal.width / rectangle.width;
      current = find((event.clientX - rectangle.left) * scale, (event.clientY - rectangle.top) * scale);
      choose(current);
    });
    svg.addEventListener("keydown", (event) => {
      const next = {
        ArrowRight: Math.min(length - 1, current + 1), ArrowLeft: Math.max(0, current - 1), Home: 0, End: length - 1,
      }[event.key];
      if (event.key === "Escape") hide();
      if (next === undefined) return;
      event.preventDefault();
      current = next;
      choose(current);
    });
  }

  /** Points of predicted against actual values: the rows of this page, by their actual value. */
  function points(figure, svg, output) {
    const {box: [left, top, right, bottom], x, y} = JSON.parse(svg.dataset.chart);
    const rows = Object.keys(data.rows).sort((a, b) => data.rows[a].x[output] - data.rows[b].x[output]);
    const across = rows.map((number) => place(x, left, right, data.rows[number].x[output]));
    const up = rows.map((number) => place(y, bottom, top, data.rows[number].y[output]));
    const layer = shape("g", {class: "marks"});
    svg.append(layer);
    const find = (px, py) => nearest(across.map((value, i) => (value - px) ** 2 + (up[i] - py) ** 2), 0);
    choosable(svg, find, rows.length, (i) => {
      layer.replaceChildren(shape("circle", {cx: across[i], cy: up[i], r: 5, class: "ring"}));
      const part = rows.length < data.n ? `One of the ${rows.length} rows, of ${data.n}, that this page holds.` : "";
      show(`Row at actual ${data.rows[rows[i]].actual}`, part, [rows[i]]);
    });
    figure.append(nnzoo.element("p", {class: "soft needs-script"}, "Click a point to see its row."));
  }

  /** Bars of residuals: the rows of each. */
  function bars(figure, svg, output) {
    const {box: [left, top, right, bottom], x} = JSON.parse(svg.dataset.chart);
    const edges = data.edges[output];
    const layer = shape("g", {class: "marks"});
    svg.append(layer);
    const middles = edges.slice(1).map((edge, i) => place(x, left, right, (edge + edges[i]) / 2));
    choosable(svg, (px) => nearest(middles, px), middles.length, (i) => {
      const cell = data.cells[`${output},${i}`] ?? {count: 0, rows: []};
      const [from, to] = [edges[i], edges[i + 1]].map((edge) => place(x, left, right, edge));
      layer.replaceChildren(shape("rect", {x: from, y: top, width: to - from, height: bottom - top}));
      const range = `${nnzoo.number(edges[i])} to ${nnzoo.number(edges[i + 1])}`;
      show(`Predicted minus actual ${range}: ${count(cell)}`, "The largest errors first.", cell.rows);
    });
    figure.append(nnzoo.element("p", {class: "soft needs-script"}, "Click a bar to see its rows."));
  }

  /** List all confusions of classes that are too many for a matrix. */
  function confusions(place) {
    const wrong = Object.keys(data.cells).filter((key) => new Set(key.split(",")).size === 2);
    wrong.sort((a, b) => data.cells[b].count - data.cells[a].count);
    const table = nnzoo.element("table", {class: "sort"}, nnzoo.element("tr", {},
      ...["actual", "predicted", "rows"].map((name, i) => nnzoo.element("th", i === 2 ? {class: "n"} : {}, name))));
    for (const key of wrong.slice(0, MOST_LISTED)) {
      const names = key.split(",").map((part) => nnzoo.element("td", {}, data.labels[part]));
      const cell = nnzoo.element("td", {class: "n", "data-cell": key}, String(data.cells[key].count));
      table.append(nnzoo.element("tr", {}, ...names, cell));
    }
    const some = wrong.length > MOST_LISTED ? `the ${MOST_LISTED} most frequent of ` : "all ";
    const summary = nnzoo.element("summary", {}, `${some}${wrong.length} confusions`);
    place.append(nnzoo.element("details", {class: "needs-script"}, summary, nnzoo.element("div", {class: "listed"}, table)));
    nnzoo.tables.enhance(table);
  }

  panel.hidden = true;
  document.querySelectorAll("[data-confusions]").forEach(confusions);
  for (const element of document.querySelectorAll("[data-cell]")) button(element);
  for (const table of document.querySelectorAll("table.matrix")) arrows(table);
  for (const figure of document.querySelectorAll("[data-output]")) {
    const draw = {points, bars}[figure.dataset.rows];
    draw(figure, figure.querySelector("svg"), Number(figure.dataset.output));
  }
  return {open, hide};
})();
