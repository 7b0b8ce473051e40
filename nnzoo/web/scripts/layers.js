"use strict";
// Every type of layer of a description, and the pass through all of them.

nnzoo.network = (() => {
  const {tensor, size, map, last, linear, activations, channelOf, pooled} = nnzoo.forward;

  /** (..., features): the first `count` features by f(value, feature), the others as they are. */
  const firstFeatures = (x, count, f) => map(x, (value, i) => (i % last(x) < count ? f(value, i % last(x)) : value));

  function oneHot(layer, x) {
    const values = [...x.values.subarray(0, layer.numbers)];
    layer.sizes.forEach((count, column) => {
      for (let code = 0; code < count; code++) values.push(x.values[layer.numbers + column] === code ? 1 : 0);
    });
    return tensor([values.length], Float64Array.from(values));
  }

  function scale(layer, x) {
    const {shift, factor} = layer;
    if (typeof factor === "number") return map(x, (value) => value * factor);
    const channel = channelOf(x, layer.axis ?? -1), count = factor.values.length;
    return map(x, (value, i) => {
      const c = channel(i);
      return c < count ? (value - (shift ? shift.values[c] : 0)) * factor.values[c] : value;
    });
  }

  /** Linear between the knots, constant outside. */
  function quantile({knots, values}, x) {
    const count = knots.shape[1];
    return firstFeatures(x, knots.shape[0], (value, feature) => {
      const start = feature * count;
      let sum = values.values[start];
      for (let k = start; k < start + count - 1; k++) {
        const width = knots.values[k + 1] - knots.values[k];
        const covered = Math.min(Math.max(value - knots.values[k], 0), width);
        if (width > 0) sum += (covered / width) * (values.values[k + 1] - values.values[k]);
      }
      return sum;
    });
  }

  /** (..., features) to (..., components). */
  function pca({mean, components}, x) {
    const [features, count] = components.shape;
    const y = tensor([...x.shape.slice(0, -1), count]);
    for (let i = 0; i < y.values.length; i++) {
      const row = Math.floor(i / count) * features;
      for (let f = 0; f < features; f++) {
        y.values[i] += (x.values[row + f] - mean.values[f]) * components.values[f * count + (i % count)];
      }
    }
    return y;
  }

  function embedding({weight, ids}, x) {
    const width = weight.shape[1], y = tensor([x.shape[0], width]);
    x.values.forEach((id, t) => {
      const row = ids ? ids.indexOf(id) : id;
      for (let f = 0; f < width; f++) y.values[t * width + f] = weight.values[row * width + f];
    });
    return y;
  }

  /** (channels, height, width) to (height, channels * width). */
  function rows(_, x) {
    const [channels, height, width] = x.shape, y = tensor([height, channels * width]);
    for (let c = 0; c < channels; c++) {
      for (let h = 0; h < height; h++) {
        y.values.set(x.values.subarray((c * height + h) * width, (c * height + h + 1) * width), (h * channels + c) * width);
      }
    }
    return y;
  }

  function transpose(_, x) {
    const [steps, features] = x.shape;
    return map(tensor([features, steps]), (_, i) => x.values[(i % steps) * features + Math.floor(i / steps)]);
  }

  function activation({function: name, slope, strength}, x) {
    const f = activations[name];
    return map(x, (value, i) => {
      const y = f(value, slope);
      return strength ? value + strength.values[i % last(x)] * (y - value) : y;
    });
  }

  function batchNorm(layer, x) {
    const channel = channelOf(x, layer.axis);
    return map(x, (value, i) => {
      const c = channel(i);
      const normalized = (value - layer.mean.values[c]) / Math.sqrt(layer.variance.values[c] + layer.eps);
      return layer.weight ? normalized * layer.weight.values[c] + layer.bias.values[c] : normalized;
    });
  }

  function globalPool(layer, x) {
    const area = size(x.shape.slice(1));
    return map(tensor([x.shape[0], ...x.shape.slice(1).map(() => 1)]), (_, c) =>
      pooled[layer.kind](x.values.subarray(c * area, (c + 1) * area)));
  }

  function softmax(_, x) {
    const y = map(x, (value) => value);
    for (let start = 0; start < y.values.length; start += last(x)) {
      const row = y.values.subarray(start, start + last(x));
      const largest = pooled.max(row);
      row.forEach((value, i) => { row[i] = Math.exp(value - largest); });
      const sum = row.reduce((a, b) => a + b, 0);
      row.forEach((value, i) => { row[i] = value / sum; });
    }
    return y;
  }

  function concat(_, ...parts) {
    const values = Float64Array.from(parts.flatMap((part) => [...part.values]));
    return tensor([parts.reduce((sum, part) => sum + part.shape[0], 0), ...parts[0].shape.slice(1)], values);
  }

  /** Differences of the first features of a sequence from their last values. */
  function difference({features}, x) {
    const end = x.values.length - last(x);
    return firstFeatures(x, features, (value, feature) => value - x.values[end + feature]);
  }

  function addLast({features}, output, x) {
    const end = x.values.length - last(x);
    return map(output, (value, i) => value + x.values[end + (i % features)]);
  }

  /** Each number x beside a linear map of cosines of it; in float32 as torch, since a large angle loses its digits. */
  function numericEmbedding({frequencies, phases, weight, bias}, x) {
    const [numbers, count, added] = weight.shape, values = [], f32 = Math.fround;
    for (let n = 0; n < numbers; n++) {
      const circle = f32(f32(2 * Math.PI) * x.values[n]);
      const waves = Array.from({length: count}, (_, k) =>
        Math.cos(f32(f32(circle * frequencies.values[n * count + k]) + phases.values[n * count + k])));
      values.push(x.values[n]);
      for (let a = 0; a < added; a++) {
        values.push(waves.reduce((sum, wave, k) => sum + wave * weight.values[(n * count + k) * added + a], bias.values[n * added + a]));
      }
    }
    values.push(...x.values.subarray(numbers));
    return tensor([values.length], Float64Array.from(values));
  }

  /** Vectors in place of the one-hot columns of some categories. */
  function categoryEmbedding({sizes, is_embedded: isEmbedded, weight}, x) {
    const values = [], width = weight.shape[1];
    let start = 0, row = 0;
    sizes.forEach((count, part) => {
      const columns = x.values.subarray(start, start + count);
      start += count;
      if (!isEmbedded[part]) {
        values.push(...columns);
        return;
      }
      for (let f = 0; f < width; f++) {
        values.push(columns.reduce((sum, value, i) => sum + value * weight.values[(row + i) * width + f], 0));
      }
      row += count;
    });
    return tensor([values.length], Float64Array.from(values));
  }

  /** A copy of the row for each member, times factors of its own: (features) to (members, features). */
  function members({factors}, x) {
    return map(tensor(factors.shape), (_, i) => x.values[i % factors.shape[1]] * factors.values[i]);
  }

  /** The mean over the members, each with a linear layer of its own. */
  function memberOutputs({weight, bias}, x) {
    const [count, outputs, inputs] = weight.shape, y = tensor([outputs]);
    for (let m = 0; m < count; m++) {
      const row = tensor([inputs], x.values.subarray(m * inputs, (m + 1) * inputs));
      const part = {values: bias.values.subarray(m * outputs, (m + 1) * outputs)};
      linear(row, weight, part, m * outputs * inputs).values.forEach((value, i) => { y.values[i] += value / count; });
    }
    return y;
  }

  const types = {
    impute: ({fill}, x) => firstFeatures(x, fill.values.length, (value, f) => (Number.isNaN(value) ? fill.values[f] : value)),
    one_hot: oneHot,
    scale,
    quantile,
    clip: ({numbers, limit}, x) => firstFeatures(x, numbers, (value) => value / Math.sqrt(1 + (value / limit) ** 2)),
    pca,
    float32: (_, x) => map(x, Math.fround),
    flatten: (_, x) => tensor([x.values.length], x.values),
    identity: (_, x) => x,
    difference,
    add_last: addLast,
    embedding,
    rows,
    transpose,
    linear: ({weight, bias}, x) => linear(x, weight, bias),
    conv: nnzoo.forward.conv,
    pool: nnzoo.forward.pool,
    global_pool: globalPool,
    batch_norm: batchNorm,
    group_norm: (layer, x) => nnzoo.forward.normalize(layer, x, layer.groups, 0),
    layer_norm: (layer, x) => nnzoo.forward.normalize(layer, x, x.values.length / last(x), -1),
    activation,
    add: (_, a, b) => map(a, (value, i) => value + b.values[i]),
    concat,
    recurrent: nnzoo.forward.recurrent,
    readout: nnzoo.forward.readout,
    numeric_embedding: numericEmbedding,
    category_embedding: categoryEmbedding,
    members,
    member_outputs: memberOutputs,
    softmax,
    probability: (_, x) => map(x, nnzoo.forward.sigmoid),
    unscale: ({shift, scale}, x) => map(x, (value, i) => value * scale.values[i % shift.values.length] + shift.values[i % shift.values.length]),
    sort: ({outputs}, x) => {
      const y = tensor([...x.shape]);
      for (let o = 0; o < outputs; o++) {
        const values = x.values.filter((_, i) => i % outputs === o).sort();
        values.forEach((value, q) => { y.values[q * outputs + o] = value; });
      }
      return y;
    },
  };

  /**
   * The output of every layer of a decoded description for one input, its own first.
   * @param {{layers: Object[]}} program from nnzoo.forward.decodeProgram
   * @param {Tensor} input shape and values of one raw sample
   */
  const run = (program, input) => runFrom(program, [tensor(input.shape, Float64Array.from(input.values))]);

  /** The same with the outputs of the first layers given; those behind them are computed. */
  function runFrom(program, first) {
    const outputs = [...first];
    for (const layer of program.layers.slice(first.length)) {
      outputs.push(types[layer.type](layer, ...layer.inputs.map((place) => outputs[place])));
    }
    return outputs;
  }

  /** The prediction alone: probabilities, or values. */
  const prediction = (program, input) => run(program, input).at(-1).values;

  /** The largest difference of predictions from the expected ones, each in its unit; NaN equals NaN. */
  function maxDifference(predictions, expected, units) {
    let largest = 0;
    predictions.forEach((value, i) => {
      if (Object.is(value, expected[i]) || (Number.isNaN(value) && Number.isNaN(expected[i]))) return;
      const off = Math.abs(value - expected[i]) / units[i % units.length];
      largest = Math.max(largest, Number.isNaN(off) ? Infinity : off);
    });
    return largest;
  }

  return {run, runFrom, prediction, maxDifference, types};
})();
