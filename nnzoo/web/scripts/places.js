"use strict";
/** How a layer computes one number of its output, in numbers, and which part of the input it sees. */
nnzoo.places = (() => {
  const {table, cell} = nnzoo.explore;
  const {windows} = nnzoo.forward;
  const MOST = 12;
  const POOLED = {max: "the largest", average: "the mean", lp: "the root of the sum of squares"};
  const FOLLOWED = ["batch_norm", "group_norm", "layer_norm", "activation", "identity", "add"];

  const flatIndex = (shape, channel, row, column) => (shape.length === 3 ? (channel * shape[1] + row) * shape[2] + column
    : shape.length === 2 ? channel * shape[1] + column : channel);

  /** Channel, row and column of a place in the values of an output. */
  function placeOf(shape, index) {
    if (shape.length === 1) return {channel: index, row: 0, column: 0};
    const width = shape.at(-1), height = shape.length === 3 ? shape[1] : 1;
    return {channel: Math.floor(index / (width * height)), row: Math.floor(index / width) % height, column: index % width};
  }

  function placeName(shape, index) {
    const {channel, row, column} = placeOf(shape, index);
    if (shape.length === 3) return `channel ${channel}, row ${row}, column ${column}`;
    return shape.length === 2 ? `channel ${channel}, step ${column}` : `unit ${channel}`;
  }

  /** A layer in a few words, as in "features.0: convolution 1→32, 3×3". */
  function title(layer) {
    const times = (sizes) => sizes.join("×");
    const kinds = {
      conv: () => `convolution ${layer.weight.shape[1] * layer.groups}→${layer.weight.shape[0]}, ${times(layer.weight.shape.slice(2))}`,
      linear: () => `linear ${layer.weight.shape[1]}→${layer.weight.shape[0]}`,
      pool: () => `${layer.kind} pooling ${times(layer.size)}`,
      global_pool: () => `${layer.kind} over all places`,
      activation: () => layer.function,
      add: () => "block plus skip",
    };
    const kind = kinds[layer.type]?.() ?? layer.type.replaceAll("_", " ");
    return layer.name === kind ? kind : `${layer.name}: ${kind}`;
  }

  const describe = (layer, shape) => `${title(layer)}; output ${shape.join("×")}. Click a place, or move it with the arrow keys.`;

  const paragraph = (...content) => nnzoo.element("p", {}, ...content);
  const number = (value) => nnzoo.element("b", {title: String(value)}, nnzoo.number(value));
  const wide = (...content) => nnzoo.element("div", {class: "wide"}, ...content);

  /** A number of a window; null is padding. */
  const numberCell = (value, largest) => (value === null ? nnzoo.element("td", {class: "n soft", title: "padding: 0"}, "0") : cell(value, largest));

  /** A matrix of numbers with a caption. chosen: the place that is marked. */
  function matrix(caption, rows, chosen = -1) {
    const largest = Math.max(...rows.flat().map((value) => Math.abs(value ?? 0)));
    const cells = rows.map((row, i) => row.map((value, j) => {
      const td = numberCell(value, largest);
      if (i * row.length + j === chosen) td.classList.add("chosen");
      return td;
    }));
    return nnzoo.element("figure", {}, nnzoo.element("figcaption", {}, caption), table(cells, {class: "numbers"}));
  }

  /** The window of a place in one channel of a layer's input: rows of values, null where padding is. */
  function window_(w, x, channel, {row, column}) {
    return Array.from({length: w.kernel[0]}, (_, i) => Array.from({length: w.kernel[1]}, (_, j) => {
      const y = row * w.stride[0] - w.padding[0] + i * w.dilation[0], z = column * w.stride[1] - w.padding[1] + j * w.dilation[1];
      return y < 0 || y >= w.height || z < 0 || z >= w.width ? null : x.values[(channel * w.height + y) * w.width + z];
    }));
  }

  const sum = (values) => values.reduce((a, b) => a + b, 0);

  /** Window, kernel and products: as matrices, over time as rows of a table. */
  function products({values, kernel, products: multiplied}) {
    const parts = [["window of the input", values], ["kernel", kernel], ["products", multiplied]];
    if (values.length === 1) {
      const rows = parts.map(([name, [row]]) => {
        const largest = Math.max(...row.map(Math.abs));
        return [name, ...row.map((value) => numberCell(value, largest))];
      });
      return nnzoo.element("div", {class: "matrices wide"}, table(rows, {class: "numbers"}));
    }
    const sign = (text) => nnzoo.element("span", {class: "sign"}, text);
    const [window, weights, result] = parts.map(([name, rows]) => matrix(name, rows));
    return nnzoo.element("div", {class: "matrices wide"}, window, sign("×"), weights, sign("="), result);
  }

  /** Window times kernel of every input channel; the channel that adds most is shown number by number. */
  function explainConv(layer, x, place) {
    const w = windows(layer, x.shape), [outputs, inputs] = layer.weight.shape, size = w.kernel[0] * w.kernel[1];
    const group = Math.floor(place.channel / (outputs / layer.groups)) * inputs;
    const parts = Array.from({length: inputs}, (_, c) => {
      const values = window_(w, x, group + c, place);
      const start = (place.channel * inputs + c) * size;
      const kernel = values.map((row, i) => row.map((_, j) => layer.weight.values[start + i * w.kernel[1] + j]));
      const products = values.map((row, i) => row.map((value, j) => (value === null ? null : value * kernel[i][j])));
      return {channel: group + c, values, kernel, products, sum: sum(products.flat())};
    });
    const detail = nnzoo.element("div", {class: "detail"});
    const largest = Math.max(...parts.map((part) => Math.abs(part.sum)));
    const rows = parts.map((part) => {
      const pick = nnzoo.element("button", {type: "button", class: "pick"}, `channel ${part.channel}`);
      pick.addEventListener("click", () => open(part));
      return {part, pick, cells: [pick, cell(part.sum, largest)]};
    });
    const open = (chosen) => {
      for (const {part, pick} of rows) pick.setAttribute("aria-pressed", String(part === chosen));
      detail.replaceChildren(nnzoo.element("p", {class: "soft"}, `Input channel ${chosen.channel}: window × kernel = products, of which the sum is `, number(chosen.sum)),
        products(chosen));
    };
    const bias = layer.bias ? layer.bias.values[place.channel] : 0, total = sum(parts.map((part) => part.sum));
    open(parts.reduce((a, b) => (Math.abs(b.sum) > Math.abs(a.sum) ? b : a)));
    const list = inputs > 1 ? [nnzoo.element("p", {class: "soft"}, `Each of ${inputs} input channels has a kernel of its own; choose one:`),
      nnzoo.element("div", {class: "sums wide"}, table(chunk(rows.map(({cells}) => cells), Math.ceil(rows.length / 4)), {class: "numbers"}))] : [];
    return [...list, detail, paragraph(inputs > 1 ? "sum over channels " : "sum ", number(total), " + bias ", number(bias), " = ", number(total + bias))];
  }

  /** Rows of a table side by side in columns of so many rows. */
  const chunk = (rows, height) => Array.from({length: Math.min(height, rows.length)}, (_, i) => rows.filter((_, j) => j % height === i).flat());

  /** Inputs times weights, those that add most; an input is named by the place of the map that was flattened. */
  function explainLinear(layer, x, index, source) {
    const inputs = layer.weight.shape[1], output = index % layer.weight.shape[0];
    const row = Math.floor(index / layer.weight.shape[0]) * inputs;
    const products = Array.from({length: inputs}, (_, i) => ({i, value: x.values[row + i], weight: layer.weight.values[output * inputs + i]}));
    products.forEach((each) => { each.product = each.value * each.weight; });
    const sorted = [...products].sort((a, b) => Math.abs(b.product) - Math.abs(a.product)), shown = sorted.slice(0, MOST);
    const total = sum(products.map(({product}) => product)), rest = sum(sorted.slice(MOST).map(({product}) => product));
    const largest = Math.abs(shown[0].product), bias = layer.bias ? layer.bias.values[output] : 0;
    const rows = shown.map(({i, value, weight, product}) => [placeName(source.shape, i), cell(value), cell(weight), cell(product, largest)]);
    return [nnzoo.element("p", {class: "soft"}, `The largest of ${inputs} contributions:`),
      wide(table([["input", "value", "weight", "product"], ...rows, ...(inputs > MOST ? [[`the other ${inputs - MOST}`, nnzoo.element("td"), nnzoo.element("td"), cell(rest, largest)]] : [])], {class: "numbers"})),
      paragraph("sum ", number(total), " + bias ", number(bias), " = ", number(total + bias))];
  }

  function explainPool(layer, x, place, result) {
    const w = windows(layer, x.shape), values = window_(w, x, place.channel, place), flat = values.flat();
    const winner = layer.kind === "max" ? flat.indexOf(result) : -1;
    const where = `row ${place.row * w.stride[0] + Math.floor(winner / w.kernel[1])}, column ${place.column * w.stride[1] + (winner % w.kernel[1])} wins`;
    return [nnzoo.element("div", {class: "matrices wide"}, matrix("window of the input", values, winner)),
      paragraph(`${POOLED[layer.kind]} is `, number(result), ...(winner < 0 ? [] : [`: ${x.shape.length === 2 ? where.replace(/^row 0, column/, "step") : where}`]))];
  }

  /** What a norm or activation makes of one value, and the number that comes out. */
  function step(layer, xs, index, result) {
    const [x] = xs, value = x.values[index], {channel} = placeOf(x.shape, index);
    const c = layer.axis === -1 || layer.type === "layer_norm" ? index % x.shape.at(-1) : channel;
    if (layer.type === "batch_norm") {
      const [mean, variance] = [layer.mean.values[c], layer.variance.values[c]];
      return paragraph(`${title(layer)}: (`, number(value), " − mean ", number(mean), ") / √(variance ", number(variance), ` + ${layer.eps})`,
        ...(layer.weight ? [" × ", number(layer.weight.values[c]), " + ", number(layer.bias.values[c])] : []), " = ", number(result));
    }
    if (layer.type === "add") return paragraph(`${title(layer)}: `, number(xs[0].values[index]), " + ", number(xs[1].values[index]), " = ", number(result));
    return paragraph(`${title(layer)} of `, number(value), " = ", number(result));
  }

  /** The elements that explain a number of a layer's output, and what the layers behind it make of it. */
  function explain(program, outputs, place, index) {
    const layer = program.layers[place], xs = layer.inputs.map((i) => outputs[i]), result = outputs[place].values[index];
    const at = placeOf(outputs[place].shape, index);
    const parts = layer.type === "conv" ? explainConv(layer, xs[0], at)
      : layer.type === "linear" ? explainLinear(layer, xs[0], index, mapsBehind(program, outputs, layer.inputs[0]))
      : layer.type === "pool" ? explainPool(layer, xs[0], at, result)
      : FOLLOWED.includes(layer.type) ? [step(layer, xs, index, result)]
      : [paragraph("value ", number(result))];
    followed(program, outputs, place, index, parts);
    return parts;
  }

  /** Add what the layers behind a place make of it: norms, pooling, activations, sums. */
  function followed(program, outputs, place, index, parts) {
    for (;;) {
      const next = program.layers.findIndex((each) => each.inputs.includes(place) && [...FOLLOWED, "pool"].includes(each.type));
      if (next < 0) return;
      const layer = program.layers[next], x = outputs[place], y = outputs[next];
      if (layer.type === "pool") {
        const at = placeOf(x.shape, index), w = windows(layer, x.shape);
        const row = Math.floor(at.row / w.stride[0]), column = Math.floor(at.column / w.stride[1]);
        if (row >= w.out[0] || column >= w.out[1]) {
          parts.push(paragraph(`${title(layer)}: no window covers this place, at the edge`));
          return;
        }
        const pooled = flatIndex(y.shape, at.channel, row, column), result = y.values[pooled];
        const which = layer.kind !== "max" ? "" : x.values[index] === result ? ", which is this one" : ", at another place";
        parts.push(paragraph(`${title(layer)}: `, POOLED[layer.kind], " of its window is ", number(result), which));
        index = pooled;
      } else if (layer.type !== "identity") {
        parts.push(step(layer, layer.inputs.map((i) => outputs[i]), index, y.values[index]));
      }
      place = next;
    }
  }

  /** The output of maps that a flattened layer was. */
  function mapsBehind(program, outputs, place) {
    while (["flatten", "identity"].includes(program.layers[place].type)) [place] = program.layers[place].inputs;
    return outputs[place];
  }

  /**
   * The receptive field: which part of the raw input a place of a layer's output depends on.
   * @returns {{top: number, bottom: number, left: number, right: number}} rows and columns, or steps, both ends included
   */
  function field(program, outputs, place, {row, column}) {
    const {shape} = outputs[0], whole = {top: 0, bottom: shape.length === 3 ? shape[1] - 1 : 0, left: 0, right: shape.length === 3 ? shape[2] - 1 : shape[0] - 1};
    const trace = (i, box) => {
      const layer = program.layers[i];
      if (layer.type === "input") return box;
      if (["conv", "pool"].includes(layer.type)) {
        const w = windows(layer, outputs[layer.inputs[0]].shape);
        const reach = (at, d, end) => at * w.stride[d] - w.padding[d] + end * w.dilation[d] * (w.kernel[d] - 1);
        const clip = (at, size) => Math.min(size - 1, Math.max(0, at));
        return trace(layer.inputs[0], {top: clip(reach(box.top, 0, 0), w.height), bottom: clip(reach(box.bottom, 0, 1), w.height),
          left: clip(reach(box.left, 1, 0), w.width), right: clip(reach(box.right, 1, 1), w.width)});
      }
      if (layer.type === "add") {
        const [a, b] = layer.inputs.map((each) => trace(each, box));
        return {top: Math.min(a.top, b.top), bottom: Math.max(a.bottom, b.bottom), left: Math.min(a.left, b.left), right: Math.max(a.right, b.right)};
      }
      const keepsPlaces = ["batch_norm", "activation", "identity", "scale", "float32", "transpose", "embedding"].includes(layer.type);
      return keepsPlaces && outputs[i].shape.length > 1 ? trace(layer.inputs[0], box) : whole;
    };
    return trace(place, {top: row, bottom: row, left: column, right: column});
  }

  return {flatIndex, placeOf, placeName, title, describe, explain, field};
})();
