/** The learning curves of one run, or of several over each other. */
nnzoo.COLORS = [1, 2, 3, 4, 5, 6, 7, 8].map((i) => `--c${i}`);

/** Metrics in the order in which they are shown, at most four; the others after them. */
nnzoo.METRICS = ["accuracy", "exact_match", "f1_macro", "f1_micro", "rmse", "mae", "r2", "bits_per_character", "bits_per_byte", "perplexity"];
nnzoo.MAX_METRICS = 4;
nnzoo.MAX_LAYERS = 8;

nnzoo.Curves = class {
  /**
   * @param {HTMLElement} place where the main charts go
   * @param {HTMLElement} inside where those of the other metrics, gradients and updates go
   */
  constructor(place, inside) {
    this.place = place;
    this.inside = inside;
    this.charts = new Map();
    this.epoch = null;
  }

  /**
   * Draw the curves.
   * @param {nnzoo.WatchedRun[]} runs the first is the one that is replayed
   */
  show(runs) {
    const wanted = new Map();
    const main = runs[0];
    for (const metric of this.metrics(runs)) {
      const options = {caption: nnzoo.title(metric), log: metric === "loss"};
      wanted.set(metric, [options, this.lines(runs, [[`train_${metric}`, "training"], [`val_${metric}`, "validation"]])]);
    }
    wanted.set("lr", [{caption: "Learning rate"}, this.lines(runs, [["lr", ""]])]);
    const norms = [["gradient_norm", "mean"], ["gradient_norm_max", "largest"]];
    wanted.set("gradient", [{caption: "Gradient norm of the steps", log: true}, this.lines(runs, norms)]);
    const byLayer = main.rows.filter((row) => row.gradient_norms).map((row) => ({epoch: row.epoch, ...row.gradient_norms}));
    const names = main.samples?.layers ?? {};
    wanted.set("gradient by layer", [{caption: `Gradient norm by layer${this.of(runs)}`, log: true}, this.layers(byLayer, names)]);
    const note = "The norm of the weights' change since the epoch recorded before, as a fraction of the norm they had, divided by the epochs between.";
    wanted.set("update by layer", [{caption: `Update by layer${this.of(runs)}`, log: true, note}, this.layers(nnzoo.updates(main), names)]);
    for (const [key, [options, series]] of wanted) this.update(key, options, series);
    for (const key of [...this.charts.keys()]) if (!wanted.has(key)) this.remove(key);
    const first = [...this.metrics(runs).slice(0, 2), "lr"];
    const shown = [...wanted.keys()].filter((key) => this.charts.has(key));
    this.arrange(this.place, shown.filter((key) => first.includes(key)));
    this.arrange(this.inside, shown.filter((key) => !first.includes(key)));
  }

  /** Remove all curves. */
  clear() {
    for (const key of [...this.charts.keys()]) this.remove(key);
    for (const place of [this.place, this.inside]) this.arrange(place, []);
  }

  /** Put charts into a place, unless they are there: what moves loses the focus. */
  arrange(place, keys) {
    const figures = keys.map((key) => this.charts.get(key).figure);
    const isSame = figures.length === place.children.length && figures.every((figure, i) => figure === place.children[i]);
    if (!isSame) place.replaceChildren(...figures);
    place.parentElement.hidden = !figures.length;
  }

  of(runs) {
    return runs.length > 1 ? ` of ${runs[0].name}` : "";
  }

  update(key, options, series) {
    const shown = series.filter((line) => line.y.some(Number.isFinite));
    const chart = this.charts.get(key);
    if (!shown.length || (chart && chart.options.caption !== options.caption)) this.remove(key);
    if (!shown.length) return;
    if (!this.charts.has(key)) {
      this.charts.set(key, new nnzoo.LineChart(options));
      this.charts.get(key).epoch = this.epoch;
    }
    this.charts.get(key).set(shown);
  }

  remove(key) {
    this.charts.get(key)?.figure.remove();
    this.charts.delete(key);
  }

  /**
   * Mark an epoch in every chart.
   * @param {?number} epoch
   */
  mark(epoch) {
    this.epoch = epoch;
    for (const chart of this.charts.values()) chart.mark(epoch);
  }

  /** The metrics that any run has, the loss first. */
  metrics(runs) {
    const found = new Set();
    for (const run of runs) {
      for (const key of Object.keys(run.rows[run.rows.length - 1] ?? {})) {
        const match = /^(?:train|val)_(.+)$/.exec(key);
        if (match) found.add(match[1]);
      }
    }
    const known = nnzoo.METRICS.filter((metric) => found.has(metric));
    const others = [...found].filter((metric) => metric !== "loss" && !known.includes(metric)).sort();
    return ["loss", ...[...known, ...others].slice(0, nnzoo.MAX_METRICS)];
  }

  /**
   * Return the lines of some keys: of one run a color for each, of several one for each run.
   * @param {string[][]} keys each with its name
   */
  lines(runs, keys) {
    const several = runs.length > 1;
    return runs.flatMap((run, i) =>
      keys.map(([key, name], k) => ({
        name: several ? [run.name, name].filter(Boolean).join(", ") : name,
        x: run.rows.map((row) => row.epoch),
        y: run.rows.map((row) => row[key] ?? null),
        color: nnzoo.COLORS[(several ? i : k) % nnzoo.COLORS.length],
        dashed: several && k === 0 && keys.length > 1,
      })),
    );
  }

  /**
   * Return a line for each layer, of many the first, the last and some between.
   * @param {Object[]} rows with their epoch
   * @param {Object<string, string>} titles of layers
   */
  layers(rows, titles) {
    const names = [...new Set(rows.flatMap((row) => Object.keys(row)))].filter((name) => name !== "epoch");
    const count = Math.min(names.length, nnzoo.MAX_LAYERS);
    const places = [...Array(count).keys()].map((i) => Math.round((i * (names.length - 1)) / Math.max(count - 1, 1)));
    return places.map((place, i) => ({
      name: [names[place], titles[names[place]]].filter(Boolean).join(" "),
      x: rows.map((row) => row.epoch),
      y: rows.map((row) => row[names[place]] ?? null),
      color: nnzoo.COLORS[i],
    }));
  }
};

/** Return how far the weights of each layer have moved per epoch, at each recorded epoch but the first. */
nnzoo.updates = (run) => {
  const records = [...run.records.values()].sort((a, b) => a.epoch - b.epoch);
  return records.slice(1).map((record, i) => {
    const epochs = record.epoch - records[i].epoch;
    const changes = Object.entries(record.changes).map(([layer, change]) => [layer, change / epochs]);
    return {epoch: record.epoch, ...Object.fromEntries(changes)};
  });
};

/** Write the name of a metric as a title. */
nnzoo.title = (metric) => {
  const words = {lr: "Learning rate", f1_macro: "F1 (macro)", f1_micro: "F1 (micro)", mse: "MSE", rmse: "RMSE", mae: "MAE", r2: "R²", auc: "AUC"};
  const text = words[metric] ?? metric.replaceAll("_", " ");
  return text[0].toUpperCase() + text.slice(1);
};
