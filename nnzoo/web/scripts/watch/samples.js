/** What the network of an epoch makes of the samples: predictions, layers, gates. */
nnzoo.SampleView = class {
  /**
   * Create an empty view.
   * @param {Object<string, HTMLElement>} places where its parts go: sheet, layers, gates, rows, text and their sections
   * @param {function(number): void} onRow is called with the sample that is to be shown over time
   */
  constructor(places, onRow) {
    this.places = places;
    this.onRow = onRow;
    this.maps = new Map();
    this.run = null;
  }

  /**
   * Show a frame.
   * @param {nnzoo.WatchedRun} run
   * @param {Object} frame
   */
  show(run, frame) {
    if (this.run !== run) this.maps.clear();
    this.run = run;
    this.frame = frame;
    this.samples = run.samples;
    const isImage = this.samples.kind === "image";
    const isText = this.samples.task === "language_model";
    this.places.sheetSection.hidden = isText;
    if (!isText) this.places.sheet.replaceChildren(this.table(isImage));
    this.showUnits(isImage);
    this.showOverTime(isImage);
    this.places.cut.textContent = frame.omissions.length ? `Shown: ${frame.omissions.join("; ")}.` : "";
    this.places.text.hidden = !frame.text;
    this.places.text.querySelector("pre").textContent = frame.text ?? "";
  }

  /** The samples as a table: the input, the layers of images, the prediction. */
  table(isImage) {
    const layers = isImage ? this.frame.layers : [];
    const columns = this.samples.inputs.columns ?? [];
    const answer = ["truth", "prediction"];
    const heads = isImage ? ["", "input", ...layers.map(nnzoo.layerTitle), ...answer] : ["", ...answer, ...columns];
    const head = nnzoo.element("tr", {}, ...heads.map((text) => nnzoo.element("th", {scope: "col"}, text)));
    const rows = [...Array(this.samples.shown).keys()].map((i) => {
      const pictures = isImage ? [this.inputPicture(i), ...layers.map((layer) => this.layerPicture(layer, i))] : [];
      const values = columns.length ? this.samples.inputs.values[i] : [];
      return nnzoo.element(
        "tr",
        {},
        nnzoo.element("th", {scope: "row"}, this.samples.names[i]),
        ...pictures.map((picture) => nnzoo.element("td", {}, picture)),
        nnzoo.element("td", {}, this.truthText(i)),
        this.prediction(i),
        ...values.map((value) => nnzoo.element("td", {class: "n"}, value)),
      );
    });
    const table = nnzoo.element("table", {class: "sheet"}, nnzoo.element("thead", {}, head), nnzoo.element("tbody", {}, ...rows));
    const notes = [];
    if (isImage) notes.push("A map is the sum of its layer's channels, from its smallest value, black, to its largest, white");
    if (this.samples.inputs.more) notes.push(`${this.samples.inputs.more} more columns`);
    const note = nnzoo.element("p", {class: "soft"}, notes.length ? `${notes.join("; ")}.` : "");
    return nnzoo.element("div", {}, nnzoo.element("div", {class: "wide"}, table), note);
  }

  /** A button that shows a sample over time. */
  rowButton(i) {
    const button = nnzoo.element("button", {type: "button", class: "small"}, this.run.sampleName(i));
    button.addEventListener("click", () => this.onRow(i));
    return button;
  }

  inputPicture(i) {
    const images = nnzoo.decoded(this.samples.inputs.images);
    const {shape: [height, width, channels], values} = nnzoo.part(images, i);
    const canvas = nnzoo.element("canvas", {class: "picture"});
    const channel = (at, k) => values[at * channels + Math.min(k, channels - 1)];
    nnzoo.paint(canvas, height, width, (row, column) => [0, 1, 2].map((k) => channel(row * width + column, k)));
    return canvas;
  }

  layerPicture(layer, i) {
    let part = nnzoo.part(layer.values, i);
    if (layer.kind === "units") part = nnzoo.square(part.values);
    if (layer.kind === "states") part = nnzoo.transposed(part);
    const [height, width] = part.shape;
    const color = nnzoo.colors.gray(Array.from(part.values));
    const canvas = nnzoo.element("canvas", {class: "picture"});
    nnzoo.paint(canvas, height, width, (row, column) => color(part.values[row * width + column]));
    return canvas;
  }

  truthText(i) {
    const {task, truth, labels} = this.samples;
    if (task === "classification") return labels[truth[i]] ?? `class ${truth[i]}`;
    return task === "multilabel" ? "" : nnzoo.number(truth[i]);
  }

  /** A cell with the prediction of a sample, in red if it is wrong. */
  prediction(i) {
    const {task, truth, labels} = this.samples;
    const values = nnzoo.part(this.frame.predictions, i).values;
    if (task === "classification") {
      const best = values.indexOf(nnzoo.largest(values));
      const text = `${labels[best] ?? `class ${best}`} ${(100 * values[best]).toFixed(1)} %`;
      return nnzoo.element("td", {class: best === truth[i] ? "" : "wrong"}, text);
    }
    if (task === "multilabel") {
      const likely = [...values.keys()].filter((k) => values[k] > 0.5).map((k) => labels[k]);
      return nnzoo.element("td", {}, likely.slice(0, 5).join(", ") || "no label");
    }
    const more = values.length > 1 ? `, … (${values.length} numbers)` : "";
    return nnzoo.element("td", {class: "n"}, `${nnzoo.number(values[0])}${more}`);
  }

  /** The units of each layer for all samples that are no images. */
  showUnits(isImage) {
    const layers = isImage ? [] : this.frame.layers.filter((layer) => layer.kind === "units");
    const figures = layers.map((layer) => {
      const options = {caption: nnzoo.layerTitle(layer), rows: "sample", columns: "unit", colors: "signed"};
      const map = this.heatMap(`layer ${layer.name}`, options);
      map.set(layer.values);
      return map.figure;
    });
    this.places.layers.replaceChildren(...figures);
    this.places.layersSection.hidden = !figures.length;
  }

  /** Layers, gates and states of one sample over time, a row for each unit. */
  showOverTime(isImage) {
    const hasGates = Object.keys(this.frame.gates).length > 0;
    const layers = isImage || hasGates ? [] : this.frame.layers.filter((layer) => layer.kind === "states");
    const figures = layers.map((layer) => {
      const options = {caption: nnzoo.layerTitle(layer), rows: "unit", columns: "step", colors: "signed"};
      const map = this.heatMap(`layer ${layer.name}`, options);
      map.set(nnzoo.transposed(nnzoo.part(layer.values, 0)));
      return map.figure;
    });
    for (const [layer, gates] of Object.entries(this.frame.gates)) {
      for (const [gate, values] of Object.entries(gates)) {
        const isFraction = ["input", "forget", "output", "reset", "update"].includes(gate);
        const noun = isFraction ? "gate" : "state";
        const options = {
          caption: `${layer}: ${gate} ${gate === "candidate" ? "" : noun}`.trim(),
          rows: "unit",
          columns: "step",
          colors: isFraction ? "fraction" : "signed",
          column: (step) => this.token(step),
        };
        const map = this.heatMap(`gate ${layer} ${gate}`, options);
        map.set(nnzoo.transposed(values));
        figures.push(map.figure);
      }
    }
    this.places.gatesSection.hidden = !figures.length;
    this.places.gates.replaceChildren(...this.input(), ...figures);
    if (this.rowsOf !== this.run) {
      this.rowsOf = this.run;
      this.places.rows.replaceChildren(...[...Array(this.samples.shown).keys()].map((i) => this.rowButton(i)));
    }
    [...this.places.rows.children].forEach((button, i) => button.setAttribute("aria-pressed", String(i === this.frame.row)));
  }

  /** The token at a step, for a text. */
  token(step) {
    const tokens = this.samples.inputs.tokens?.[this.frame.row];
    return tokens?.[step] === undefined ? "" : ` (${JSON.stringify(tokens[step])})`;
  }

  /** The sample that is shown over time: its curve, or its text. */
  input() {
    const {curves, names, texts} = this.samples.inputs;
    if (texts) return [nnzoo.element("p", {class: "text"}, texts[this.frame.row])];
    if (!curves) return [];
    const curve = nnzoo.decoded(curves[this.frame.row]);
    const [steps, channels] = curve.shape;
    const chart = new nnzoo.LineChart({caption: "Input", unit: "step"});
    chart.set(
      [...Array(channels).keys()].map((channel) => ({
        name: names[channel] ?? `channel ${channel + 1}`,
        x: [...Array(steps).keys()],
        y: [...Array(steps).keys()].map((step) => curve.values[step * channels + channel]),
        color: nnzoo.COLORS[channel % 8],
      })),
    );
    return [chart.figure];
  }

  /** The heat map of a name, which stays while frames change. */
  heatMap(name, options) {
    if (!this.maps.has(name)) this.maps.set(name, new nnzoo.HeatMap(options));
    const map = this.maps.get(name);
    map.options = options;
    return map;
  }
};

/** Write a layer with the shape of its output. */
nnzoo.layerTitle = (layer) => `${layer.name} ${layer.type}, ${layer.shape.join("×")}`;

/** The predictions for some samples over the epochs. */
nnzoo.PredictionChart = class {
  /**
   * Create an empty chart.
   * @param {HTMLElement} place
   * @param {function(): void} onChange is called when samples are chosen
   */
  constructor(place, onChange) {
    this.choices = nnzoo.element("div", {class: "choices"});
    this.chart = null;
    this.place = place;
    this.onChange = onChange;
    this.chosen = [];
    this.run = null;
  }

  /** Choose a sample, or no longer. */
  toggle(index) {
    this.chosen = this.chosen.includes(index) ? this.chosen.filter((i) => i !== index) : [...this.chosen, index].slice(-8);
    this.onChange();
  }

  /** Draw the lines of the chosen samples. */
  show(run) {
    const {samples} = run;
    if (this.run !== run) {
      this.run = run;
      this.offered = null;
      this.chosen = [...Array(Math.min(4, samples.shown)).keys()];
      const captions = {
        classification: "Probability of the true class",
        multilabel: "Mean probability of what is true of each label",
      };
      const caption = captions[samples.task] ?? `Prediction of ${samples.targets[0]}${samples.horizon > 1 ? ", first step" : ""}`;
      this.chart = new nnzoo.LineChart({caption});
      this.place.replaceChildren(this.chart.figure, this.choices);
    }
    const offered = [...new Set([...Array(samples.shown).keys(), ...this.chosen])];
    if (String(offered) !== String(this.offered)) this.choices.replaceChildren(...offered.map((index) => this.button(index)));
    this.offered = offered;
    [...this.choices.children].forEach((button, i) => this.markButton(button, this.chosen.indexOf(offered[i])));
    const records = [...run.records.values()].sort((a, b) => a.epoch - b.epoch);
    const x = records.map((record) => record.epoch);
    const isNumber = !["classification", "multilabel"].includes(samples.task);
    const lines = this.chosen.flatMap((index, i) => {
      const line = {name: run.sampleName(index), x, y: records.map((record) => record.scores[index]), color: nnzoo.COLORS[i % 8]};
      const truth = {name: "true value", x, y: x.map(() => samples.truth[index]), color: line.color, dashed: true};
      return isNumber ? [line, truth] : [line];
    });
    this.chart.set(lines);
  }

  button(index) {
    const button = nnzoo.element("button", {type: "button", class: "small"}, this.run.sampleName(index));
    button.addEventListener("click", () => this.toggle(index));
    return button;
  }

  markButton(button, place) {
    button.setAttribute("aria-pressed", String(place >= 0));
    button.style.setProperty("--tone", place >= 0 ? `var(${nnzoo.COLORS[place % 8]})` : "");
  }
};
