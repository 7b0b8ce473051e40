/** Arrays as pictures on a canvas, and the colors that they have. */

/**
 * Return the red, green and blue of a color of the page.
 * @param {string} name such as "--accent"
 * @returns {number[]}
 */
nnzoo.rgb = (name) => {
  const hex = getComputedStyle(document.documentElement).getPropertyValue(name).trim().slice(1);
  return [0, 2, 4].map((i) => parseInt(hex.slice(i, i + 2), 16));
};

/** Mix two colors: share 0 gives the first, 1 the second. */
nnzoo.mix = (first, second, share) => first.map((value, i) => value + (second[i] - value) * share);

/** Color scales: functions from an array's values to a function from a value to its color. */
nnzoo.colors = {
  /** From black, the smallest value, to white, the largest. */
  gray(values) {
    const [low, high] = [nnzoo.least(values), nnzoo.largest(values)];
    return (value) => Array(3).fill(high > low ? (255 * (value - low)) / (high - low) : 0);
  },

  /** From the page's background at 0 to the accent color at 1. */
  fraction() {
    const [paper, accent] = [nnzoo.rgb("--paper"), nnzoo.rgb("--accent")];
    return (value) => nnzoo.mix(paper, accent, Math.min(Math.max(value, 0), 1));
  },

  /** From blue, below zero, to red, above it; the background at zero. */
  signed(values) {
    const [paper, up, down] = [nnzoo.rgb("--paper"), nnzoo.rgb("--up"), nnzoo.rgb("--down")];
    const size = nnzoo.largest(values.map(Math.abs)) || 1;
    return (value) => nnzoo.mix(paper, value > 0 ? up : down, Math.abs(value) / size);
  },

  /** From blue, the lowest value, over the background to red, the highest. */
  range(low, high) {
    const [card, up, down] = [nnzoo.rgb("--card"), nnzoo.rgb("--up"), nnzoo.rgb("--down")];
    return (value) => {
      const place = high > low ? Math.min(Math.max((value - low) / (high - low), 0), 1) : 0.5;
      return place > 0.5 ? nnzoo.mix(card, up, 2 * place - 1) : nnzoo.mix(card, down, 1 - 2 * place);
    };
  },
};

/**
 * Draw pixels on a canvas, one for each value.
 * @param {HTMLCanvasElement} canvas
 * @param {number} height
 * @param {number} width
 * @param {function(number, number): number[]} color of a pixel in a row and a column
 */
nnzoo.paint = (canvas, height, width, color) => {
  canvas.height = height;
  canvas.width = width;
  const context = canvas.getContext("2d");
  const image = context.createImageData(width, height);
  for (let row = 0; row < height; row++) {
    for (let column = 0; column < width; column++) {
      image.data.set([...color(row, column), 255], 4 * (row * width + column));
    }
  }
  context.putImageData(image, 0, 0);
};

/** A matrix as a picture, with the value under the pointer or at the place that the arrow keys choose. */
nnzoo.HeatMap = class {
  /**
   * Create an empty picture.
   * @param {{caption: string, rows: string, columns: string, colors: string, column?: function(number): string}} options
   *   rows, columns: what they are, as in "unit"; colors: a scale of `nnzoo.colors`; column: names one
   */
  constructor(options) {
    this.options = options;
    this.canvas = nnzoo.element("canvas", {class: "heat", tabindex: "0", role: "img", "aria-label": options.caption});
    this.readout = nnzoo.element("p", {class: "reading soft", "aria-live": "polite"});
    const caption = nnzoo.element("figcaption", {}, options.caption);
    this.figure = nnzoo.element("figure", {}, caption, this.canvas, this.readout);
    this.place = null;
    this.canvas.addEventListener("pointermove", (event) => this.point(event));
    this.canvas.addEventListener("pointerleave", () => this.read(null));
    this.canvas.addEventListener("keydown", (event) => this.press(event));
  }

  /**
   * Show a matrix.
   * @param {{shape: number[], values: ArrayLike<number>}} matrix
   */
  set(matrix) {
    this.matrix = matrix;
    const [height, width] = matrix.shape;
    const color = nnzoo.colors[this.options.colors](Array.from(matrix.values));
    nnzoo.paint(this.canvas, height, width, (row, column) => color(matrix.values[row * width + column]));
    this.canvas.style.setProperty("--ratio", String(Math.min(Math.max(height / width, 0.15), 1)));
    this.read(this.place);
  }

  /** Read the value under the pointer. */
  point(event) {
    const box = this.canvas.getBoundingClientRect();
    const [height, width] = this.matrix.shape;
    const row = Math.floor(((event.clientY - box.top) / box.height) * height);
    const column = Math.floor(((event.clientX - box.left) / box.width) * width);
    this.read([row, column]);
  }

  /** Move the place that is read with the arrow keys. */
  press(event) {
    const step = {ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0]}[event.key];
    if (!step) return;
    const [row, column] = this.place ?? [0, 0];
    this.read([row + step[0], column + step[1]]);
    event.preventDefault();
    event.stopPropagation();
  }

  /**
   * Write out the value at a place, or the range of all values.
   * @param {?number[]} place row and column
   */
  read(place) {
    const {shape, values} = this.matrix;
    if (place === null) {
      this.place = null;
      const [low, high] = [nnzoo.least(Array.from(values)), nnzoo.largest(Array.from(values))];
      this.readout.textContent = `${nnzoo.number(low)} to ${nnzoo.number(high)}`;
      return;
    }
    const [row, column] = place.map((value, i) => Math.min(Math.max(value, 0), shape[i] - 1));
    this.place = [row, column];
    const {rows, columns} = this.options;
    const name = this.options.column ? this.options.column(column) : "";
    const value = nnzoo.number(values[row * shape[1] + column]);
    this.readout.textContent = `${rows} ${row}, ${columns} ${column}${name}: ${value}`;
  }
};

/** Return a matrix with its rows as columns. */
nnzoo.transposed = ({shape: [height, width], values}) => {
  const turned = new Float32Array(values.length);
  for (let row = 0; row < height; row++) {
    for (let column = 0; column < width; column++) turned[column * height + row] = values[row * width + column];
  }
  return {shape: [width, height], values: turned};
};

/** Return one of the first dimension's parts of an array. */
nnzoo.part = ({shape, values}, index) => {
  const rest = shape.slice(1);
  const size = rest.reduce((a, b) => a * b, 1);
  return {shape: rest, values: values.subarray(index * size, (index + 1) * size)};
};

/** Arrange units row by row in a square; those that are left over are 0. */
nnzoo.square = (values) => {
  const width = Math.ceil(Math.sqrt(values.length));
  const height = Math.ceil(values.length / width);
  const padded = new Float32Array(width * height);
  padded.set(values);
  return {shape: [height, width], values: padded};
};
