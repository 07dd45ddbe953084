// State of the page, computation, and events.

const data = JSON.parse(el("data").textContent);
const NAMES = data.channels === 3 ? ["red", "green", "blue"] : ["gray"];

let source; // planes of values, and their black and white
let state; // the settings in the fields
let computed; // the result of `convolving` for that state
let images; // input and feature map, drawn once
let pending; // the state that is still being computed

const AT_ONCE = 3e7; // products that are computed without a pause
const SLICE = 30; // milliseconds of computing between pauses

/** The planes of the image, from compressed differences of rows. */
async function unpacked({ rows, columns, channels, type, pixels }) {
  const bytes = Uint8Array.from(atob(pixels), (c) => c.charCodeAt(0));
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"));
  const raw = new Uint8Array(await new Response(stream).arrayBuffer());
  const line = raw.length / rows;
  for (let k = line; k < raw.length; k++) raw[k] += raw[k - line];
  const kind = { uint8: Uint8Array, uint16: Uint16Array, int8: Int8Array, int16: Int16Array }[type];
  const values = new kind(raw.buffer);
  const planes = Array.from({ length: channels }, (_, i) => {
    return Float64Array.from({ length: rows * columns }, (_, k) => values[k * channels + i]);
  });
  return { rows, columns, planes, type: kind, black: data.black, white: data.white };
}

const copied = (value) => ({ ...value, maps: value.maps.map((map) => [...map]), at: [...value.at] });

function kernelState({ name, rows, columns, inputs, maps, scale, biases, combine, layer }) {
  return {
    kernel: name,
    rows,
    columns,
    combine,
    layer,
    inputs, // channels that a map reads, each with weights of its own: `maps` has those of map 0 first
    ...(inputs > 1 ? { channels: "sum" } : {}),
    map: 0,
    maps: maps.map((map) => map.map(Exact.parse)),
    scale: Exact.parse(scale),
    biases: biases.map(Exact.parse),
    bias: Exact.parse(biases[0]),
  };
}

function initial() {
  const { kernel, limits, ...rest } = data.state;
  const parsed = limits && limits.map(Exact.parse);
  return copied({ ...rest, ...kernelState(kernel), limits: parsed });
}

/**
 * Apply changes to the state, compute the feature map, and show it; or explain why that is not possible.
 *
 * Large kernels are computed in slices so that the page stays responsive; a new change starts over.
 */
function set(changes, kernelIsOwn = false) {
  const next = copied({ ...(pending ?? state), held: null, ...changes });
  if (kernelIsOwn) next.kernel = "";
  if (next.map >= next.maps.length / next.inputs) next.map = 0;
  const { taps, products } = workOf(next, source);
  const work = { next, taps, done: 0, pieces: convolving(next, source), milliseconds: 0 };
  pending = next;
  return compute(work, taps * products <= AT_ONCE ? Infinity : SLICE);
}

/** Compute for `slice` milliseconds and continue later, unless a newer change has replaced this work. */
function compute(work, slice) {
  if (pending !== work.next) return false;
  const begun = performance.now();
  let piece;
  do {
    piece = work.pieces.next();
    work.done += 1;
  } while (!piece.done && performance.now() - begun < slice);
  work.milliseconds += performance.now() - begun;
  if (piece.done) return take(work.next, piece.value, work.milliseconds);
  el("map-size").textContent = `computing: ${Math.floor((100 * work.done) / work.taps)} %`;
  setTimeout(() => compute(work, slice));
  return true;
}

function take(next, result, milliseconds) {
  pending = undefined;
  if (result.empty) {
    const [rows, columns] = result.axes;
    return say(
      `The kernel covers ${rows.extent} × ${columns.extent} pixels, more than the padded image. Use a smaller kernel or more padding.`,
    );
  }
  say("");
  [state, computed] = [next, result];
  computed.milliseconds = milliseconds;
  state.at = state.at.map((place, i) => Math.min(Math.max(place, 0), computed.axes[i].output - 1));
  images = undefined;
  showControls();
  show();
  return true;
}

function say(words) {
  el("wrong").textContent = words;
  return false;
}

/** Draw everything that depends on the position of the window. */
function show() {
  if (!computed) return;
  const [rows, columns] = computed.axes;
  images ??= [
    native(computed.planes, rows.size + rows.before + rows.after, computed.width, source),
    native(computed.pixels, rows.output, columns.output, source),
  ];
  const scale = scaleFor(...images);
  drawInput(computed, source, state.at, scale, images[0]);
  drawMap(computed, source, state.at, scale, images[1]);
  showValue();
}

function moveTo(at) {
  if (!computed) return;
  state.at = at.map((place, i) => Math.min(Math.max(place, 0), computed.axes[i].output - 1));
  show();
}

/** Whether a touch is on the window or close to it. */
function isNear(canvas, isInput, { clientX, clientY }) {
  const box = canvas.getBoundingClientRect();
  const scale = box.width / images[isInput ? 0 : 1].width;
  return [clientY - box.top, clientX - box.left].every((place, i) => {
    const { extent, stride } = computed.axes[i];
    const [start, length] = isInput ? [state.at[i] * stride, extent] : [state.at[i], 1];
    return place > start * scale - 28 && place < (start + length) * scale + 28;
  });
}

function connectCanvas(canvas, isInput) {
  let dragging = false;
  const follow = (event) => {
    const box = canvas.getBoundingClientRect();
    const image = images[isInput ? 0 : 1];
    const y = ((event.clientY - box.top) / box.height) * image.height;
    const x = ((event.clientX - box.left) / box.width) * image.width;
    moveTo(
      [y, x].map((place, i) => {
        const { extent, stride } = computed.axes[i];
        return isInput ? Math.round((Math.floor(place) - (extent - 1) / 2) / stride) : Math.floor(place);
      }),
    );
  };
  canvas.addEventListener("pointerdown", (event) => {
    if (event.pointerType === "touch" && !isNear(canvas, isInput, event)) return; // let it scroll the page
    canvas.setPointerCapture(event.pointerId);
    dragging = true;
    follow(event);
  });
  canvas.addEventListener("pointermove", (event) => dragging && follow(event));
  for (const end of ["pointerup", "pointercancel"]) canvas.addEventListener(end, () => (dragging = false));
  canvas.addEventListener("click", follow);
  const hold = (event) => isNear(canvas, isInput, event.touches[0]) && event.preventDefault();
  canvas.addEventListener("touchstart", hold, { passive: false });
  canvas.addEventListener("keydown", (event) => {
    const step = event.shiftKey ? 10 : 1;
    const [row, column] = state.at;
    const moves = {
      ArrowUp: [row - step, column],
      ArrowDown: [row + step, column],
      ArrowLeft: [row, column - step],
      ArrowRight: [row, column + step],
      Home: [row, 0],
      End: [row, Infinity],
      PageUp: [row - 10, column],
      PageDown: [row + 10, column],
    };
    if (!moves[event.key] || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    moveTo(moves[event.key]);
  });
}

/** Slide the window over every output, row by row, until it is stopped. */
function play() {
  const running = el("play").getAttribute("aria-pressed") === "true";
  el("play").setAttribute("aria-pressed", String(!running));
  el("play").textContent = running ? "Play" : "Stop";
  el("value").setAttribute("aria-live", running ? "polite" : "off"); // too fast for screen readers
  clearInterval(play.timer);
  if (running) return;
  play.timer = setInterval(() => {
    const [rows, columns] = computed.axes;
    const next = state.at[0] * columns.output + state.at[1] + 1;
    moveTo([Math.floor(next / columns.output) % rows.output, next % columns.output]);
  }, 150);
}

async function start() {
  el("about").textContent = data.about;
  if (data.box > 1) el("command-title").textContent = "Equivalent command, for the full image:";
  source = await unpacked(data);
  state = initial();
  connect();
  set({});
  window.explorer = {
    set,
    Exact,
    presets: data.presets,
    kernelState,
    state: () => state,
    computed: () => computed,
    busy: () => pending !== undefined,
    ready: true,
  };
}

start().catch((error) => {
  el("failure").hidden = false;
  el("failure").textContent = `This browser cannot run the page: ${error.message}`;
});
