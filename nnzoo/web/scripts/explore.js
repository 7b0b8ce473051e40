"use strict";
/** The network of the page, computed here and compared with PyTorch's predictions, and parts that its widgets share. */
nnzoo.explore = (() => {
  const data = nnzoo.data.network;
  const {program, inputs, predictions} = {
    program: nnzoo.forward.decodeProgram(data.program),
    inputs: data.inputs.map(nnzoo.array),
    predictions: data.predictions.map(nnzoo.array),
  };
  const TOLERANCE = 1e-3;
  const computed = new Map();

  /**
   * Compute every layer for one of the shown inputs, and compare the prediction with PyTorch's. If they differ, no number is
   * shown: every widget becomes a message.
   * @param {number} sample
   * @returns {Object[]} the output of each layer
   */
  function outputs(sample) {
    if (!computed.has(sample)) {
      const all = nnzoo.network.run(program, inputs[sample]);
      const off = nnzoo.network.maxDifference(all.at(-1).values, predictions[sample].values, data.units);
      if (off > TOLERANCE) refuse(off);
      computed.set(sample, all);
    }
    return computed.get(sample);
  }

  function refuse(off) {
    const text = `This page computes another prediction than PyTorch did (they differ by ${nnzoo.number(off)}), so it shows no ` +
      "numbers of the network. Another browser may compute it right; please report this to nnzoo.";
    for (const widget of document.querySelectorAll(".explore")) {
      widget.replaceChildren(nnzoo.element("p", {class: "remark"}, text));
    }
    throw new Error(text);
  }

  /** A labelled choice; change is called with the place of what is chosen. */
  function chooser(label, options, change, chosen = 0) {
    const select = nnzoo.element("select", {}, ...options.map((text, i) => nnzoo.element("option", {value: String(i)}, text)));
    select.value = String(chosen);
    select.addEventListener("change", () => change(Number(select.value)));
    return nnzoo.element("label", {class: "choice"}, nnzoo.element("span", {}, label), select);
  }

  /** Draw values (height, width) from a place on in gray, the smallest black, the largest white. */
  function gray(canvas, values, height, width, start = 0, [low, high] = range(values, start, height * width)) {
    draw(canvas, height, width, (i) => {
      const level = high > low ? (255 * (values[start + i] - low)) / (high - low) : 128;
      return [level, level, level];
    });
  }

  function range(values, start, count) {
    let low = Infinity, high = -Infinity;
    for (let i = start; i < start + count; i++) {
      if (values[i] < low) low = values[i];
      if (values[i] > high) high = values[i];
    }
    return [low, high];
  }

  /** Draw pixels; color gives red, green and blue of 0 to 255 of each. */
  function draw(canvas, height, width, color) {
    canvas.width = width;
    canvas.height = height;
    const context = canvas.getContext("2d"), pixels = context.createImageData(width, height);
    for (let i = 0; i < width * height; i++) pixels.data.set([...color(i), 255], 4 * i);
    context.putImageData(pixels, 0, 0);
  }

  /** Draw a raw image in its colors. */
  function drawImage(canvas, sample) {
    const {shape: [channels, height, width], values} = inputs[sample];
    draw(canvas, height, width, (i) =>
      [0, 1, 2].map((c) => (255 * values[(channels === 3 ? c : 0) * height * width + i]) / data.levels));
  }

  /**
   * Draw lines as an SVG that fills its place, each in a color of its own; every step is as wide as every other.
   * @param {number[][]} lines
   * @param {?number[]} shared the lowest and the highest value, unless each line fills the height
   */
  function curves(lines, shared = null) {
    const make = (tag, attributes) => {
      const made = document.createElementNS("http://www.w3.org/2000/svg", tag);
      for (const [name, text] of Object.entries(attributes)) made.setAttribute(name, text);
      return made;
    };
    const picture = make("svg", {viewBox: "0 0 1000 100", preserveAspectRatio: "none", "aria-hidden": "true"});
    lines.forEach((line, f) => {
      const [low, high] = shared ?? range(line, 0, line.length);
      const height = (y) => (high > low ? 96 - (92 * (y - low)) / (high - low) : 50);
      const points = line.map((y, t) => `${(1000 * (t + 0.5)) / line.length},${height(y)}`).join(" ");
      picture.append(make("polyline", {points, fill: "none", stroke: `var(--c${f + 1})`, "stroke-width": "2", "vector-effect": "non-scaling-stroke"}));
    });
    return picture;
  }

  /** The columns of a sequence as curves, at most eight. */
  function inputCurves(sample) {
    const {shape: [count, features], values} = inputs[sample];
    return curves(Array.from({length: Math.min(8, features)}, (_, f) => Array.from({length: count}, (_, t) => values[t * features + f])));
  }

  /** The tokens of a text as elements, words with blanks between them so that lines break there. */
  function tokenElements(tag, attributes, sample) {
    const tokens = data.tokens[sample].map((token) => nnzoo.element(tag, {class: "token", ...attributes}, token === "\n" ? "↵\n" : token));
    const text = nnzoo.element("div", {class: "text card"});
    tokens.forEach((token) => text.append(token, ...(data.unit === "words" ? [" "] : [])));
    return {tokens, text};
  }

  /** Outline a part of a picture by a box over it; all four are fractions of its size. */
  function outline(box, left, top, width, height) {
    const percent = (x) => `${100 * x}%`;
    Object.assign(box.style, {left: percent(left), top: percent(top), width: percent(width), height: percent(height)});
    box.hidden = false;
  }

  /** A number of a table, with all its digits as its title; of what size and sign it is, its background shows. */
  function cell(value, largest = 0) {
    const td = nnzoo.element("td", {class: "n", title: String(value)}, nnzoo.number(value));
    if (largest > 0 && value !== 0) {
      td.classList.add(value > 0 ? "plus" : "minus");
      td.style.setProperty("--share", `${Math.round((60 * Math.min(1, Math.abs(value) / largest)))}%`);
    }
    return td;
  }

  /** A table of rows of cells; a cell is an element, or text of a header. */
  function table(rows, attributes = {}) {
    return nnzoo.element("table", attributes, ...rows.map((cells) => nnzoo.element("tr", {}, ...cells.map((content) =>
      (content instanceof HTMLTableCellElement ? content : nnzoo.element("th", {}, content))))));
  }

  const percent = (p) => `${(100 * p).toFixed(p > 0.0995 && p < 0.9995 ? 1 : 2)} %`;

  /**
   * Show a prediction: probabilities as bars, the largest first, or values.
   * @param {HTMLElement} target
   * @param {Float64Array} prediction
   * @param {?Float64Array} [before] of which differences are shown
   */
  function showPrediction(target, prediction, before = null, most = 5) {
    let order = data.names.map((_, i) => i);
    if (data.probabilities && data.names.length > most) {
      order = order.sort((a, b) => prediction[b] - prediction[a]).slice(0, most);
    }
    order = order.slice(0, 40);
    target.replaceChildren(table(order.map((i) => {
      const bar = nnzoo.element("td", {class: "bar"}), fill = nnzoo.element("div");
      if (data.probabilities) {
        fill.style.width = `${100 * prediction[i]}%`;
        bar.append(fill);
      }
      const text = data.probabilities ? percent(prediction[i]) : nnzoo.number(prediction[i]);
      const name = data.tokens ? {" ": "␣", "\n": "↵", "\t": "⇥"}[data.names[i]] ?? data.names[i] : data.names[i];
      const row = [name, bar, nnzoo.element("td", {class: "n", title: String(prediction[i])}, text)];
      if (before) {
        const change = prediction[i] - before[i], sign = change < 0 ? "−" : "+", size = Math.abs(change);
        const shown = data.probabilities ? percent(size) : nnzoo.number(size);
        row.push(nnzoo.element("td", {class: "n soft"}, change === 0 ? "" : `${sign}${shown}`));
      }
      return row;
    }), {class: "prediction"}));
  }

  return {data, program, inputs, outputs, chooser, gray, draw, drawImage, curves, inputCurves, tokenElements, outline, cell, table, showPrediction, percent, range};
})();
