"use strict";
/** Step a recurrent layer through time: gates and states of every unit as bars, and one unit in numbers. */
nnzoo.steps = (() => {
  const {data, program, inputs, outputs, chooser, drawImage, outline, showPrediction, table, cell, curves, inputCurves, tokenElements} = nnzoo.explore;
  const root = document.getElementById("time-steps");
  if (!root) return null;

  const NAMES = {input: "input gate", forget: "forget gate", candidate: "candidate", output: "output gate", cell: "cell",
    hidden: "hidden state", reset: "reset gate", update: "update gate"};
  const GATES = ["input", "forget", "output", "reset", "update"];
  const PAUSE = 350;
  const layers = program.layers.flatMap((layer, place) => (layer.type !== "recurrent" ? []
    : ["forward", ...(layer.bidirectional ? ["reverse"] : [])].map((direction) => ({layer, place, direction}))));
  const state = {sample: 0, layer: 0, step: 0, unit: 0, timer: null};

  const steps = () => states().hidden.shape[0];
  const states = () => outputs(state.sample)[layers[state.layer].place].gates[layers[state.layer].direction];
  const value = (gate, step, unit) => states()[gate].values[step * states()[gate].shape[1] + unit];

  // The controls.
  const slider = nnzoo.element("input", {type: "range", min: "0", "aria-label": "Time step"});
  const label = nnzoo.element("output", {class: "nowrap"});
  const button = (text, name, click) => {
    const made = nnzoo.element("button", {type: "button", "aria-label": name, title: name}, text);
    made.addEventListener("click", click);
    return made;
  };
  const play = button("▶", "Play", () => (state.timer ? stop() : start()));
  const move = (by) => { stop(); go(state.step + by); };
  slider.addEventListener("input", () => { stop(); go(Number(slider.value)); });

  function start() {
    if (state.step >= steps() - 1) go(0);
    state.timer = setInterval(() => (state.step < steps() - 1 ? go(state.step + 1) : stop()), PAUSE);
    play.textContent = "❚❚";
    play.title = "Pause";
    play.setAttribute("aria-label", "Pause");
  }

  function stop() {
    clearInterval(state.timer);
    state.timer = null;
    play.textContent = "▶";
    play.title = "Play";
    play.setAttribute("aria-label", "Play");
  }

  // The input with the step that is read.
  const shown = nnzoo.element("div", {class: "sequence"});
  let markInput = () => {};

  function showInput() {
    shown.replaceChildren();
    if (data.tokens) {
      const {tokens, text} = tokenElements("button", {type: "button"}, state.sample);
      tokens.forEach((token, t) => token.addEventListener("click", () => { stop(); go(t); }));
      shown.append(text);
      markInput = () => tokens.forEach((token, t) => token.setAttribute("aria-current", String(t === state.step)));
      return;
    }
    const isImage = inputs[state.sample].shape.length === 3;
    const canvas = nnzoo.element("canvas", {"aria-hidden": "true"}), box = nnzoo.element("div", {class: "box"});
    if (isImage) drawImage(canvas, state.sample);
    shown.append(nnzoo.element("div", {class: isImage ? "framed image" : "framed curve"}, isImage ? canvas : inputCurves(state.sample), box));
    markInput = () => (isImage ? outline(box, 0, state.step / steps(), 1, 1 / steps())
      : outline(box, state.step / steps(), 0, 1 / steps(), 1));
    if (!isImage) shown.append(nnzoo.element("p", {class: "keys"}, ...columnKeys()));
  }

  const channels = () => Math.min(8, inputs[state.sample].shape[1]);

  function columnKeys() {
    return Array.from({length: channels()}, (_, f) => {
      const name = data.columns[f]?.name ?? `channel ${f}`;
      const key = nnzoo.element("span", {}, name, " ", nnzoo.element("b", {class: "now"}));
      key.style.setProperty("--tone", `var(--c${f + 1})`);
      return key;
    });
  }

  // Bars of each gate and state.
  const gatesShown = nnzoo.element("div", {class: "gates"});
  let bars = [];

  function showGates() {
    bars = Object.keys(states()).map((gate) => {
      const canvas = nnzoo.element("canvas", {"aria-hidden": "true"}), box = nnzoo.element("div", {class: "box"});
      const holder = nnzoo.element("button", {type: "button", class: "framed bars", "data-gate": gate,
        "aria-label": `${NAMES[gate]} of each unit; arrow keys choose a unit`}, canvas, box);
      holder.addEventListener("click", (event) => {
        const frame = canvas.getBoundingClientRect();
        if (event.detail) choose(Math.floor(((event.clientX - frame.left) / frame.width) * units()));
      });
      holder.addEventListener("keydown", (event) => {
        const by = {ArrowLeft: -1, ArrowRight: 1}[event.key];
        if (!by) return;
        event.preventDefault();
        choose(state.unit + by);
      });
      const all = states()[gate].values;
      const largest = GATES.includes(gate) ? 1 : Math.max(...nnzoo.explore.range(all, 0, all.length).map(Math.abs)) || 1;
      return {gate, canvas, box, largest, holder};
    });
    gatesShown.replaceChildren(...bars.map(({gate, largest, holder}) => nnzoo.element("figure", {},
      nnzoo.element("figcaption", {}, NAMES[gate], " ", nnzoo.element("span", {class: "soft"}, GATES.includes(gate) ? "0 to 1" : `±${nnzoo.number(largest)}`)), holder)));
  }

  const units = () => states().hidden.shape[1];
  const choose = (unit) => { state.unit = Math.min(units() - 1, Math.max(0, unit)); show(); };

  function drawBars({gate, canvas, box, largest}) {
    const height = 64, wide = Math.max(2, Math.min(24, Math.floor(640 / units())));
    canvas.width = wide * units();
    canvas.height = height;
    const context = canvas.getContext("2d"), style = getComputedStyle(root);
    const color = (name) => style.getPropertyValue(name).trim();
    const isGate = GATES.includes(gate), zero = isGate ? height : height / 2;
    for (let u = 0; u < units(); u++) {
      const y = (value(gate, state.step, u) / largest) * (isGate ? height : height / 2);
      context.fillStyle = isGate ? color("--accent") : y >= 0 ? color("--up") : color("--down");
      context.fillRect(u * wide, Math.min(zero, zero - y), Math.max(1, wide - 1), Math.abs(y));
    }
    outline(box, state.unit / units(), 0, 1 / units(), 1);
  }

  // One unit in numbers.
  const numbers = nnzoo.element("div", {class: "result", "aria-live": "polite"});

  /** The sums of a cell as lines of {name, value, of}. */
  function formulas() {
    const {layer, direction} = layers[state.layer], now = (gate) => value(gate, state.step, state.unit);
    const previous = state.step + (direction === "reverse" ? 1 : -1);
    const before = (gate) => (previous < 0 || previous >= steps() ? 0 : value(gate, previous, state.unit));
    const text = nnzoo.number, f = layer.function, suffix = direction === "reverse" ? "_reverse" : "";
    const x = outputs(state.sample)[layer.inputs[0]];
    const part = (name, values, gate) => {
      const row = gate * units() + state.unit, weight = layer[`weight_${name}${suffix}`];
      return values.reduce((sum, number, i) => sum + number * weight.values[row * weight.shape[1] + i], layer[`bias_${name}${suffix}`].values[row]);
    };
    const seen = x.values.subarray(state.step * x.shape[1], (state.step + 1) * x.shape[1]);
    const held = Array.from({length: units()}, (_, u) => (previous < 0 || previous >= steps() ? 0 : value("hidden", previous, u)));
    const parts = (gate) => [text(part("ih", seen, gate)), text(part("hh", held, gate))];
    const of = (name, gate) => `${name}(${parts(gate).join(" from the input + ")} from the state before)`;
    if (layer.cell === "lstm") {
      return [...["input", "forget", "candidate", "output"].map((gate, i) => [NAMES[gate], now(gate), of(gate === "candidate" ? f : "sigmoid", i)]),
        ["cell", now("cell"), `${text(now("forget"))} × ${text(before("cell"))} (cell before) + ${text(now("input"))} × ${text(now("candidate"))}`],
        ["hidden state", now("hidden"), `${text(now("output"))} × ${f}(${text(now("cell"))})`]];
    }
    if (layer.cell === "gru") {
      const [input, hidden] = parts(2);
      return [["reset gate", now("reset"), of("sigmoid", 0)], ["update gate", now("update"), of("sigmoid", 1)],
        ["candidate", now("candidate"), `tanh(${input} from the input + ${text(now("reset"))} × ${hidden} from the state before)`],
        ["hidden state", now("hidden"), `(1 − ${text(now("update"))}) × ${text(now("candidate"))} + ${text(now("update"))} × ${text(before("hidden"))} (state before)`]];
    }
    return [["hidden state", now("hidden"), of(f, 0)]];
  }

  function showUnit() {
    const lines = Object.entries(states()).filter(([gate]) => ["hidden", "cell"].includes(gate)).map(([gate]) =>
      Array.from({length: steps()}, (_, t) => value(gate, t, state.unit)));
    const box = nnzoo.element("div", {class: "box"});
    const largest = Math.max(...lines.flat().map(Math.abs)) || 1;
    const [picture, count] = [curves(lines.reverse(), [-largest, largest]), lines.length];
    const keys = ["hidden state", "cell"].slice(0, count).map((name, i) => {
      const key = nnzoo.element("span", {}, name);
      key.style.setProperty("--tone", `var(--c${i + 1})`);
      return key;
    });
    outline(box, state.step / steps(), 0, 1 / steps(), 1);
    numbers.replaceChildren(nnzoo.element("h4", {}, `Unit ${state.unit} at step ${state.step}`),
      nnzoo.element("div", {class: "wide"}, table(formulas().map(([name, number, of]) => [name, cell(number, 1), nnzoo.element("td", {class: "soft"}, of)]))),
      nnzoo.element("div", {class: "framed curve"}, picture, box), nnzoo.element("p", {class: "keys"}, ...keys));
  }

  const prediction = nnzoo.element("div", {class: "result"});
  const last = layers.at(-1);
  const readsForward = !last.layer.bidirectional;
  let predictions = [];

  /** The prediction from the states up to each step: after the last step that of the whole sequence. */
  function predictSteps() {
    const all = outputs(state.sample), {shape, values} = all.at(-1), states_ = all[last.place];
    const [count, width] = states_.shape;
    if (shape.length === 2) {
      predictions = Array.from({length: count}, (_, t) => values.subarray(t * shape[1], (t + 1) * shape[1]));
    } else if (readsForward) {
      predictions = Array.from({length: count}, (_, t) => nnzoo.network.runFrom(program,
        [...all.slice(0, last.place), {shape: [t + 1, width], values: states_.values.subarray(0, (t + 1) * width)}]).at(-1).values);
    } else {
      predictions = Array.from({length: count}, () => values);
    }
  }

  function showStepPrediction() {
    const isPerStep = outputs(state.sample).at(-1).shape.length === 2, now = predictions[state.step];
    showPrediction(prediction, now);
    prediction.prepend(nnzoo.element("h4", {}, isPerStep ? "Next after this step"
      : readsForward ? "Prediction from the steps until here" : "Prediction after the whole sequence"));
    if (isPerStep || !readsForward) return;
    const end = predictions.at(-1), best = data.probabilities ? end.indexOf(Math.max(...end)) : 0;
    const box = nnzoo.element("div", {class: "box"});
    outline(box, state.step / steps(), 0, 1 / steps(), 1);
    prediction.append(nnzoo.element("p", {class: "soft"}, data.probabilities ? `Probability of ${data.names[best]}, from 0 to 1:` : `${data.names[best]}:`),
      nnzoo.element("div", {class: "framed curve"}, curves([predictions.map((values) => values[best])], data.probabilities ? [0, 1] : null), box));
  }

  function show() {
    slider.max = String(steps() - 1);
    slider.value = String(state.step);
    label.textContent = `step ${state.step} of ${steps() - 1}`;
    markInput();
    const {shape, values} = inputs[state.sample];
    shown.querySelectorAll(".now").forEach((now, f) => { now.textContent = nnzoo.number(values[state.step * shape[1] + f]); });
    bars.forEach(drawBars);
    showUnit();
    showStepPrediction();
  }

  function go(step) {
    state.step = Math.min(steps() - 1, Math.max(0, step));
    show();
  }

  function open() {
    stop();
    state.step = Math.min(state.step, steps() - 1);
    state.unit = Math.min(state.unit, units() - 1);
    predictSteps();
    showInput();
    showGates();
    show();
  }

  const choices = [chooser("Input", data.titles, (sample) => { state.sample = sample; open(); })];
  if (layers.length > 1) {
    choices.push(chooser("Layer", layers.map(({layer, direction}) => `${layer.name}${layer.bidirectional ? `, ${direction}` : ""}`),
      (layer) => { state.layer = layer; open(); }));
  }
  root.append(nnzoo.element("div", {class: "choices"}, ...choices),
    nnzoo.element("div", {class: "player"}, button("◀", "One step back", () => move(-1)), play, button("▶|", "One step on", () => move(1)), slider, label),
    shown, gatesShown, nnzoo.element("div", {class: "columns"}, numbers, prediction));
  open();
  return {go, choose};
})();
