"use strict";
// The forward pass of a network that nnzoo/web/program.py describes, one sample at a time, in float64.

nnzoo.forward = (() => {
  /**
   * @typedef {{shape: number[], values: Float64Array, gates?: Object<string, Object<string, Tensor>>}} Tensor
   * A layer's output, row by row; of a recurrent layer also every gate and state (time, units), by direction.
   */
  const size = (shape) => shape.reduce((product, n) => product * n, 1);
  const tensor = (shape, values = new Float64Array(size(shape))) => ({shape, values});
  const sigmoid = (x) => 1 / (1 + Math.exp(-x));

  /** Decode all tensors of a description once. */
  function decodeProgram(program) {
    const layers = program.layers.map((layer) => {
      const entries = Object.entries(layer).map(([key, value]) => [key, value?.shape ? nnzoo.array(value) : value]);
      return Object.fromEntries(entries);
    });
    return {...program, layers};
  }

  /** The error function: its series near zero, else the continued fraction of its complement. */
  function erf(x) {
    const a = Math.abs(x);
    if (a > 6) return Math.sign(x);
    if (a < 2.5) {
      let term = a, sum = a;
      for (let n = 1; Math.abs(term) > 1e-17 * sum; n++) {
        term *= (-a * a) / n;
        sum += term / (2 * n + 1);
      }
      return (Math.sign(x) * 2 * sum) / Math.sqrt(Math.PI);
    }
    let fraction = 0;
    for (let n = 60; n > 0; n--) fraction = n / 2 / (a + fraction);
    return Math.sign(x) * (1 - Math.exp(-a * a) / (Math.sqrt(Math.PI) * (a + fraction)));
  }

  const activations = {
    relu: (x) => (x > 0 || Number.isNaN(x) ? x : 0),
    leaky_relu: (x, slope) => (x > 0 ? x : slope * x),
    tanh: Math.tanh,
    sigmoid,
    gelu: (x) => 0.5 * x * (1 + erf(x * Math.SQRT1_2)),
    gelu_tanh: (x) => 0.5 * x * (1 + Math.tanh(Math.sqrt(2 / Math.PI) * (x + 0.044715 * x ** 3))),
    silu: (x) => x * sigmoid(x),
    elu: (x, slope) => (x > 0 ? x : slope * Math.expm1(x)),
    selu: (x) => 1.0507009873554805 * (x > 0 ? x : 1.6732632423543772 * Math.expm1(x)),
    mish: (x) => x * Math.tanh(x > 30 ? x : Math.log1p(Math.exp(x))),
  };

  /** Apply f(value, index) to every value. */
  const map = (x, f) => tensor(x.shape, x.values.map(f));
  const last = (x) => x.shape[x.shape.length - 1];

  /** The channel of each value of maps (axis 0), or the feature (axis -1). */
  function channelOf(x, axis) {
    const inner = axis === 0 ? size(x.shape.slice(1)) : 1;
    return (i) => Math.floor(i / inner) % x.shape[axis === 0 ? 0 : x.shape.length - 1];
  }

  /** rows (..., in) times weight (out, in) from a place of its data on, plus bias. */
  function linear(x, weight, bias, offset = 0) {
    const [outputs, inputs] = weight.shape.slice(-2);
    const rows = x.values.length / inputs;
    const y = tensor([...x.shape.slice(0, -1), outputs]);
    for (let r = 0; r < rows; r++) {
      for (let o = 0; o < outputs; o++) {
        let sum = bias ? bias.values[o] : 0;
        const start = offset + o * inputs;
        for (let i = 0; i < inputs; i++) sum += x.values[r * inputs + i] * weight.values[start + i];
        y.values[r * outputs + o] = sum;
      }
    }
    return y;
  }

  /** Sizes in two directions: a sequence is a picture of one row. */
  const twice = (values, one) => (values.length === 1 ? [one, values[0]] : values);

  /** The geometry of a convolution or pooling for an input: sizes, and which places of the input a window covers. */
  function windows(layer, shape) {
    const [height, width] = twice(shape.slice(1), 1);
    const kernel = twice(layer.type === "conv" ? layer.weight.shape.slice(2) : layer.size, 1);
    const stride = twice(layer.stride, 1);
    const dilation = twice(layer.dilation ?? kernel.map(() => 1), 1);
    const padding = twice(layer.padding ?? [[0, 0], [0, 0]], [0, 0]);
    const out = [height, width].map(
      (n, d) => Math.floor((n + padding[d][0] + padding[d][1] - dilation[d] * (kernel[d] - 1) - 1) / stride[d]) + 1);
    return { height, width, kernel, stride, dilation, padding: padding.map((sides) => sides[0]), out,
      shape: shape.length === 2 ? out.slice(1) : out };
  }

  /** Call f(place in the map, place in the kernel) for the window of an output position, without padding. */
  function eachInWindow(w, row, column, f) {
    for (let i = 0; i < w.kernel[0]; i++) {
      const y = row * w.stride[0] - w.padding[0] + i * w.dilation[0];
      if (y < 0 || y >= w.height) continue;
      for (let j = 0; j < w.kernel[1]; j++) {
        const x = column * w.stride[1] - w.padding[1] + j * w.dilation[1];
        if (x >= 0 && x < w.width) f(y * w.width + x, i * w.kernel[1] + j);
      }
    }
  }

  function conv(layer, x) {
    const w = windows(layer, x.shape);
    const [outputs, inputs] = layer.weight.shape;
    const y = tensor([outputs, ...w.shape]);
    const places = w.out[0] * w.out[1], area = w.height * w.width, kernel = w.kernel[0] * w.kernel[1];
    for (let p = 0; p < places; p++) {
      const from = [], by = [];
      eachInWindow(w, Math.floor(p / w.out[1]), p % w.out[1], (place, k) => { from.push(place); by.push(k); });
      for (let o = 0; o < outputs; o++) {
        const group = Math.floor(o / (outputs / layer.groups)) * inputs;
        let sum = layer.bias ? layer.bias.values[o] : 0;
        for (let c = 0; c < inputs; c++) {
          const start = (group + c) * area, weights = (o * inputs + c) * kernel;
          for (let i = 0; i < from.length; i++) sum += x.values[start + from[i]] * layer.weight.values[weights + by[i]];
        }
        y.values[o * places + p] = sum;
      }
    }
    return y;
  }

  /** The values of a pooling window to one. */
  const pooled = {
    max: (values) => values.reduce((a, b) => (b > a || Number.isNaN(b) ? b : a), -Infinity),
    average: (values) => values.reduce((a, b) => a + b, 0) / values.length,
    lp: (values) => Math.sqrt(values.reduce((a, b) => a + b * b, 0)),
  };

  function pool(layer, x) {
    const w = windows(layer, x.shape);
    const y = tensor([x.shape[0], ...w.shape]);
    const places = w.out[0] * w.out[1], area = w.height * w.width;
    for (let i = 0; i < y.values.length; i++) {
      const values = [], start = Math.floor(i / places) * area, p = i % places;
      eachInWindow(w, Math.floor(p / w.out[1]), p % w.out[1], (place) => values.push(x.values[start + place]));
      y.values[i] = pooled[layer.kind](values);
    }
    return y;
  }

  /** Normalize parts of equal length to mean 0 and variance 1, then scale by the channel of each value. */
  function normalize(layer, x, parts, axis) {
    const length = x.values.length / parts, channel = channelOf(x, axis);
    const moments = Array.from({length: parts}, (_, part) => {
      const values = x.values.subarray(part * length, (part + 1) * length);
      const mean = values.reduce((a, b) => a + b, 0) / length;
      return [mean, values.reduce((a, b) => a + (b - mean) ** 2, 0) / length];
    });
    return map(x, (value, i) => {
      const [mean, variance] = moments[Math.floor(i / length)];
      return ((value - mean) / Math.sqrt(variance + layer.eps)) * layer.weight.values[channel(i)] + layer.bias.values[channel(i)];
    });
  }

  /** One direction of a recurrent layer: every gate and state (time, units), in the order of time. */
  function recur(layer, x, suffix) {
    const weights = (name) => [layer[`weight_${name}${suffix}`], layer[`bias_${name}${suffix}`]];
    const units = layer[`weight_hh${suffix}`].shape[1], [steps, features] = x.shape;
    const names = {rnn: [], lstm: ["input", "forget", "candidate", "output", "cell"], gru: ["reset", "update", "candidate"]};
    const gates = Object.fromEntries([...names[layer.cell], "hidden"].map((name) => [name, tensor([steps, units])]));
    const f = layer.function === "relu" ? activations.relu : Math.tanh;
    let hidden = new Float64Array(units);
    const cell = new Float64Array(units);
    for (let step = 0; step < steps; step++) {
      const t = suffix ? steps - 1 - step : step;
      const a = linear(tensor([features], x.values.subarray(t * features, (t + 1) * features)), ...weights("ih")).values;
      const b = linear(tensor([units], hidden), ...weights("hh")).values;
      const next = new Float64Array(units);
      for (let u = 0; u < units; u++) {
        const sum = (gate) => a[gate * units + u] + b[gate * units + u];
        let values;
        if (layer.cell === "lstm") {
          const [i, forget, g, o] = [sigmoid(sum(0)), sigmoid(sum(1)), f(sum(2)), sigmoid(sum(3))];
          cell[u] = forget * cell[u] + i * g;
          values = [i, forget, g, o, cell[u], o * f(cell[u])];
        } else if (layer.cell === "gru") {
          const r = sigmoid(sum(0)), z = sigmoid(sum(1));
          const n = Math.tanh(a[2 * units + u] + r * b[2 * units + u]);
          values = [r, z, n, (1 - z) * n + z * hidden[u]];
        } else {
          values = [f(sum(0))];
        }
        Object.values(gates).forEach((gate, i) => { gate.values[t * units + u] = values[i]; });
        next[u] = values[values.length - 1];
      }
      hidden = next;
    }
    return gates;
  }

  function recurrent(layer, x) {
    const gates = {forward: recur(layer, x, "")};
    if (layer.bidirectional) gates.reverse = recur(layer, x, "_reverse");
    const states = Object.values(gates).map((direction) => direction.hidden);
    const [steps, units] = states[0].shape, width = units * states.length;
    const y = tensor([steps, width]);
    states.forEach((state, d) => {
      for (let t = 0; t < steps; t++) y.values.set(state.values.subarray(t * units, (t + 1) * units), t * width + d * units);
    });
    return {...y, gates};
  }

  /** The last, mean or largest state over time; the last of the reverse direction is that of the first step. */
  function readout(layer, x) {
    const [steps, width] = x.shape;
    const y = tensor([width]);
    for (let u = 0; u < width; u++) {
      const values = Array.from({length: steps}, (_, t) => x.values[t * width + u]);
      const first = layer.bidirectional && u >= width / 2;
      y.values[u] = layer.kind === "last" ? values[first ? 0 : steps - 1]
        : layer.kind === "mean" ? pooled.average(values) : pooled.max(values);
    }
    return y;
  }

  return { tensor, size, map, last, linear, decodeProgram, activations, sigmoid, channelOf, windows, eachInWindow,
    conv, pool, pooled, normalize, recurrent, readout };
})();
