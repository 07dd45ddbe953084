// Mapping of sums to pixels, with a single rounding.

const UNIT = 1e-6; // tolerance for sums of weights of 0 and 1

/** The mapping that `auto` chooses for these weights; while a weight is being typed, the previous one. */
function mappingKind(state, totals) {
  if (state.mapping !== "auto") return state.mapping;
  if (state.held) return state.held;
  if (!state.combine) {
    if (totals.every((total) => Math.abs(total - 1) < UNIT)) return "clip";
    const biases = state.biases.length > 1 ? state.biases : [state.bias];
    if (totals.every((total) => Math.abs(total) < UNIT)) return biases.every(Exact.isZero) ? "signed" : "clip";
  }
  return "stretch";
}

function extremes(lanes) {
  let low = Infinity;
  let high = -Infinity;
  for (const lane of lanes) {
    for (let k = 0; k < lane.length; k++) {
      if (lane[k] < low) low = lane[k];
      if (lane[k] > high) high = lane[k];
    }
  }
  return [low, high];
}

/** Mid-gray of the image's type. */
const middleOf = ({ black, white }) => Math.floor((black + white + 1) / 2);

/** The mapping from sums to pixels in integers: (A·sum + B) / C. */
function exactMapping(state, source, { lanes, filter, kind }) {
  const ends = extremes(lanes);
  const gain = Exact.of(1, filter.denominator);
  const [low, high] = ends.map((sum) => Exact.add(Exact.times(Exact.of(sum), gain), state.bias));
  const limits = state.limits ?? ownLimits(kind, low, high);
  const whole = mapped(state, source, filter, kind, limits);
  const largest = Math.max(...ends.map((sum) => Math.abs(whole.A * sum + whole.B)), whole.C);
  return { low, high, limits, ...whole, exact: largest < LARGEST };
}

/** The mapping of sums of these weights with rational limits, in integers. */
function mapped(state, source, filter, kind, limits) {
  const { factor, offset } = exactFactor(kind, limits, source);
  const gain = Exact.times(factor, Exact.of(1, filter.denominator));
  return wholeNumbers(gain, Exact.add(Exact.times(factor, state.bias), offset));
}

/** gain·sum + offset as integers A, B, C of (A·sum + B) / C. */
function wholeNumbers(gain, offset) {
  const C = lcm(gain.d, offset.d);
  const [A, B] = [gain, offset].map(({ n, d }) => Number(n * (C / d)));
  return { A, B, C: Number(C) };
}

function ownLimits(kind, low, high) {
  if (kind !== "signed") return [low, high];
  const [a, b] = [Exact.size(low), Exact.size(high)];
  const limit = Exact.less(a, b) ? b : a;
  return [Exact.of(-limit.n, limit.d), limit];
}

function exactFactor(kind, limits, source) {
  if (kind === "clip" || kind === "abs") return { factor: ONE, offset: ZERO };
  const [low, high] = limits;
  const { black, white } = source;
  const middle = middleOf(source);
  const [span, range] =
    kind === "signed" ? [white - middle, high] : [white - black, Exact.subtract(high, low)];
  const factor = Exact.isZero(range) ? ZERO : Exact.over(Exact.of(span), range);
  if (kind === "signed") return { factor, offset: Exact.of(middle) };
  return { factor, offset: Exact.subtract(Exact.of(black), Exact.times(factor, low)) };
}

/** The mapping in floats, for roots and for weights whose integers would be too large. */
function floatMapping(state, source, { lanes, filter, kind }) {
  const bias = Exact.number(state.bias);
  const gain = 1 / filter.denominator;
  const { A, B, C } = wholeNumbers(Exact.of(1, filter.denominator), state.bias);
  const value = (sum) => (filter.exact ? (A * sum + B) / C : gain * sum + bias);
  const [low, high] = extremes(lanes).map(value);
  if (filter.exact && (kind === "clip" || kind === "abs" || state.limits)) {
    const limits = state.limits ? state.limits.map(Exact.number) : [low, high];
    return { low, high, limits, ...mapped(state, source, filter, kind, state.limits), exact: false };
  }
  const own = kind === "signed" ? Math.max(low, -low, high, -high) : high;
  const limits = state.limits ? state.limits.map(Exact.number) : [kind === "signed" ? -own : low, own];
  let [factor, offset] = [1, 0];
  if (kind === "signed") {
    offset = middleOf(source);
    factor = limits[1] === 0 ? 0 : (source.white - offset) / limits[1];
  } else if (kind === "stretch") {
    const range = limits[1] - limits[0];
    factor = range === 0 ? 0 : (source.white - source.black) / range;
    offset = source.black - factor * limits[0];
  }
  return { low, high, limits, gain: factor * gain, offset: factor * bias + offset, exact: false };
}

/** The pixels of each lane, and how many values were clipped. */
function painted(computed, source) {
  const { black, white } = source;
  const magnitude = computed.kind === "abs";
  const count = { below: 0, above: 0 };
  const value = computed.exact ? exactPixel(computed) : floatPixel(computed);
  const pixels = computed.lanes.map((sums) => {
    const out = new source.type(sums.length);
    for (let k = 0; k < out.length; k++) {
      const pixel = value(sums[k], magnitude);
      if (pixel < black) count.below += 1;
      else if (pixel > white) count.above += 1;
      out[k] = pixel < black ? black : pixel > white ? white : pixel;
    }
    return out;
  });
  return { pixels, ...count };
}

function exactPixel({ A, B, C }) {
  const scaled = (sum, magnitude) => (magnitude ? Math.abs(A * sum + B) : A * sum + B);
  return C === 1 ? scaled : (sum, magnitude) => quotient(scaled(sum, magnitude), C);
}

function floatPixel({ A, B, C = 1, gain = A, offset = B }) {
  return (sum, magnitude) => {
    const x = (gain * sum + offset) / C;
    return rint(magnitude ? Math.abs(x) : x);
  };
}
