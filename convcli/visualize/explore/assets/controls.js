// Form fields: what they show, and what they change.

function showControls() {
  const texts = {
    "kernel-rows": state.rows,
    "kernel-columns": state.columns,
    scale: Exact.text(state.scale),
    bias: Exact.text(state.bias),
    "stride-rows": state.stride[0],
    "stride-columns": state.stride[1],
    "dilation-rows": state.dilation[0],
    "dilation-columns": state.dilation[1],
    fill: state.fill,
    constant: state.constant,
    channels: state.channels,
    mapping: state.mapping,
    preset: state.kernel,
    limits: limitsText(),
    amount: state.amount in AMOUNTS ? state.amount : "pixels",
  };
  for (const [id, text] of Object.entries(texts)) write(el(id), String(text));
  if (!(state.amount in AMOUNTS)) write(el("pixels"), state.amount);
  el("flip").checked = state.flip;
  el("pixels-label").hidden = state.amount in AMOUNTS;
  el("fill").disabled = el("constant").disabled = state.amount === "valid";
  el("constant-label").hidden = state.fill !== "constant";
  el("channels-label").hidden = NAMES.length === 1 || state.inputs > 1;
  el("limits-label").hidden = !["signed", "stretch"].includes(state.mapping);
  showChoices(
    el("which"),
    Array.from({ length: state.maps.length / state.inputs }, (_, i) => `${i}`),
    state.map,
    el("which-label"),
  );
  const lanes = computed.lanes.length > 1 ? NAMES : state.channels === "sum" ? NAMES : NAMES.slice(0, 1);
  const kept = Math.max(el("channel").selectedIndex, 0);
  showChoices(el("channel"), lanes, kept < lanes.length ? kept : 0, el("channel-label"));
  for (const [axis, id] of ["row", "column"].entries()) el(id).max = computed.axes[axis].output - 1;
  showKernel();
  el("input-size").title = "padding: top, bottom, left, right";
  el("input-size").textContent = `${source.rows} × ${source.columns} ${paddedText()}`;
  showFacts(facts());
  el("command").textContent = command();
}

/** Set a field, unless it has the focus and is being edited. */
function write(field, text) {
  field.removeAttribute("aria-invalid");
  if (document.activeElement !== field) field.value = text;
}

function showChoices(select, names, index, label) {
  label.hidden = names.length < 2;
  select.replaceChildren(...names.map((name, i) => new Option(name, i)));
  select.selectedIndex = index;
}

function limitsText() {
  if (!state.limits) return "";
  const [low, high] = state.limits.map(Exact.text);
  return state.mapping === "signed" ? high : `${low},${high}`;
}

function paddedText() {
  const [rows, columns] = computed.axes;
  const sides = [rows.before, rows.after, columns.before, columns.after];
  if (!sides.some(Boolean)) return "";
  return sides.every((side) => side === sides[0]) ? `+ ${sides[0]} on each side` : `+ ${sides.join(", ")}`;
}

/** Show the editable grid; existing fields stay, so that typing in one is not interrupted. */
function showKernel() {
  const table = el("kernel");
  const large = Math.max(state.rows, state.columns) > 15;
  for (const id of ["patch", "kernel", "products"]) el(id).parentElement.hidden = large;
  document.querySelectorAll(".sign").forEach((sign) => (sign.hidden = large));
  table.caption.textContent = kernelTitle(shownInput());
  table.classList.toggle("large", isLarge());
  const weights = state.maps[planeOf(shownInput())];
  const shape = `${state.rows}×${state.columns}`;
  if (large) return;
  if (table.dataset.shape !== shape) {
    table.dataset.shape = shape;
    table.tBodies[0].replaceChildren(
      ...Array.from({ length: state.rows }, (_, i) => {
        const line = document.createElement("tr");
        line.append(...Array.from({ length: state.columns }, (_, j) => kernelCell(i, j)));
        return line;
      }),
    );
  }
  const most = Math.max(...weights.map((w) => Math.abs(Exact.number(w))));
  table.querySelectorAll("input").forEach((field, shownAt) => {
    const weight = weights[state.flip ? weights.length - 1 - shownAt : shownAt];
    write(field, weightText(weight));
    field.title = Exact.text(weight);
    field.parentElement.style.background = tint(Exact.number(weight), most).background;
  });
  fitKernel();
}

/** Make cells as wide as the longest weight of the map. */
function fitKernel() {
  const lengths = [...el("kernel").querySelectorAll("input")].map((field) => field.value.length);
  const first = state.map * state.inputs;
  const others = state.inputs > 1 ? state.maps.slice(first, first + state.inputs).flat() : [];
  const longest = Math.max(...lengths, ...others.map((weight) => weightText(weight).length));
  el("kernel").closest("section").style.setProperty("--weight", `${longest}ch`);
}

/** A weight in full if it is short, else to as many digits as there is room for. */
function weightText(weight) {
  const text = Exact.text(weight).replace("-", "−");
  return text.length <= 7 ? text : shortened(Exact.number(weight), hasLittleRoom() ? 3 : 4);
}

function kernelCell(i, j) {
  const cell = document.createElement("td");
  const field = document.createElement("input");
  Object.assign(field, { type: "text", inputMode: "decimal", autocomplete: "off", spellcheck: false });
  field.setAttribute("aria-label", `weight, row ${i}, column ${j}`);
  const place = () =>
    state.flip ? state.rows * state.columns - 1 - (i * state.columns + j) : i * state.columns + j;
  const take = (weight) => {
    if (!weight) return refuse(field, Exact.problem(field.value));
    const maps = state.maps.map((map) => [...map]);
    maps[planeOf(shownInput())][place()] = weight;
    return set({ maps, held: computed.kind }, true); // a half-typed number must not change the mapping
  };
  field.addEventListener("focus", () => field.select());
  field.addEventListener("input", () => {
    fitKernel();
    take(Exact.parse(field.value));
  });
  field.addEventListener("blur", leave);
  field.addEventListener("keydown", (event) => {
    const step = { ArrowUp: 1, ArrowDown: -1 }[event.key];
    if (!step) return;
    event.preventDefault();
    const weight = () => state.maps[planeOf(shownInput())][place()];
    take(Exact.add(weight(), Exact.of(step)));
    field.value = weightText(weight());
  });
  cell.append(field);
  return cell;
}

/** Mark a field as invalid and show the reason. */
function refuse(field, reason) {
  field.setAttribute("aria-invalid", "true");
  return say(reason);
}

/** After the last change of a field: show the value in use, and let `auto` choose a mapping again. */
function leave() {
  say("");
  if ((pending ?? state).held) set({});
  else if (computed) showControls();
}

/** Change the size of the kernel around its center. */
function resized(rows, columns) {
  const maps = state.maps.map((map) =>
    Array.from({ length: rows * columns }, (_, k) => {
      const i = Math.floor(k / columns) - Math.floor((rows - state.rows) / 2);
      const j = (k % columns) - Math.floor((columns - state.columns) / 2);
      const inside = i >= 0 && j >= 0 && i < state.rows && j < state.columns;
      return inside ? map[i * state.columns + j] : ZERO;
    }),
  );
  return set({ rows, columns, maps }, true);
}

/** The integer in a field; null if there is none, with the field marked. */
function whole(field) {
  const value = Number(field.value);
  const good = field.value !== "" && Number.isInteger(value) && field.validity.valid;
  if (good) return value;
  const [low, high] = [field.min, field.max];
  refuse(field, `${field.value ? `${field.value} is not valid: enter` : "Enter"} an integer${low && high ? ` from ${low} to ${high}` : ""}.`);
  return null;
}

function onWhole(ids, take) {
  for (const id of ids) {
    el(id).addEventListener("input", () => {
      const values = ids.map((other) => whole(el(other)));
      if (!values.includes(null)) take(values);
    });
    el(id).addEventListener("blur", leave);
  }
}

function onText(id, parse, take, problem = Exact.problem) {
  el(id).addEventListener("input", () => {
    const text = el(id).value.trim();
    const value = parse(text);
    if (value === undefined || value === null) refuse(el(id), problem(text));
    else take(value);
  });
  el(id).addEventListener("blur", leave);
}

const nonzero = (text) => {
  const value = Exact.parse(text);
  return value && Exact.isZero(value) ? null : value;
};
const nonzeroProblem = (text) =>
  Exact.parse(text) ? "The scale must not be 0." : Exact.problem(text);

/** Why `parsedLimits` returns null. */
function limitsProblem(text) {
  const wrong = text.split(",").find((part) => !Exact.parse(part));
  if (wrong !== undefined) return Exact.problem(wrong);
  return state.mapping === "signed"
    ? "For signed, the range is one number above 0."
    : "For stretch, the range is LOW,HIGH with LOW below HIGH.";
}

/** [low, high] of a typed range, `false` for the range of the map, or null if it is invalid. */
function parsedLimits(text) {
  if (!text) return false;
  const parts = text.split(",").map(Exact.parse);
  if (parts.includes(null)) return null;
  if (state.mapping === "signed") {
    return parts.length === 1 && parts[0].n > 0n ? [Exact.subtract(ZERO, parts[0]), parts[0]] : null;
  }
  return parts.length === 2 && Exact.less(...parts) ? parts : null;
}

function connect() {
  const presets = el("preset");
  presets.append(
    new Option("custom", ""),
    ...data.presets.map(({ name, description }) => {
      const option = new Option(name, name);
      option.title = description;
      return option;
    }),
  );
  const choose = (id, take) => el(id).addEventListener("change", () => take(el(id).value));
  choose("preset", (name) => {
    if (!name) return;
    const layer = (pending ?? state).inputs > 1; // its channels are summed
    const chosen = kernelState(data.presets.find((entry) => entry.name === name));
    set(layer ? { channels: "each", ...chosen } : chosen);
  });
  onWhole(["kernel-rows", "kernel-columns"], ([rows, columns]) => resized(rows, columns));
  onWhole(["stride-rows", "stride-columns"], (stride) => set({ stride }));
  onWhole(["dilation-rows", "dilation-columns"], (dilation) => set({ dilation }));
  onWhole(["constant"], ([constant]) => set({ constant }));
  onWhole(["row", "column"], (at) => moveTo(at));
  onText("scale", nonzero, (scale) => set({ scale }), nonzeroProblem);
  onText("bias", Exact.parse, (bias) => {
    const biases = [...state.biases];
    if (biases.length > 1) biases[state.map] = bias;
    set({ bias, biases });
  });
  onText(
    "pixels",
    (text) => (isAmount(text) ? text : null),
    (amount) => set({ amount }),
    (text) => `${text ? `${text} is not valid: enter` : "Enter"} N, ROWS,COLS or TOP,BOTTOM,LEFT,RIGHT in pixels.`,
  );
  onText("limits", parsedLimits, (limits) => set({ limits: limits || null }), limitsProblem);
  choose("amount", (amount) => set({ amount: amount === "pixels" ? el("pixels").value || "1" : amount }));
  choose("fill", (fill) => set({ fill }));
  choose("channels", (channels) => set({ channels }));
  choose("mapping", (mapping) => set({ mapping, limits: null }));
  choose("which", (map) => {
    const { biases, bias } = state;
    set({ map: Number(map), bias: biases.length > 1 ? biases[map] : bias });
  });
  choose("channel", () => {
    showKernel();
    show();
  });
  el("flip").addEventListener("change", () => set({ flip: el("flip").checked }));
  el("reset").addEventListener("click", () => set(initial()));
  el("play").addEventListener("click", play);
  document.querySelector("form").addEventListener("submit", (event) => event.preventDefault());
  for (const id of ["input", "map"]) connectCanvas(el(id), id === "input");
  window.addEventListener("resize", show);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", show);
}
