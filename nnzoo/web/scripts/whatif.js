"use strict";
/** What-if: the prediction of the network for values that the reader chooses, from a row of the data on. */
nnzoo.whatIf = (() => {
  const {data, program, inputs, outputs, chooser, draw, curves, outline, showPrediction} = nnzoo.explore;
  const root = document.getElementById("what-if");
  if (!root) return null;

  // Places along a side of the decision map: as many as are computed in about a fifth of a second.
  const MAP = Math.max(16, Math.min(64, Math.floor(Math.sqrt(6e7 / data.program.parameters))));
  const POINTS = 41;
  const predictionOf = (values) => nnzoo.network.prediction(program, {shape: [values.length], values});
  const fields = [];
  let row, before, active = data.columns.findIndex((column) => !column.categories);

  /** The controls of a column of numbers: a slider over the range of training rows, a field for any number. */
  function numberField(column, i) {
    const {name, low, high, whole} = column;
    const step = whole ? 1 : (high - low) / 200 || 1;
    const limits = {min: String(low), max: String(high), step: String(step)};
    const slider = nnzoo.element("input", {type: "range", ...limits, "aria-label": name});
    const field = nnzoo.element("input", {type: "number", step: "any", "aria-label": `${name}, as a number`});
    const missing = nnzoo.element("input", {type: "checkbox", "aria-label": `${name} is missing`});
    slider.addEventListener("input", () => set(i, Number(slider.value)));
    field.addEventListener("input", () => set(i, field.value === "" ? NaN : Number(field.value), field));
    missing.addEventListener("change", () => set(i, missing.checked ? NaN : Number(slider.value)));
    fields[i] = (value, source) => {
      missing.checked = Number.isNaN(value);
      if (!missing.checked) slider.value = String(value);
      slider.disabled = missing.checked;
      if (source !== field) field.value = missing.checked ? "" : String(Number(value.toPrecision(6)));
    };
    const controls = [slider, field, nnzoo.element("label", {class: "soft"}, missing, " missing")];
    return controls;
  }

  function categoryField(column, i) {
    const options = ["(missing or unknown)", ...column.categories];
    const select = nnzoo.element("select", {"aria-label": column.name},
      ...options.map((text, code) => nnzoo.element("option", {value: String(code - 1)}, text)));
    select.addEventListener("change", () => set(i, Number(select.value)));
    fields[i] = (value) => { select.value = String(value); };
    return [select];
  }

  /** Change one value, and show the prediction. source: the control that is being typed in. */
  function set(i, value, source) {
    row[i] = value;
    if (!data.columns[i].categories) active = i;
    fields[i](value, source);
    update();
  }

  const prediction = nnzoo.element("div", {class: "result", "aria-live": "polite"});
  const picture = nnzoo.element("div", {class: "picture"});

  const response = nnzoo.element("div", {class: "response"});

  /** Draw the prediction over the range of the column that was changed last, with the others as they are. */
  function showResponse() {
    if (active < 0) return;
    const {name, low, high} = data.columns[active];
    const values = Array.from({length: POINTS}, (_, i) => {
      const changed = Float64Array.from(row);
      changed[active] = low + (i / (POINTS - 1)) * (high - low);
      return predictionOf(changed);
    });
    const shown = data.names.slice(0, 8), box = nnzoo.element("div", {class: "box"});
    const at = (row[active] - low) / (high - low);
    if (at >= 0 && at <= 1) outline(box, (at * (POINTS - 1)) / POINTS, 0, 1 / POINTS, 1);
    else box.hidden = true;
    const lines = shown.map((_, k) => values.map((each) => each[k]));
    const range = nnzoo.explore.range(lines.flat(), 0, lines.flat().length);
    const limits = data.probabilities ? [0, 1] : range;
    response.replaceChildren(nnzoo.element("p", {class: "soft"}, `${data.probabilities ? "Probabilities" : "Prediction"} from ${nnzoo.number(limits[0])} to ` +
      `${nnzoo.number(limits[1])} as ${name} goes from ${nnzoo.number(low)} to ${nnzoo.number(high)}, the other columns unchanged:`),
      nnzoo.element("div", {class: "framed curve"}, curves(lines, limits), box), ...(shown.length > 1 ? [keys(shown)] : []));
  }

  /** Names beside the colors of their curves. */
  function keys(names) {
    return nnzoo.element("p", {class: "keys"}, ...names.map((name, i) => {
      const key = nnzoo.element("span", {}, name);
      key.style.setProperty("--tone", `var(--c${i + 1})`);
      return key;
    }));
  }

  function update() {
    showPrediction(prediction, predictionOf(row), before, 12);
    showResponse();
    if (map) map.mark();
  }

  function startFrom(sample) {
    before = outputs(sample).at(-1).values;
    row = Float64Array.from(inputs[sample].values);
    row.forEach((value, i) => fields[i](value));
    update();
  }

  /** The predictions over the plane of two columns of numbers: a click takes the values there. */
  function decisionMap() {
    const [x, y] = data.columns;
    const canvas = nnzoo.element("canvas", {"aria-hidden": "true"}), dot = nnzoo.element("div", {class: "dot"});
    const button = nnzoo.element("button", {type: "button", class: "map",
      "aria-label": `Predictions by ${x.name} and ${y.name}; arrow keys move the point`}, canvas, dot);
    const widen = ({low, high}) => [low - (0.08 * (high - low) || 0.5), high + (0.08 * (high - low) || 0.5)];
    const [[left, right], [bottom, top]] = [widen(x), widen(y)];
    const at = (across, down) => [left + across * (right - left), top - down * (top - bottom)];
    const values = Array.from({length: MAP * MAP}, (_, i) => predictionOf(Float64Array.from(at(((i % MAP) + 0.5) / MAP, (Math.floor(i / MAP) + 0.5) / MAP))));
    const style = getComputedStyle(document.documentElement);
    const rgb = (name) => style.getPropertyValue(name).trim().match(/\w\w/g).map((hex) => parseInt(hex, 16));
    const paper = rgb("--paper"), colors = [1, 2, 3, 4, 5, 6, 7, 8].map((n) => rgb(`--c${n}`));
    const mix = (a, b, share) => a.map((value, c) => value + share * (b[c] - value));
    if (data.probabilities) {
      draw(canvas, MAP, MAP, (i) => {
        const p = values[i], best = p.indexOf(Math.max(...p)), least = data.exclusive ? 1 / p.length : 0;
        return mix(paper, colors[best % 8], 0.15 + (0.75 * (p[best] - least)) / (1 - least));
      });
    } else {
      const [low, high] = nnzoo.explore.range(values.map((value) => value[0]), 0, values.length);
      draw(canvas, MAP, MAP, (i) => mix(paper, colors[0], high > low ? (values[i][0] - low) / (high - low) : 0.5));
    }
    const move = (across, down) => {
      [row[0], row[1]] = at(Math.min(1, Math.max(0, across)), Math.min(1, Math.max(0, down)));
      fields[0](row[0]);
      fields[1](row[1]);
      update();
    };
    const place = () => [(row[0] - left) / (right - left), (top - row[1]) / (top - bottom)];
    button.addEventListener("click", (event) => {
      const box = canvas.getBoundingClientRect();
      if (event.detail) move((event.clientX - box.left) / box.width, (event.clientY - box.top) / box.height);
    });
    button.addEventListener("keydown", (event) => {
      const by = {ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1]}[event.key];
      if (!by) return;
      event.preventDefault();
      const [across, down] = place();
      move(across + by[0] / MAP, down + by[1] / MAP);
    });
    picture.append(button, nnzoo.element("p", {class: "soft"},
      `${x.name} from ${nnzoo.number(left)} to ${nnzoo.number(right)} across, ${y.name} from ${nnzoo.number(bottom)} to ` +
      `${nnzoo.number(top)} upwards; ${data.probabilities ? "the color is the most probable, the fainter the less probable" : `the darker the color, the larger ${data.names[0]}`}. ` +
      "Click a place, or move the point with the arrow keys."));
    if (data.probabilities) {
      picture.append(keys(data.names.slice(0, 8)));
    }
    return {mark() {
      const [across, down] = place();
      dot.hidden = !(across >= 0 && across <= 1 && down >= 0 && down <= 1);
      Object.assign(dot.style, {left: `${100 * across}%`, top: `${100 * down}%`});
    }};
  }

  const rows = data.columns.map((column, i) => {
    const controls = column.categories ? categoryField(column, i) : numberField(column, i);
    return [column.name, nnzoo.element("td", {}, nnzoo.element("div", {class: "controls"}, ...controls))];
  });
  let map = null;
  root.append(chooser("Start from", data.titles, startFrom),
    nnzoo.element("div", {class: "columns inputs-wide"}, nnzoo.element("div", {}, nnzoo.element("div", {class: "inputs wide"}, nnzoo.explore.table(rows)), picture), nnzoo.element("div", {}, prediction, response)));
  startFrom(0);
  if (data.columns.length === 2 && data.columns.every((column) => !column.categories)) {
    map = decisionMap();
    map.mark();
  }
  return {set};
})();
