// The selected output as grids and text, the details, and the equivalent command.

/** Show patch, products and steps of the selected output. */
function showValue() {
  const [rows, columns] = computed.axes;
  const input = shownInput();
  const lane = computed.lanes.length > 1 ? input : 0;
  const where = state.at[0] * columns.output + state.at[1];
  for (const [i, id] of ["row", "column"].entries()) write(el(id), String(state.at[i]));
  const gray = state.channels === "gray" && computed.planes.length === 3;
  const cells = cellsOf(input);
  const large = Math.max(state.rows, state.columns) > 15;
  if (!large) {
    fillTable(el("patch"), patchLines(cells));
    fillTable(el("products"), productLines(cells));
  }
  el("patch").caption.textContent =
    `patch${NAMES.length > 1 ? `, ${gray ? "brightness" : NAMES[input]}` : ""}`;
  showOthers(large ? [] : NAMES.map((_, i) => i).filter((i) => state.inputs > 1 && i !== input));
  el("legend").textContent = cells.some((cell) => cell.padding)
    ? `Dashed cells are padding (${state.fill === "constant" ? state.constant : state.fill}).`
    : Math.max(state.rows, state.columns) > 15
      ? `Kernels above 15 × 15 are not shown as grids.`
      : "";
  const steps = stepsOf(cells, lane, where);
  showSteps(steps);
  el("value").textContent =
    `Row ${state.at[0]}, column ${state.at[1]}: ${steps.map((s) => `${s.name} ${s.how} = ${s.value}`).join("; ")}`;
}

/** The input channel that is chosen. */
const shownInput = () => Math.max(el("channel").selectedIndex, 0);

/** Where the weights of an input channel are in `state.maps`. */
const planeOf = (input) => state.map * state.inputs + (state.inputs > 1 ? input : 0);

const rotated = (weights) => (state.flip ? [...weights].reverse() : weights);

const kernelTitle = (input) =>
  `kernel${state.inputs > 1 ? `, ${NAMES[input]}` : ""}${state.flip ? ", rotated" : ""}`;

/** What the window reads of an input channel or of the brightness, and its products. */
function cellsOf(input) {
  const [rows, columns] = computed.axes;
  const gray = state.channels === "gray" && computed.planes.length === 3;
  const brightness = (k) => computed.planes.reduce((sum, plane, i) => sum + LUMA[i] * plane[k], 0) / 1000;
  const read = gray ? brightness : (k) => computed.planes[computed.planes.length > 1 ? input : 0][k];
  return rotated(state.maps[planeOf(input)]).map((weight, k) => {
    const row = state.at[0] * rows.stride + Math.floor(k / columns.kernel) * rows.dilation;
    const column = state.at[1] * columns.stride + (k % columns.kernel) * columns.dilation;
    const value = read(row * computed.width + column);
    const y = row - rows.before;
    const x = column - columns.before;
    const padding = y < 0 || x < 0 || y >= rows.size || x >= columns.size;
    return { value, padding, weight, product: value * Exact.number(weight) };
  });
}

const sumOf = (cells) => cells.reduce((total, cell) => total + cell.product, 0);

const patchLines = (cells) =>
  lines(
    cells.map(({ value, padding }) => {
      return { text: shown(value, 5), padding, style: grayCell(value, source) };
    }),
  );

function productLines(cells) {
  const digits = hasLittleRoom() ? 3 : 5;
  const most = Math.max(...cells.map((cell) => Math.abs(cell.product)));
  return lines(cells.map(({ product }) => ({ text: shown(product, digits), style: tint(product, most) })));
}

function weightLines(cells) {
  const numbers = cells.map((cell) => Exact.number(cell.weight));
  const most = Math.max(...numbers.map(Math.abs));
  return lines(cells.map((cell, k) => ({ text: weightText(cell.weight), style: tint(numbers[k], most) })));
}

/** Show patch, weights and products of the input channels that are not chosen. */
function showOthers(inputs) {
  if (inputs.length) el("others").after(el("steps"));
  else document.querySelector(".product").append(el("steps"));
  el("others").replaceChildren(
    ...inputs.map((input) => {
      const cells = cellsOf(input);
      const row = document.createElement("div");
      row.className = "product";
      row.append(
        staticTable(`patch, ${NAMES[input]}`, patchLines(cells)),
        signed("·", staticTable(kernelTitle(input), weightLines(cells), "weights")),
        signed("=", staticTable("products", productLines(cells))),
      );
      return row;
    }),
  );
}

const lines = (cells) =>
  Array.from({ length: state.rows }, (_, i) => cells.slice(i * state.columns, (i + 1) * state.columns));

function stepsOf(cells, lane, where) {
  const { filter, lanes, pixels, kind } = computed;
  const steps = [];
  const sum = sumOf(cells);
  const several = state.combine && state.maps.length > 1;
  const partial = state.channels === "sum" && computed.planes.length > 1;
  const how = partial ? "of the products of this channel" : "of the products";
  if (state.inputs > 1)
    for (const [i, name] of NAMES.entries())
      steps.push({ name: `sum, ${name}`, how: "of the products", value: shown(sumOf(cellsOf(i))) });
  else if (!several) steps.push({ name: "sum", how, value: shown(sum) });
  else
    for (const [m, map] of state.maps.entries()) {
      const own = rotated(map);
      const total = cells.reduce((t, cell, k) => t + cell.value * Exact.number(own[k]), 0);
      steps.push({ name: `sum, map ${m}`, how, value: shown(total) });
    }
  const factor = computed.exact ? Exact.over(Exact.of(1, filter.denominator), state.scale) : ONE;
  const total = computed.exact ? Exact.times(Exact.of(lanes[lane][where]), factor) : null;
  if (several)
    steps.push({
      name: "combined",
      how: {
        l2: "√ of the sum of squares",
        l1: "sum of absolute values",
        linf: "largest absolute value",
        max: "maximum",
        min: "minimum",
      }[state.combine],
      value: shown(lanes[lane][where] / filter.denominator / Exact.number(state.scale)),
    });
  else if (partial)
    steps.push({
      name: "all channels",
      how: "sum over channels",
      value: total ? shownExact(total) : shown(lanes[lane][where]),
    });
  let value = total ? Exact.times(total, state.scale) : null;
  let number = value ? Exact.number(value) : lanes[lane][where] / filter.denominator;
  const push = (name, how) => steps.push({ name, how, value: value ? shownExact(value) : shown(number, 9) });
  if (state.scale.n !== state.scale.d) push("scale", `× ${Exact.text(state.scale)}`);
  if (!Exact.isZero(state.bias)) {
    number += Exact.number(state.bias);
    value = value && Exact.add(value, state.bias);
    push("bias", `+ ${Exact.text(state.bias).replace("-", "−")}`);
  }
  const pixel = pixels[lane][where];
  const level = grayCell(pixel, source).background;
  steps.push({ name: "pixel", how: mappingText(kind), value: shown(pixel), swatch: level });
  return steps;
}

const number = (value) => (typeof value === "number" ? value : Exact.number(value));

function mappingText(kind) {
  const { black, white } = source;
  const [low, high] = computed.limits.map((limit) => shown(number(limit)));
  const middle = middleOf(source);
  return {
    clip: `rounded, clipped to ${shown(black)} … ${white}`,
    abs: `absolute value, rounded, at most ${white}`,
    signed: `${middle} + ${white - middle} · v / ${high}, rounded`,
    stretch: `${low} … ${high} → ${shown(black)} … ${white}, rounded`,
  }[kind];
}

function facts() {
  const [rows, columns] = computed.axes;
  const colors = computed.lanes.length;
  const [height, width] = [rows.output, columns.output];
  const { below, above, low, high, kind, exact } = computed;
  const inputs = computed.filter.weights[0].length;
  const products =
    height * width * colors * state.rows * state.columns * inputs * computed.filter.weights.length;
  return [
    [
      "operation",
      state.flip ? "convolution (kernel rotated by 180°)" : "cross-correlation, as in neural networks",
    ],
    ["rows", formula(rows)],
    ["columns", formula(columns)],
    ["shape", `(1, ${height}, ${width}, ${colors}) NHWC, (1, ${colors}, ${height}, ${width}) NCHW`],
    ["range", `${shown(number(low))} … ${shown(number(high))} before the mapping`],
    ["mapping", `${kind}: ${mappingText(kind)}`],
    ["saturated", `${below} below and ${above} above of ${height * width * colors} values`],
    ["arithmetic", exact ? "exact integers, rounded once" : "floating point"],
    [
      "cost",
      `${products.toLocaleString("en").replaceAll(",", " ")} multiply-adds in ${computed.milliseconds.toFixed(0)} ms here`,
    ],
  ];
}

const quoted = (text) => (/^[\w@%+=:,./-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`);

const both = ([rows, columns]) => (rows === columns ? `${rows}` : `${rows},${columns}`);

/** The preset with the weights that are shown: for a bank that is not combined, a preset of a single kernel. */
function shownPreset() {
  const states = data.presets.map(kernelState);
  const named = states.find(({ kernel }) => kernel === state.kernel);
  if (!named || named.combine || named.inputs > 1 || named.maps.length === 1) return named;
  const weights = state.maps[state.map].map(Exact.text).join();
  return states.find(
    ({ maps, rows, combine }) =>
      !combine && maps.length === 1 && rows === state.rows && maps[0].map(Exact.text).join() === weights,
  );
}

/** The command that writes the same image. */
function command() {
  const own = () => {
    const weights = state.maps[state.map];
    return lines(weights)
      .map((line) => line.map(Exact.text).join(" "))
      .join("; ");
  };
  const preset = shownPreset();
  if (!preset && state.combine) return "(no command: the bank was edited)";
  if (!preset && state.inputs > 1) return "(no command: the layer was edited)";
  const words = ["convcli", "apply", quoted(data.source), "--kernel", quoted(preset ? preset.kernel : own())];
  const scale = preset ? Exact.over(state.scale, preset.scale) : state.scale;
  if (scale.n !== scale.d) words.push("--scale", Exact.text(scale));
  const bias = preset ? (preset.biases[state.map] ?? preset.bias) : ZERO;
  if (Exact.text(state.bias) !== Exact.text(bias)) words.push(`--bias=${Exact.text(state.bias)}`);
  const layer = preset && preset.layer; // --layer sets what other options leave out
  if (layer) words.push("--layer");
  if (layer || both(state.stride) !== "1") words.push("--stride", both(state.stride));
  const fill = state.fill === "constant" ? `${state.constant || "zero"}` : state.fill;
  const padding = state.amount === "valid" ? "valid" : `${state.amount}:${fill}`;
  if (layer || padding !== "same:reflect") words.push("--padding", padding);
  if (layer || both(state.dilation) !== "1") words.push("--dilation", both(state.dilation));
  if (state.flip) words.push("--flip");
  if (state.channels !== "each" && NAMES.length > 1 && state.inputs === 1) words.push("--channels", state.channels);
  const limits = limitsText();
  const mapping = state.mapping === "auto" && state.held ? state.held : state.mapping;
  if (mapping !== "auto") words.push("--map", limits ? `${mapping}:${limits}` : mapping);
  if (data.alpha) words.push("--alpha", "drop");
  if (data.frames > 1) words.push("--frames", "0");
  return words.join(" ");
}
