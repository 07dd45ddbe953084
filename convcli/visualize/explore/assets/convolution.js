// Sizes, borders and sums: the arithmetic of the Python engine, with integers in doubles.

const LUMA = [299, 587, 114]; // of 1000: ITU-R BT.601

/** The geometry of one axis, as in `convcli shape`. */
function axis(size, kernel, stride, dilation, [before, after]) {
  const extent = dilation * (kernel - 1) + 1;
  const room = size + before + after - extent;
  const output = room < 0 ? 0 : Math.floor(room / stride) + 1;
  const remainder = room < 0 ? 0 : room % stride;
  return { size, kernel, stride, dilation, before, after, extent, output, remainder };
}

const same = (size, extent, stride) => {
  const total = Math.max((Math.ceil(size / stride) - 1) * stride + extent - size, 0);
  return [Math.floor(total / 2), total - Math.floor(total / 2)];
};
const AMOUNTS = {
  valid: () => [0, 0],
  same,
  "same-lower": (...numbers) => same(...numbers).reverse(),
  full: (size, extent) => [extent - 1, extent - 1],
};

/** Padding [before, after] of both axes for a name or for N, ROWS,COLS or TOP,BOTTOM,LEFT,RIGHT. */
function pads(amount, sizes, extents, strides) {
  const rule = AMOUNTS[amount];
  if (rule) return sizes.map((size, i) => rule(size, extents[i], strides[i]));
  const numbers = amount.split(",").map(Number);
  if (numbers.length === 4) return [numbers.slice(0, 2), numbers.slice(2)];
  const [rows, columns] = [numbers[0], numbers[1] ?? numbers[0]];
  return [
    [rows, rows],
    [columns, columns],
  ];
}

const isAmount = (text) => text in AMOUNTS || /^\d{1,4}(,\d{1,4}|(,\d{1,4}){3})?$/.test(text);

function geometry(state, source) {
  const sizes = [source.rows, source.columns];
  const window = [state.rows, state.columns];
  const extents = window.map((kernel, i) => state.dilation[i] * (kernel - 1) + 1);
  const pairs = pads(state.amount, sizes, extents, state.stride);
  return sizes.map((size, i) => axis(size, window[i], state.stride[i], state.dilation[i], pairs[i]));
}

const modulo = (a, b) => ((a % b) + b) % b;
const CONTINUE = {
  constant: () => -1,
  edge: (p, size) => Math.min(Math.max(p, 0), size - 1),
  symmetric: (p, size) => {
    const phase = modulo(p, 2 * size);
    return Math.min(phase, 2 * size - 1 - phase);
  },
  reflect: (p, size) => {
    const period = Math.max(2 * (size - 1), 1);
    const phase = modulo(p, period);
    return Math.min(phase, period - phase) % size;
  },
  wrap: (p, size) => modulo(p, size),
};

/** The index that each padded position of an axis is read from; -1 for a constant. */
function sources(fill, { size, before, after }) {
  const indices = new Int32Array(size + before + after);
  for (let i = 0; i < indices.length; i++) {
    const p = i - before;
    indices[i] = p >= 0 && p < size ? p : CONTINUE[fill](p, size);
  }
  return indices;
}

/** One channel with its padding, row by row. */
function padded(plane, source, axes, state) {
  const [rows, columns] = axes.map((one) => sources(state.fill, one));
  const out = new Float64Array(rows.length * columns.length);
  let o = 0;
  for (const row of rows) {
    const start = row * source.columns;
    for (let j = 0; j < columns.length; j++) {
      out[o++] = row < 0 || columns[j] < 0 ? state.constant : plane[start + columns[j]];
    }
  }
  return out;
}

const totalOf = (planes) => planes.reduce((t, w) => t + w.reduce((a, b) => a + b, 0), 0);

/** The sum of the weights of every map of a layer. */
function bankTotals({ maps, inputs, scale }) {
  const numbers = maps.map((map) => map.map(Exact.number));
  const count = maps.length / inputs;
  return Array.from({ length: count }, (_, m) => {
    return totalOf(numbers.slice(m * inputs, (m + 1) * inputs)) * Exact.number(scale);
  });
}

/** Weights as integers over `denominator` if that is exact, else as floats over 1. */
function prepared(state, source) {
  const first = state.map * state.inputs;
  const chosen = state.combine ? state.maps : state.maps.slice(first, first + state.inputs);
  const maps = chosen.map((map) => map.map((weight) => Exact.times(weight, state.scale)));
  if (state.flip) maps.forEach((map) => map.reverse());
  const flat = maps.flat();
  const common = flat.reduce((d, weight) => lcm(d, weight.d), 1n);
  const shared = flat.reduce((g, { n, d }) => gcd(g, n * (common / d)), common);
  const numerators = maps.map((map) => map.map(({ n, d }) => Number((n * (common / d)) / shared)));
  const gray = state.channels === "gray" && source.planes.length === 3;
  const inputs = state.channels === "each" ? 1 : source.planes.length;
  const shares = gray ? LUMA : Array(inputs).fill(1);
  const perInput = (planes, change) =>
    state.inputs > 1
      ? [planes.map((plane) => Float64Array.from(plane, (w) => change(w, 1)))]
      : planes.map((plane) => shares.map((share) => Float64Array.from(plane, (w) => change(w, share))));
  let weights = perInput(numerators, (w, share) => w * share);
  let denominator = Number(common / shared) * (gray ? 1000 : 1);
  const largest = Math.max(Math.abs(source.black), source.white, Math.abs(state.constant));
  const reach = weights.map((map) => map.flatMap((w) => [...w]).reduce((sum, w) => sum + Math.abs(w), 0));
  const exact = denominator < 2 ** 40 && Math.max(...reach) * largest < 2 ** 50;
  if (!exact) {
    weights = perInput(maps, (w, share) => (gray ? (Exact.number(w) * share) / 1000 : Exact.number(w)));
    denominator = 1;
  }
  const totals = state.inputs > 1 ? bankTotals(state) : weights.map((map) => totalOf(map) / denominator);
  return { weights, denominator, exact, totals };
}

/** The sums of one lane and one map over all input channels; yields at each tap. */
function* correlate(planes, weights, axes, width) {
  const [rows, columns] = axes;
  const sums = new Float64Array(rows.output * columns.output);
  for (const [input, plane] of planes.entries()) {
    for (const [tap, weight] of weights[input].entries()) {
      yield;
      if (weight === 0) continue;
      const i = Math.floor(tap / columns.kernel) * rows.dilation;
      const j = (tap % columns.kernel) * columns.dilation;
      addShifted(sums, plane, weight, i * width + j, rows, columns, width);
    }
  }
  return sums;
}

function addShifted(sums, plane, weight, offset, rows, columns, width) {
  const { output, stride } = columns;
  for (let r = 0, o = 0; r < rows.output; r++) {
    let from = offset + r * rows.stride * width;
    for (let c = 0; c < output; c++, from += stride) sums[o++] += weight * plane[from];
  }
}

/** How the sum of one map is combined with those before it. */
const JOIN = {
  l2: (value, other) => value + other * other,
  l1: (value, other) => value + Math.abs(other),
  linf: (value, other) => Math.max(value, Math.abs(other)),
  max: (value, other) => Math.max(value, other),
  min: (value, other) => Math.min(value, other),
};

/** Combine several maps in place of the first. */
function combined(how, maps) {
  const [first, ...others] = maps;
  const signed = how === "max" || how === "min";
  for (let k = 0; k < first.length; k++) {
    let value = signed ? first[k] : JOIN[how](0, first[k]);
    for (const { [k]: other } of others) value = JOIN[how](value, other);
    first[k] = how === "l2" ? Math.sqrt(value) : value;
  }
  return first;
}

/** How often `convolving` yields, and how many products it adds between two yields. */
function workOf(state, source) {
  const [rows, columns] = geometry(state, source);
  const maps = state.combine ? state.maps.length : 1;
  const taps = state.rows * state.columns * maps * source.planes.length;
  return { taps, products: rows.output * columns.output };
}

/**
 * Compute the feature map and its pixels; yields so that the page can stop in between.
 *
 * Returns axes, lanes of sums with their denominator, the range, the mapping with its numbers, the pixels of each
 * lane, how many were clipped, and whether the arithmetic was exact.
 */
function* convolving(state, source) {
  const axes = geometry(state, source);
  if (axes.some((one) => one.output < 1)) return { axes, empty: true };
  const filter = prepared(state, source);
  const planes = source.planes.map((plane) => padded(plane, source, axes, state));
  const width = axes[1].size + axes[1].before + axes[1].after;
  const groups = state.channels === "each" ? planes.map((plane) => [plane]) : [planes];
  const lanes = [];
  for (const group of groups) {
    const maps = [];
    for (const weights of filter.weights) maps.push(yield* correlate(group, weights, axes, width));
    lanes.push(state.combine ? combined(state.combine, maps) : maps[0]);
  }
  const exact = filter.exact && state.combine !== "l2" && Number.isInteger(state.constant);
  const computed = {
    axes,
    planes,
    width,
    lanes,
    exact,
    filter,
    kind: mappingKind(state, filter.totals),
  };
  Object.assign(computed, exact ? exactMapping(state, source, computed) : floatMapping(state, source, computed));
  return Object.assign(computed, painted(computed, source));
}
