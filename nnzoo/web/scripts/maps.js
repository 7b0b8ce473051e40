"use strict";
/** Feature maps of one input, and how a layer computes one place of them. */
nnzoo.maps = (() => {
  const {data, program, outputs, chooser, gray, drawImage, outline, showPrediction, inputCurves} = nnzoo.explore;
  const {explain, placeOf, flatIndex, placeName, field} = nnzoo.places;
  const root = document.getElementById("feature-maps");
  if (!root) return null;

  const HIDDEN = ["identity", "float32", "flatten", "transpose", "concat", "input"];
  const MOST_MAPS = 64;
  const layers = program.layers.map((layer, place) => ({layer, place})).filter(({layer}) => !HIDDEN.includes(layer.type));
  const first = Math.max(0, layers.findIndex(({layer}) => ["conv", "linear"].includes(layer.type)));
  const state = {sample: 0, layer: first, channel: 0, row: 0, column: 0};
  const output = () => outputs(state.sample)[layers[state.layer].place];

  /** The shape of an output as channels of (height, width): a sequence is one row high, a vector one place wide. */
  const asMaps = (shape) => (shape.length === 3 ? shape : shape.length === 2 ? [shape[0], 1, shape[1]] : [shape[0], 1, 1]);

  const input = nnzoo.element("div", {class: "shown-input"});
  const maps = nnzoo.element("div", {class: "maps"});
  const panel = nnzoo.element("div", {class: "result panel", "aria-live": "polite"});
  const prediction = nnzoo.element("div", {class: "result"});
  const caption = nnzoo.element("p", {class: "soft"});
  let marks = [], tokens = [], receptive;

  function showInput() {
    const isImage = nnzoo.explore.inputs[state.sample].shape.length === 3;
    const canvas = nnzoo.element("canvas", {"aria-hidden": "true"});
    receptive = nnzoo.element("div", {class: "box"});
    if (isImage) drawImage(canvas, state.sample);
    input.replaceChildren(data.tokens ? words() : nnzoo.element("div", {class: `framed ${isImage ? "image" : "curve"}`},
      isImage ? canvas : inputCurves(state.sample), receptive));
    showPrediction(prediction, outputs(state.sample).at(-1).values, null, 3);
    prediction.prepend(nnzoo.element("h4", {}, "Prediction"));
  }

  /** The tokens of a text, of which those in the receptive field are marked. */
  function words() {
    const made = nnzoo.explore.tokenElements("span", {}, state.sample);
    ({tokens} = made);
    return made.text;
  }

  /** A picture of maps that is clicked: rows of places, each with its channel. */
  function picture(name, className, drawIt, rows, columns, choose, isMarked) {
    const canvas = nnzoo.element("canvas", {"aria-hidden": "true"}), mark = nnzoo.element("div", {class: "mark", hidden: ""});
    const button = nnzoo.element("button", {type: "button", class: `framed ${className}`, title: name, "aria-label": `${name}; arrow keys move the place`}, canvas, mark);
    drawIt(canvas);
    button.addEventListener("click", (event) => {
      const box = canvas.getBoundingClientRect();
      const at = (size, from, start, length) => Math.min(size - 1, Math.max(0, Math.floor(((from - start) / length) * size)));
      if (event.detail) choose(at(rows, event.clientY, box.top, box.height), at(columns, event.clientX, box.left, box.width));
      else choose(...marks.find((each) => each.mark === mark).current());
    });
    button.addEventListener("keydown", (event) => {
      const by = {ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1]}[event.key];
      if (!by) return;
      event.preventDefault();
      const [row, column] = marks.find((each) => each.mark === mark).current();
      choose(Math.min(rows - 1, Math.max(0, row + by[0])), Math.min(columns - 1, Math.max(0, column + by[1])));
    });
    marks.push({mark, rows, columns, isMarked});
    return button;
  }

  function showMaps() {
    const {shape, values} = output(), [channels, height, width] = asMaps(shape);
    marks = [];
    const choose = (channel, row, column) => { Object.assign(state, {channel, row, column}); show(); };
    const add = (button, current) => { marks.at(-1).current = current; return button; };
    const made = [];
    if (height > 1) {
      const sum = new Float64Array(height * width);
      values.forEach((value, i) => { sum[i % sum.length] += value; });
      const place = () => [state.row, state.column];
      made.push(nnzoo.element("figure", {class: "sum"}, nnzoo.element("figcaption", {}, `Sum of ${channels} channels`),
        add(picture("Sum of all channels", "map sum", (canvas) => gray(canvas, sum, height, width), height, width,
          (row, column) => choose(state.channel, row, column), () => place()), place)));
      for (let c = 0; c < Math.min(channels, MOST_MAPS); c++) {
        made.push(add(picture(`Channel ${c}`, "map", (canvas) => gray(canvas, values, height, width, c * height * width), height, width,
          (row, column) => choose(c, row, column), () => (state.channel === c ? place() : null)), place));
      }
    } else if (width > 1) {
      const sum = new Float64Array(width);
      values.forEach((value, i) => { sum[i % width] += value; });
      const time = () => [0, state.column], both = () => [state.channel, state.column];
      made.push(nnzoo.element("figure", {class: "strip"}, nnzoo.element("figcaption", {}, `Sum of ${channels} channels over time`),
        add(picture("Sum of all channels", "strip one", (canvas) => gray(canvas, sum, 1, width), 1, width, (_, column) => choose(state.channel, 0, column), time), time)));
      made.push(nnzoo.element("figure", {class: "strip"}, nnzoo.element("figcaption", {}, "Channels, one row each"),
        add(picture("Channels over time", "strip", (canvas) => gray(canvas, values, channels, width), channels, width, (channel, column) => choose(channel, 0, column), both), both)));
    } else {
      const across = Math.ceil(Math.sqrt(channels * 4)), down = Math.ceil(channels / across);
      const padded = Float64Array.from({length: across * down}, (_, i) => values[i] ?? NaN);
      const range = nnzoo.explore.range(values, 0, channels);
      const place = () => [Math.floor(state.channel / across), state.channel % across];
      made.push(nnzoo.element("figure", {class: "strip"}, nnzoo.element("figcaption", {}, `${channels} units, row by row`),
        add(picture("Units", "units", (canvas) => gray(canvas, padded, down, across, 0, range), down, across,
          (row, column) => choose(Math.min(channels - 1, row * across + column), 0, 0), place), place)));
    }
    maps.replaceChildren(...made);
    caption.textContent = `${nnzoo.places.describe(layers[state.layer].layer, shape)}${channels > MOST_MAPS && height > 1 ? `; the first ${MOST_MAPS} of ${channels} channels` : ""}`;
  }

  function show() {
    for (const {mark, rows, columns, isMarked} of marks) {
      const at = isMarked();
      if (at) outline(mark, at[1] / columns, at[0] / rows, 1 / columns, 1 / rows);
      else mark.hidden = true;
    }
    const {place} = layers[state.layer], all = outputs(state.sample);
    const index = flatIndex(output().shape, state.channel, state.row, state.column);
    panel.replaceChildren(nnzoo.element("h4", {}, `${layers[state.layer].layer.name}, ${placeName(output().shape, index)}`), ...explain(program, all, place, index));
    const shape = all[0].shape, seen = field(program, all, place, placeOf(output().shape, index));
    if (shape.length === 3) outline(receptive, seen.left / shape[2], seen.top / shape[1], (seen.right - seen.left + 1) / shape[2], (seen.bottom - seen.top + 1) / shape[1]);
    else if (data.tokens) tokens.forEach((token, t) => token.setAttribute("aria-current", String(t >= seen.left && t <= seen.right)));
    else outline(receptive, seen.left / shape[0], 0, (seen.right - seen.left + 1) / shape[0], 1);
  }

  function open() {
    const [channels, height, width] = asMaps(output().shape);
    Object.assign(state, {channel: Math.min(state.channel, channels - 1), row: Math.min(state.row, height - 1), column: Math.min(state.column, width - 1)});
    showMaps();
    show();
  }

  root.append(
    nnzoo.element("div", {class: "choices"},
      chooser("Input", data.titles, (sample) => { state.sample = sample; showInput(); open(); }),
      chooser("Layer", layers.map(({layer}) => nnzoo.places.title(layer)), (layer) => { state.layer = layer; open(); }, first)),
    nnzoo.element("div", {class: "columns inputs-first"}, nnzoo.element("div", {}, input, prediction), nnzoo.element("div", {}, caption, maps)), panel);
  const [, height, width] = asMaps(output().shape);
  Object.assign(state, {row: Math.floor(height / 2), column: Math.floor(width / 2)});
  showInput();
  open();
  return {state, show};
})();
