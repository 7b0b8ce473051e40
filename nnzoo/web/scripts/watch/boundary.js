/** The predictions of a network over a plane, and its samples on it. */
nnzoo.Boundary = class {
  /**
   * Create an empty map.
   * @param {function(number): void} onChoose is called with the index of a sample that was clicked
   */
  constructor(onChoose) {
    this.canvas = nnzoo.element("canvas", {class: "plane", role: "img", tabindex: "0", "aria-label": "decision boundary"});
    this.dots = nnzoo.svg("svg", {class: "dots", viewBox: "0 0 1000 1000", preserveAspectRatio: "none"});
    this.readout = nnzoo.element("p", {class: "reading soft", "aria-live": "polite"});
    this.legend = nnzoo.element("ul", {class: "legend"});
    this.xAxis = nnzoo.element("p", {class: "axis"});
    this.yAxis = nnzoo.element("p", {class: "axis"});
    this.note = nnzoo.element("p", {class: "soft"});
    const stack = nnzoo.element("div", {class: "stack"}, this.canvas, this.dots);
    const plot = nnzoo.element("div", {class: "plot"}, this.yAxis, stack, this.xAxis, this.readout);
    this.element = nnzoo.element("div", {class: "boundary"}, plot, nnzoo.element("div", {}, this.legend, this.note));
    this.onChoose = onChoose;
    stack.addEventListener("pointermove", (event) => this.point(event, stack));
    stack.addEventListener("pointerleave", () => (this.readout.textContent = ""));
    stack.addEventListener("click", (event) => this.choose(event, stack));
    this.place = [25, 25];
    this.canvas.addEventListener("keydown", (event) => this.press(event));
  }

  /**
   * Show the samples of a run.
   * @param {Object} samples with their plane
   */
  setSamples(samples) {
    this.samples = samples;
    const {plane} = samples;
    this.points = plane.points;
    this.note.textContent = plane.note;
    this.xAxis.textContent = `${plane.axes[0]}: ${nnzoo.number(plane.x[0])} to ${nnzoo.number(plane.x[1])} →`;
    this.yAxis.textContent = `↑ ${plane.axes[1]}: ${nnzoo.number(plane.y[0])} to ${nnzoo.number(plane.y[1])}`;
    this.isClasses = samples.task === "classification";
    if (!this.isClasses) this.range = this.valueRange();
    const names = this.isClasses ? samples.labels.slice(0, 20) : [];
    this.legend.replaceChildren(
      ...names.map((label, i) => {
        const swatch = nnzoo.element("i", {class: "swatch"});
        swatch.style.setProperty("--tone", `var(${nnzoo.COLORS[i % 8]})`);
        return nnzoo.element("li", {}, swatch, label);
      }),
    );
  }

  /** The range of the colors of values: those of the targets, or probabilities. */
  valueRange() {
    if (this.samples.task === "multilabel") return [0, 1];
    const truth = this.samples.truth.filter(Number.isFinite);
    return [nnzoo.least(truth), nnzoo.largest(truth)];
  }

  /**
   * Show a frame.
   * @param {Object} boundary of the frame
   * @param {Object} record of its epoch
   * @param {number[]} chosen indices of samples
   */
  set(boundary, record, chosen) {
    this.boundary = boundary;
    const [height, width] = boundary.values.shape;
    const colors = this.isClasses ? null : nnzoo.colors.range(...this.range);
    const paper = nnzoo.rgb("--paper");
    const tones = nnzoo.COLORS.map(nnzoo.rgb);
    const chance = 1 / Math.max(2, this.samples.labels.length);
    nnzoo.paint(this.canvas, height, width, (row, column) => {
      const at = (height - 1 - row) * width + column; // upwards
      if (!this.isClasses) return colors(boundary.values.values[at]);
      const sure = (boundary.values.values[at] - chance) / (1 - chance);
      return nnzoo.mix(paper, tones[boundary.classes.values[at] % 8], 0.12 + 0.5 * Math.max(sure, 0));
    });
    this.drawPoints(record, chosen);
    if (!this.isClasses) this.describeRange();
  }

  describeRange() {
    const what = this.samples.task === "multilabel" ? `probability of ${this.samples.labels[0]}` : this.samples.targets[0];
    const [low, high] = this.range.map(nnzoo.number);
    this.legend.replaceChildren(nnzoo.element("li", {}, `${what}: blue ${low}, red ${high}; a dot has the color of its true value`));
  }

  drawPoints(record, chosen) {
    const colors = this.isClasses ? null : nnzoo.colors.range(...this.range);
    const dots = [];
    for (let i = 0; i < this.points.shape[0]; i++) {
      const [x, y] = this.position(i);
      if (!Number.isFinite(x + y)) continue;
      const truth = this.samples.truth[i];
      const isWrong = this.isClasses && record?.predicted && record.predicted[i] !== truth;
      const kind = `dot${isWrong ? " wrong" : ""}${chosen.includes(i) ? " chosen" : ""}`;
      const dot = nnzoo.svg("ellipse", {cx: x * 1000, cy: (1 - y) * 1000, rx: chosen.includes(i) ? 16 : 10, ry: chosen.includes(i) ? 16 : 10, class: kind});
      const color = this.isClasses ? `var(${nnzoo.COLORS[truth % 8]})` : `rgb(${colors(truth).map(Math.round).join(" ")})`;
      dot.style.setProperty("--tone", color);
      dots.push(dot);
    }
    this.dots.replaceChildren(...dots);
  }

  /** Return the place of a sample, from 0 to 1 along both axes. */
  position(i) {
    const {x, y} = this.samples.plane;
    const [a, b] = this.points.values.subarray(2 * i, 2 * i + 2);
    return [(a - x[0]) / (x[1] - x[0]), (b - y[0]) / (y[1] - y[0])];
  }

  place01(event, stack) {
    const box = stack.getBoundingClientRect();
    return [(event.clientX - box.left) / box.width, 1 - (event.clientY - box.top) / box.height];
  }

  point(event, stack) {
    if (!this.boundary) return;
    const [height, width] = this.boundary.values.shape;
    const [x, y] = this.place01(event, stack);
    this.read(Math.round(x * (width - 1)), Math.round(y * (height - 1)));
  }

  press(event) {
    const step = {ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1]}[event.key];
    if (!step || !this.boundary) return;
    this.read(this.place[0] + step[0], this.place[1] + step[1]);
    event.preventDefault();
    event.stopPropagation();
  }

  /** Write out the prediction at a point of the grid. */
  read(column, row) {
    const {values, classes} = this.boundary;
    const [height, width] = values.shape;
    const [i, j] = [Math.min(Math.max(row, 0), height - 1), Math.min(Math.max(column, 0), width - 1)];
    this.place = [j, i];
    const {x, y, axes} = this.samples.plane;
    const at = i * width + j;
    const where = [x[0] + ((x[1] - x[0]) * j) / (width - 1), y[0] + ((y[1] - y[0]) * i) / (height - 1)];
    const value = nnzoo.number(values.values[at]);
    const text = classes ? `${this.samples.labels[classes.values[at]]}, probability ${value}` : value;
    this.readout.textContent = `${axes[0]} ${nnzoo.number(where[0])}, ${axes[1]} ${nnzoo.number(where[1])}: ${text}`;
  }

  /** Choose the sample that is nearest to a click. */
  choose(event, stack) {
    const [x, y] = this.place01(event, stack);
    let [best, distance] = [-1, 0.03];
    for (let i = 0; i < this.points.shape[0]; i++) {
      const [a, b] = this.position(i);
      const away = Math.hypot(a - x, b - y);
      if (away < distance) [best, distance] = [i, away];
    }
    if (best >= 0) this.onChoose(best);
  }
};
