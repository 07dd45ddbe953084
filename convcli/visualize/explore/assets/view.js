// Drawing: images with the window, grids, steps, and details.

const el = (id) => document.getElementById(id);
const css = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

/** A canvas with one pixel for each value of one gray lane or of three color lanes. */
function native(lanes, rows, columns, { black, white }) {
  const canvas = document.createElement("canvas");
  [canvas.width, canvas.height] = [columns, rows];
  const image = new ImageData(columns, rows);
  const gain = 255 / (white - black);
  const [red, green, blue] = lanes.length === 3 ? lanes : [lanes[0], lanes[0], lanes[0]];
  for (let k = 0, o = 0; k < rows * columns; k++) {
    image.data[o++] = (red[k] - black) * gain;
    image.data[o++] = (green[k] - black) * gain;
    image.data[o++] = (blue[k] - black) * gain;
    image.data[o++] = 255;
  }
  canvas.getContext("2d").putImageData(image, 0, 0);
  return canvas;
}

/** CSS pixels per image pixel at which input and feature map fit beside each other, or stacked on narrow screens. */
function scaleFor(input, map) {
  const figure = el("input").parentElement.getBoundingClientRect().width;
  const [wide, high] = [Math.max(input.width, map.width), Math.max(input.height, map.height)];
  const fit = Math.min(figure / wide, (window.innerHeight * 0.62) / high, 64);
  return fit >= 1 ? Math.max(Math.floor(fit * 4) / 4, 1) : fit;
}

/** Draw an image at a scale; returns the context, in units of image pixels. */
function draw(canvas, image, scale) {
  const ratio = window.devicePixelRatio || 1;
  canvas.style.width = `${image.width * scale}px`;
  canvas.style.height = `${image.height * scale}px`;
  canvas.width = Math.max(Math.round(image.width * scale * ratio), 1);
  canvas.height = Math.max(Math.round(image.height * scale * ratio), 1);
  const context = canvas.getContext("2d");
  context.imageSmoothingEnabled = scale * ratio < 1;
  context.drawImage(image, 0, 0, canvas.width, canvas.height);
  context.scale(canvas.width / image.width, canvas.height / image.height);
  return context;
}

/** An outline that is visible on any background: the accent color between two dark lines. */
function outline(context, x, y, width, height, scale) {
  const line = Math.max(2.5 / scale, 0.03);
  context.strokeStyle = "rgb(0 0 0 / 70%)";
  context.lineWidth = line * 2;
  context.strokeRect(x, y, width, height);
  context.strokeStyle = "#ff8a3d";
  context.lineWidth = line;
  context.strokeRect(x, y, width, height);
}

/** Whether cells are large enough for numbers. */
const numbered = (scale) => scale >= 26;

/** The feature map before the mapping. */
const mapValues = () => {
  const bias = Exact.number(state.bias);
  return computed.lanes[0].map((sum) => sum / computed.filter.denominator + bias);
};

/** Write numbers in the cells, readable on the grays of `pixels`. */
function numbers(context, values, pixels, rows, columns, range) {
  context.textAlign = "center";
  context.textBaseline = "middle";
  for (let k = 0; k < rows * columns; k++) {
    const text = shortened(values[k], 4);
    context.font = `${Math.min(0.38, 1.5 / text.length)}px system-ui, sans-serif`;
    context.fillStyle = (pixels[k] - range.black) / (range.white - range.black) > 0.5 ? "#000" : "#fff";
    context.fillText(text, (k % columns) + 0.5, Math.floor(k / columns) + 0.53);
  }
}

/** Draw the input with its padding under a veil, and the window. */
function drawInput(computed, source, at, scale, image) {
  const context = draw(el("input"), image, scale);
  const [rows, columns] = computed.axes;
  context.fillStyle = css("--veil");
  const [height, width] = [image.height, image.width];
  context.beginPath();
  context.rect(0, 0, width, height);
  context.rect(columns.before, rows.before, columns.size, rows.size);
  context.fill("evenodd");
  if (scale >= 3 && (height > rows.size || width > columns.size)) {
    context.setLineDash([6 / scale, 4 / scale]);
    context.strokeStyle = "#ff8a3d";
    context.lineWidth = 1.5 / scale;
    context.strokeRect(columns.before, rows.before, columns.size, rows.size);
    context.setLineDash([]);
  }
  const [top, left] = [at[0] * rows.stride, at[1] * columns.stride];
  if ((rows.dilation > 1 || columns.dilation > 1) && scale >= 3) {
    for (let i = 0; i < rows.kernel; i++) {
      for (let j = 0; j < columns.kernel; j++) {
        context.fillStyle = "rgb(255 138 61 / 45%)";
        context.fillRect(left + j * columns.dilation, top + i * rows.dilation, 1, 1);
      }
    }
  }
  const [plane] = computed.planes;
  if (numbered(scale) && computed.planes.length === 1) numbers(context, plane, plane, height, width, source);
  const least = 7 / scale;
  const [w, h] = [Math.max(columns.extent, least), Math.max(rows.extent, least)];
  outline(context, left + (columns.extent - w) / 2, top + (rows.extent - h) / 2, w, h, scale);
}

function drawMap(computed, source, at, scale, image) {
  const context = draw(el("map"), image, scale);
  const written = numbered(scale) && computed.pixels.length === 1;
  const [pixels] = computed.pixels;
  if (written) numbers(context, mapValues(), pixels, image.height, image.width, source);
  el("map-size").textContent = `${image.height} × ${image.width}${written ? " · values on the gray of their pixels" : ""}`;
  const side = Math.max(1, 7 / scale);
  outline(context, at[1] + 0.5 - side / 2, at[0] + 0.5 - side / 2, side, side, scale);
}

/** Whether grids need small cells: those of a layer have several below each other. */
const isLarge = () => state.columns > (state.inputs > 1 ? 3 : 7);

const hasLittleRoom = () => state.inputs > 1 && isLarge();

/** Fill a table; each cell is {text, style, padding}. */
function fillTable(table, rows) {
  table.classList.toggle("large", isLarge());
  table.tBodies[0].replaceChildren(
    ...rows.map((row) => {
      const line = document.createElement("tr");
      line.append(
        ...row.map((cell) => {
          const data = document.createElement("td");
          data.className = cell.padding ? "padding" : "";
          Object.assign(data.style, cell.style ?? {});
          const span = document.createElement("span");
          span.textContent = cell.text;
          data.append(span);
          if (cell.padding) data.title = "padding";
          return data;
        }),
      );
      return line;
    }),
  );
}

/** A table with a caption whose cells cannot be edited. */
function staticTable(title, rows, kind = "") {
  const frame = document.createElement("div");
  const table = document.createElement("table");
  [frame.className, table.className] = ["scroll", kind];
  table.createCaption().textContent = title;
  table.createTBody();
  fillTable(table, rows);
  frame.append(table);
  return frame;
}

/** A table after the sign that joins it to the one before. */
function signed(sign, table) {
  const term = document.createElement("div");
  const mark = document.createElement("span");
  [term.className, mark.className, mark.textContent] = ["term", "sign", sign];
  mark.setAttribute("aria-hidden", "true");
  term.append(mark, table);
  return term;
}

const tint = (value, most) => {
  const share = most ? Math.min(Math.abs(value) / most, 1) * 0.45 : 0;
  return {
    background: value === 0 ? "" : `rgb(var(--${value > 0 ? "positive" : "negative"}) / ${share.toFixed(3)})`,
  };
};

/** The style of a gray cell with readable text. */
const grayCell = (value, { black, white }) => {
  const level = Math.min(Math.max(Math.round(((value - black) / (white - black)) * 255), 0), 255);
  return { background: `rgb(${level} ${level} ${level})`, color: level > 127 ? "#000" : "#fff" };
};

function showSteps(steps) {
  el("steps").replaceChildren(
    ...steps.map(({ name, how, value, swatch }, index) => {
      const item = document.createElement("li");
      const last = index === steps.length - 1 ? " last" : "";
      const cells = [
        ["b", name, ""],
        ["span", how, "how"],
        ["span", `= ${value}`, `result${last}`],
      ];
      item.append(
        ...cells.map(([tag, text, kind]) => {
          const cell = document.createElement(tag);
          cell.textContent = text;
          cell.className = kind;
          return cell;
        }),
      );
      if (swatch) {
        const square = document.createElement("span");
        square.className = "swatch";
        square.style.background = swatch;
        item.lastChild.append(" ", square);
      }
      return item;
    }),
  );
}

function showFacts(pairs) {
  el("facts").replaceChildren(
    ...pairs.flatMap(([name, text]) => {
      const term = document.createElement("dt");
      const words = document.createElement("dd");
      [term.textContent, words.textContent] = [name, text];
      return [term, words];
    }),
  );
}

/** The formula of the output size with its numbers, as in the report. */
function formula({ size, before, after, kernel, dilation, extent, stride, output, remainder }) {
  const covers = dilation === 1 ? `${extent}` : `(${dilation}·(${kernel} − 1) + 1)`;
  return `floor((${size} + ${before} + ${after} − ${covers}) / ${stride}) + 1 = ${output}, remainder ${remainder}`;
}
