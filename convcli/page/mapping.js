// From sums to pixels: which value becomes black, gray and white, with one rounding.

const UNIT = 1e-6; // how far a sum of weights may be from a whole number and still be meant as it

/** The kind of mapping that `auto` takes for these weights. */
function mappingKind(state, totals) {
  if (state.mapping !== "auto") return state.mapping;
  if (!state.combine) {
    if (totals.every((total) => Math.abs(total - 1) < UNIT)) return "clip";
    if (totals.every((total) => Math.abs(total) < UNIT)) return Exact.isZero(state.bias) ? "signed" : "clip";
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

/** Mid-gray of the picture's type. */
const middleOf = ({ black, white }) => Math.floor((black + white + 1) / 2);

/** From sums to pixels as whole numbers: (A·sum + B) / C. */
function exactMapping(state, picture, { lanes, filter, kind }) {
  const ends = extremes(lanes);
  const gain = Exact.of(1, filter.denominator);
  const [low, high] = ends.map((sum) => Exact.add(Exact.times(Exact.of(sum), gain), state.bias));
  const limits = state.limits ?? ownLimits(kind, low, high);
  const { factor, offset } = exactFactor(kind, limits, picture);
  const G = Exact.times(factor, gain);
  const O = Exact.add(Exact.times(factor, state.bias), offset);
  const C = lcm(G.d, O.d);
  const [A, B] = [G, O].map(({ n, d }) => Number(n * (C / d)));
  const largest = Math.max(...ends.map((sum) => Math.abs(A * sum + B)), Number(C));
  return { low, high, limits, A, B, C: Number(C), exact: largest < LARGEST };
}

function ownLimits(kind, low, high) {
  if (kind !== "signed") return [low, high];
  const [a, b] = [Exact.size(low), Exact.size(high)];
  const limit = Exact.less(a, b) ? b : a;
  return [Exact.of(-limit.n, limit.d), limit];
}

function exactFactor(kind, [low, high], picture) {
  if (kind === "clip" || kind === "abs") return { factor: ONE, offset: ZERO };
  const { black, white } = picture;
  const middle = middleOf(picture);
  const [span, range] =
    kind === "signed" ? [white - middle, high] : [white - black, Exact.subtract(high, low)];
  const factor = Exact.isZero(range) ? ZERO : Exact.over(Exact.of(span), range);
  if (kind === "signed") return { factor, offset: Exact.of(middle) };
  return { factor, offset: Exact.subtract(Exact.of(black), Exact.times(factor, low)) };
}

/** The same in floats, for roots and for weights that are no fractions of small integers. */
function floatMapping(state, picture, { lanes, filter, kind, single }) {
  const bias = Exact.number(state.bias);
  const gain = 1 / filter.denominator;
  const [low, high] = extremes(lanes).map((sum) => gain * sum + bias);
  const own = kind === "signed" ? Math.max(low, -low, high, -high) : high;
  const limits = state.limits ? state.limits.map(Exact.number) : [kind === "signed" ? -own : low, own];
  let [factor, offset] = [1, 0];
  if (kind === "signed") {
    offset = middleOf(picture);
    factor = limits[1] === 0 ? 0 : (picture.white - offset) / limits[1];
  } else if (kind === "stretch") {
    const range = limits[1] - limits[0];
    factor = range === 0 ? 0 : (picture.white - picture.black) / range;
    offset = picture.black - factor * limits[0];
  }
  return { low, high, limits, gain: factor * gain, offset: factor * bias + offset, single, exact: false };
}

/** Pixels by lane, and how many values lay beyond black and white. */
function painted(found, picture) {
  const { black, white } = picture;
  const magnitude = found.kind === "abs";
  const count = { below: 0, above: 0 };
  const value = found.exact ? exactPixel(found) : floatPixel(found);
  const pixels = found.lanes.map((sums) => {
    const out = new picture.type(sums.length);
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

function floatPixel({ A, B, C, gain = A / C, offset = B / C, single }) {
  const [g, o] = single ? [Math.fround(gain), Math.fround(offset)] : [gain, offset];
  const kept = single ? Math.fround : (x) => x;
  return (sum, magnitude) => {
    let x = g === 1 ? sum : kept(sum * g);
    if (o !== 0) x = kept(x + o);
    return rint(magnitude ? Math.abs(x) : x);
  };
}
