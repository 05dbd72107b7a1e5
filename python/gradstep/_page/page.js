"use strict";
// The page of a descent. The weights at the end of every epoch are embedded, as gradstep's core computed them, and some
// within an epoch where rounding would grow; only the updates between are computed here. Opened with #check, the page
// compares the two: what is computed from one of the embedded weights must end at the next.

const data = JSON.parse(document.getElementById("data").textContent);
const element = (id) => document.getElementById(id);

const bytes = (text) => Uint8Array.from(atob(text), (character) => character.charCodeAt(0));
const floats = (text) => new Float64Array(bytes(text).buffer);

// The rows that are shown: X has shape (m, n), one row after the other.
const n = data.names.length, m = data.rows.length, X = floats(data.X), y = floats(data.y), means = floats(data.means);
const order = data.order && new Uint16Array(bytes(data.order).buffer);
const { isWhole } = data; // false for a sample of the rows, for example: then no update can be computed
const batch = isWhole ? data.batch : m, updatesPerEpoch = Math.ceil(m / batch);
const [first, second] = data.columns; // second is undefined where there is one column
for (const runs of Object.values(data.runs)) {
  for (const run of runs) {
    run.path = floats(run.path);
    run.errors = floats(run.errors);
    run.epochs = run.errors.length - 1;
    const marked = floats(run.marked);
    run.marks = new Map(run.marks.map((count, i) => [count, marked.subarray(i * (n + 1), (i + 1) * (n + 1))]));
  }
}

// The state: which run, how many of its epochs are done, and the chosen row's place in the order of the next epoch.
const state = { activation: data.activation, rate: data.rate, epoch: 0, place: 0 };
const run = () => data.runs[state.activation][state.rate];
const rate = () => data.rates[state.rate];
const isStep = () => state.activation === "step";

// The formulas
const predict = (z) => isStep() ? Number(z >= 0) : 1 / (1 + Math.exp(-z));

/** y - ŷ; for the sigmoid, computed without cancellation. */
function residual(z, label, activation = state.activation) {
  if (activation === "step") return label - Number(z >= 0);
  const t = Math.exp(-Math.abs(z));
  return (z >= 0 ? label * t - (1 - label) : label - (1 - label) * t) / (1 + t);
}

function score(row, v) {
  let z = v[n];
  for (let j = 0; j < n; j++) z += v[j] * X[row * n + j];
  return z;
}

/** Weights and bias of a run after `epoch` epochs. */
const parameters = (of, epoch) => of.path.subarray(epoch * (n + 1), (epoch + 1) * (n + 1));
/** Weights and bias of a run after `count` updates, if they are embedded; else undefined. */
const known = (of, count) => count % updatesPerEpoch ? of.marks.get(count) : parameters(of, count / updatesPerEpoch);

/** The row at a place in the order of an epoch; after the last epoch, in the order of the last one. */
const rowAt = (epoch, place) => order ? order[Math.min(epoch, order.length / m - 1) * m + place] : place;

/** Σ (y - ŷ) (x, 1) over the rows of one batch. */
function sums(v, epoch, update, activation) {
  const total = new Float64Array(n + 1);
  for (let place = update * batch; place < Math.min((update + 1) * batch, m); place++) {
    const row = rowAt(epoch, place), r = residual(score(row, v), y[row], activation);
    for (let j = 0; j < n; j++) total[j] += r * X[row * n + j];
    total[n] += r;
  }
  return total;
}

/** What α is divided by: the rows of the batch, or 1 where their gradients are summed. */
const share = (update) => data.averages ? Math.min(batch, m - update * batch) : 1;

/** The weights and the bias after an update, computed here. */
function updated(v, alpha, epoch, update, activation) {
  const total = sums(v, epoch, update, activation);
  return v.map((value, j) => value + alpha / share(update) * total[j] - (j < n ? alpha * data.l2 * value : 0));
}

/** The weights and the bias before each update of an epoch, and those after the last one. */
function updates(activation, rateIndex, epoch) {
  const of = data.runs[activation][rateIndex], found = [parameters(of, epoch)];
  for (let update = 0; update < updatesPerEpoch; update++) {
    found.push(known(of, epoch * updatesPerEpoch + update + 1)
      ?? updated(found[update], data.rates[rateIndex], epoch, update, activation));
  }
  return found;
}

const isEnd = () => state.epoch >= run().epochs;
const update = () => Math.floor(state.place / batch);
const rowShown = () => rowAt(state.epoch, state.place);
const shown = () => updates(state.activation, state.rate, state.epoch);
/** The weights and the bias that are shown: those before the update. */
const before = () => isWhole && !isEnd() ? shown()[update()] : parameters(run(), state.epoch);
/** The weights and the bias after the update; if it cannot be computed, those after the epoch; at the end null. */
const after = () => isEnd() ? null : isWhole ? shown()[update() + 1] : parameters(run(), state.epoch + 1);

// The formulas in words
/** A number with 6 digits, as "%.6g" of C has it. */
function digits(value) {
  if (!Number.isFinite(value) || value === 0) return String(value + 0);
  const power = Number(value.toExponential(5).split("e")[1]);
  if (power >= -4 && power < 6) {
    const fixed = value.toFixed(5 - power);
    return fixed.includes(".") ? fixed.replace(/\.?0+$/, "") : fixed;
  }
  const [mantissa, exponent] = value.toExponential(5).split("e");
  const short = mantissa.replace(/\.?0+$/, "");
  return `${short}e${exponent[0]}${exponent.slice(1).padStart(2, "0")}`;
}
const factor = (value) => value < 0 ? `(${digits(value)})` : digits(value);
const few = (items) => items.length <= 6 ? items : [...items.slice(0, 3), "…", ...items.slice(-3)];
const vector = (values) => `(${few(Array.from(values, digits)).join(", ")})`;

/** Each formula of the update: what stands before its first "=" or "←", and the rest with its numbers. */
function lines() {
  const v = before(), row = rowShown(), x = X.subarray(row * n, (row + 1) * n), label = y[row];
  const z = score(row, v), r = residual(z, label), [zed, p, l] = [z, predict(z), label].map(digits);
  const products = Array.from(x, (value, j) => `${factor(v[j])}·${factor(value)}`);
  const found = [["z", `= W x + b = ${[...few(products), factor(v[n])].join(" + ")} = ${zed}`]];
  if (isStep()) {
    found.push(["ŷ", `= step(z) = step(${zed}) = ${p}`]);
    found.push(["wrong", `= |y - ŷ| = |${l} - ${p}| = ${digits(Math.abs(r))}`]);
  } else {
    found.push(["ŷ", `= σ(z) = 1 / (1 + e^(-${factor(z)})) = ${p}`]);
    const error = p === "0" || p === "1" // then ŷ or 1 - ŷ, whose logarithm is needed, is 0 to six digits
      ? `max(z, 0) - y z + ln (1 + e^(-|z|)) = max(${zed}, 0) - ${l}·${factor(z)} + ln (1 + e^(-|${zed}|))`
      : `-y ln ŷ - (1 - y) ln (1 - ŷ) = -${l}·ln ${p} - (1 - ${l})·ln (1 - ${p})`;
    found.push(["E", `= ${error} = ${digits(Math.max(z, 0) - label * z + Math.log1p(Math.exp(-Math.abs(z))))}`]);
  }
  found.push(["y - ŷ", `= ${l} - ${p} = ${digits(r)}`]);
  if (!isStep()) {
    const slope = [...x, 1].map((value) => -r * value);
    found.push(["∇E", `= -(y - ŷ)·(x_1, …, x_n, 1) = -${factor(r)}·${vector([...x, 1])} = ${vector(slope)}`]);
  }
  const next = after();
  if (next === null) return found;
  if (!isWhole) {
    found.push(["w", `after epoch ${state.epoch + 1} = ${vector(next.subarray(0, n))}`]);
    found.push(["b", `after epoch ${state.epoch + 1} = ${digits(next[n])}`]);
    return found;
  }
  return [...found, ...updateLines(v, x, r, next)];
}

function updateLines(v, x, r, next) {
  const alpha = rate(), count = share(update());
  let step = `${digits(alpha)}·${factor(r)}`, words = "α (y - ŷ)", across = vector(x), ofBias = "";
  let change = [...x, 1].map((value) => alpha * r * value);
  if (batch > 1) {
    const total = sums(v, state.epoch, update(), state.activation);
    words = data.averages ? "(α / k) Σ (y - ŷ)" : "α Σ (y - ŷ)";
    step = data.averages ? `${digits(alpha)} / ${count}` : digits(alpha);
    across = vector(total.subarray(0, n));
    ofBias = `·${factor(total[n])}`;
    change = Array.from(total, (value) => alpha / count * value);
  }
  let shrinking = "", shrunk = "";
  if (data.l2) {
    [shrinking, shrunk] = [" - α λ w", ` - ${digits(alpha)}·${digits(data.l2)}·${vector(v.subarray(0, n))}`];
    change = change.map((value, j) => value - (j < n ? alpha * data.l2 * v[j] : 0));
  }
  return [
    ["Δw", `= ${words}·x${shrinking} = ${step}·${across}${shrunk} = ${vector(change.slice(0, n))}`],
    ["Δb", `= ${words} = ${step}${ofBias} = ${digits(change[n])}`],
    ["w", `← w + Δw = ${vector(next.subarray(0, n))}`],
    ["b", `← b + Δb = ${digits(next[n])}`],
  ];
}

// Drawing
const style = getComputedStyle(document.documentElement); // its colours follow the colour scheme, light or dark
const colour = (name) => style.getPropertyValue(`--${name}`).trim();
const rgb = (hex) => [1, 3, 5].map((at) => parseInt(hex.slice(at, at + 2), 16));
const mixed = (from, to, part) => from.map((value, i) => Math.round(value + (to[i] - value) * part));
const css = (colour) => `rgb(${colour.join(" ")})`;

/** A probability from 0 to 1 as a colour, pale in the middle. */
function shade(p) {
  const [zero, middle, one] = ["zero-tint", "middle", "one-tint"].map((name) => rgb(colour(name)));
  return css(p < 0.5 ? mixed(zero, middle, 2 * p) : mixed(middle, one, 2 * p - 1));
}

/** Round numbers from `low` to `high`, about `count` of them. */
function ticks(low, high, count) {
  const rough = (high - low) / count, power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((times) => times * power).find((each) => each >= rough);
  const from = Math.ceil(low / step);
  return Array.from({ length: Math.floor(high / step) - from + 1 }, (_, i) => (from + i) * step);
}
const tickText = (value) => digits(Number(value.toPrecision(4)));

/** The text, or as much of it as fits into the width. */
function fitted(g, text, width) {
  if (g.measureText(text).width <= width) return text;
  const letters = [...text];
  while (letters.length && g.measureText(`${letters.join("")}…`).width > width) letters.pop();
  return `${letters.join("")}…`;
}

/** Draws axes. Returns the context g, clipped to their frame until g.restore(), and maps from numbers to pixels. */
function panel(id, [left, right], [bottom, top], across, up) {
  const canvas = element(id), g = canvas.getContext("2d"), dense = window.devicePixelRatio || 1;
  const width = canvas.clientWidth, height = canvas.clientHeight;
  if (canvas.width !== Math.round(width * dense)) canvas.width = Math.round(width * dense);
  if (canvas.height !== Math.round(height * dense)) canvas.height = Math.round(height * dense);
  g.setTransform(dense, 0, 0, dense, 0, 0);
  g.clearRect(0, 0, width, height);
  g.font = '12px system-ui, "DejaVu Sans", sans-serif';
  const marksUp = ticks(bottom, top, Math.max(2, height / 60));
  const wide = Math.max(...marksUp.map((mark) => g.measureText(tickText(mark)).width));
  const box = { left: 24 + wide, top: 6, right: width - 8, bottom: height - 36 };
  Object.assign(box, { width: box.right - box.left, height: box.bottom - box.top });
  const toX = (value) => box.left + (value - left) / (right - left) * box.width;
  const toY = (value) => box.bottom - (value - bottom) / (top - bottom) * box.height;
  const fromX = (at) => left + (at - box.left) / box.width * (right - left);
  const fromY = (at) => bottom + (box.bottom - at) / box.height * (top - bottom);
  g.fillStyle = colour("soft");
  pen(g, "rule", 1);
  Object.assign(g, { textAlign: "center", textBaseline: "top" });
  for (const mark of ticks(left, right, Math.max(2, width / 90))) {
    const half = g.measureText(tickText(mark)).width / 2;
    g.fillText(tickText(mark), Math.min(toX(mark), width - half), box.bottom + 4);
    line(g, [[toX(mark), box.bottom], [toX(mark), box.bottom + 3]]);
  }
  g.fillText(fitted(g, across, box.width), (box.left + box.right) / 2, height - 15);
  Object.assign(g, { textAlign: "right", textBaseline: "middle" });
  for (const mark of marksUp) {
    g.fillText(tickText(mark), box.left - 5, toY(mark));
    line(g, [[box.left - 3, toY(mark)], [box.left, toY(mark)]]);
  }
  g.strokeRect(box.left, box.top, box.width, box.height);
  g.save();
  g.translate(9, (box.top + box.bottom) / 2);
  g.rotate(-Math.PI / 2);
  g.textAlign = "center";
  g.fillText(fitted(g, up, box.height), 0, 0);
  g.restore();
  g.save();
  g.beginPath();
  g.rect(box.left, box.top, box.width, box.height);
  g.clip();
  return { g, box, toX, toY, fromX, fromY };
}

/** Sets how lines are drawn; `name` is a colour of the style, or one such as "#000". */
function pen(g, name, width) {
  g.strokeStyle = name.startsWith("#") ? name : colour(name);
  g.lineWidth = width;
}

/** Draws the curve of a function of the number across. */
function curve({ g, box, toY, fromX }, of) {
  const places = [];
  for (let at = box.left; at <= box.right; at += 0.5) places.push([at, toY(of(fromX(at)))]);
  line(g, places);
}

function line(g, places) {
  g.beginPath();
  places.forEach(([x, at], i) => i ? g.lineTo(x, at) : g.moveTo(x, at));
  g.stroke();
}

function disc(g, x, at, radius, fill) {
  g.beginPath();
  g.arc(x, at, radius, 0, 7);
  g.fillStyle = fill ? colour(fill) : "transparent";
  g.fill();
  g.stroke();
}

/** Draws a point: a triangle if its label is 1, else a circle. */
function mark(g, x, at, size, isOne) {
  g.beginPath();
  if (isOne) {
    g.moveTo(x, at - 1.2 * size);
    g.lineTo(x + 1.1 * size, at + 0.8 * size);
    g.lineTo(x - 1.1 * size, at + 0.8 * size);
    g.closePath();
  } else g.arc(x, at, size, 0, 7);
  g.fillStyle = colour(isOne ? "one" : "zero");
  pen(g, "paper", 1);
  g.fill();
  g.stroke();
}

const describe = (id, text) => element(id).setAttribute("aria-label", text);
const rows = Array.from({ length: m }, (_, row) => row);
const spans = [first, second].map((column) => {
  if (column === undefined) return [-0.15, 1.15]; // with one column, the label is drawn upwards
  const values = rows.map((row) => X[row * n + column]);
  const low = Math.min(...values), high = Math.max(...values);
  const wider = 0.06 * (high - low) || 0.5;
  return [low - wider, high + wider];
});
const placeOf = (row) => [X[row * n + first], second === undefined ? y[row] : X[row * n + second]];
const upName = second === undefined ? "label y" : data.names[second];

/** The weights of the columns that are drawn, and a bias that includes the score of all others at their means. */
function cut(v) {
  let bias = v[n];
  for (let j = 0; j < n; j++) if (j !== first && j !== second) bias += v[j] * means[j];
  return [v[first], second === undefined ? 0 : v[second], bias];
}

/** Fills a panel with the predictions: the score changes evenly along one direction, and so does the colour. */
function shadePlane({ g, box, fromX, fromY }, [w1, w2, b]) {
  const middle = [(box.left + box.right) / 2, (box.top + box.bottom) / 2], far = Math.hypot(box.width, box.height) / 2;
  const z = w1 * fromX(middle[0]) + w2 * fromY(middle[1]) + b;
  const slope = [w1 * (fromX(1) - fromX(0)), w2 * (fromY(1) - fromY(0))], steep = Math.hypot(...slope);
  g.fillStyle = shade(predict(z));
  if (steep > 0 && Number.isFinite(steep)) {
    const at = (s) => middle.map((place, i) => place + s * slope[i] / steep);
    const stops = isStep() ? [-z / steep - 0.01, -z / steep + 0.01]
      : [-6, -4, -3, -2, -1, 0, 1, 2, 3, 4, 6].map((each) => (each - z) / steep);
    g.fillStyle = g.createLinearGradient(...at(-far), ...at(far));
    for (const s of [-far, ...stops.filter((each) => Math.abs(each) < far), far]) {
      g.fillStyle.addColorStop((s + far) / (2 * far), shade(predict(z + s * steep)));
    }
  }
  g.fillRect(box.left, box.top, box.width, box.height);
}

let pointsPanel;
function drawPoints() {
  const v = before(), plane = cut(v), next = after(), small = m > 400 ? 1.5 : 2.5;
  pointsPanel = panel("points", ...spans, data.names[first], upName);
  const { g, toX, toY } = pointsPanel, place = ([x, at]) => [toX(x), toY(at)];
  const ring = (row, radius) => disc(g, ...place(placeOf(row)), radius);
  shadePlane(pointsPanel, plane);
  if (next) drawLine(pointsPanel, cut(next), 1.5, [5, 4]);
  drawLine(pointsPanel, plane, 2.5, []);
  if (second === undefined) curve(pointsPanel, (x) => predict(plane[0] * x + plane[2]));
  for (const row of rows) {
    mark(g, ...place(placeOf(row)), small + 6 * Math.abs(residual(score(row, v), y[row])), y[row] >= 0.5);
  }
  pen(g, "ink", 1);
  if (batch > 1 && batch < m && !isEnd()) {
    for (let at = update() * batch; at < Math.min((update() + 1) * batch, m); at++) ring(rowAt(state.epoch, at), 10);
  }
  pen(g, "ink", 2.5);
  ring(rowShown(), 12);
  g.restore();
  const right = rows.filter((row) => predict(score(row, v)) >= 0.5 === y[row] >= 0.5), [w1, w2, b] = plane;
  describe("points", `${m} points by ${data.names[first]} and ${upName}; ${right.length} of them are on the side of `
    + `their label. The line is ${digits(w1)}·${data.names[first]}`
    + (second === undefined ? "" : ` + ${factor(w2)}·${data.names[second]}`) + ` + ${factor(b)} = 0.`);
}

function drawLine({ g, box, toX, toY, fromX, fromY }, [w1, w2, b], width, dashes) {
  const [acrossUnit, upUnit] = [fromX(1) - fromX(0), fromY(1) - fromY(0)]; // of one pixel
  let places;
  if (Math.abs(w2 * upUnit) >= Math.abs(w1 * acrossUnit)) {
    places = [box.left, box.right].map((at) => [at, toY(-(w1 * fromX(at) + b) / w2)]);
  } else places = [box.top, box.bottom].map((at) => [toX(-(w2 * fromY(at) + b) / w1), at]);
  if (!places.flat().every((each) => Math.abs(each) < 1e7)) return;
  pen(g, "ink", width);
  g.setLineDash(dashes);
  line(g, places);
  g.setLineDash([]);
}

/** The picture of a map of errors, in bands; made anew when the map, its size or the colours change. */
const picture = { key: "", canvas: document.createElement("canvas") };
function valleyPicture(map, width, height) {
  const key = `${state.activation} ${map.limits} ${width} ${height} ${colour("deep")}`;
  if (picture.key === key) return picture.canvas;
  map.decoded ??= bytes(map.cells);
  const side = Math.sqrt(map.decoded.length), { canvas } = picture;
  const [deep, high] = ["deep", "high"].map((name) => rgb(colour(name)));
  Object.assign(canvas, { width, height });
  const g = canvas.getContext("2d"), image = g.createImageData(width, height);
  for (let py = 0; py < height; py++) {
    const v = (1 - py / Math.max(height - 1, 1)) * (side - 1), j = Math.min(Math.floor(v), side - 2), down = v - j;
    for (let px = 0; px < width; px++) {
      const u = px / Math.max(width - 1, 1) * (side - 1), i = Math.min(Math.floor(u), side - 2), along = u - i;
      const at = j * side + i, cell = map.decoded;
      const root = (cell[at] * (1 - along) + cell[at + 1] * along) * (1 - down)
        + (cell[at + side] * (1 - along) + cell[at + side + 1] * along) * down;
      const band = Math.min(Math.floor(root / 16), 15) / 15;
      image.data.set([...mixed(deep, high, band), 255], 4 * (py * width + px));
    }
  }
  g.putImageData(image, 0, 0);
  picture.key = key;
  return canvas;
}

const pairOf = (v) => [v[first], second === undefined ? v[n] : v[second]];
function drawValley() {
  element("valley-figure").hidden = !data.valleys;
  if (!data.valleys) return; // all labels are the same, so that no bias is the best; or numbers are too large
  const v = pairOf(before()), best = data.valleys.optimum, { maps, of } = data.valleys[state.activation];
  const map = maps[of[state.rate]], what = isStep() ? "Rows misclassified" : data.l2 ? "Objective" : "Error E";
  const name = (column) => column === undefined ? "bias b" : `weight of ${data.names[column]}`;
  const over = second === undefined ? "weight and bias" : "two weights (with the best bias for each)";
  element("valley-caption").textContent = `${what} over ${over}, and the path${best ? "; ☆ is the optimum of E" : ""}`;
  const { g, box, toX, toY } = panel("valley", ...map.limits, name(first), name(second));
  const size = [Math.round(box.width / 2), Math.round(box.height / 2)], place = ([i, j]) => [toX(i), toY(j)];
  g.drawImage(valleyPicture(map, ...size), box.left, box.top, 2 * size[0], 2 * size[1]);
  const whole = Array.from({ length: run().epochs + 1 }, (_, epoch) => place(pairOf(parameters(run(), epoch))));
  const path = [...whole.slice(0, state.epoch + 1), place(v)];
  for (const [ink, width, places] of [["#ffffff80", 1, whole], ["#000000", 3.5, path], ["#ffffff", 1.5, path]]) {
    pen(g, ink, width);
    line(g, places);
  }
  disc(g, ...path[0], 4);
  if (best) {
    Object.assign(g, { font: "20px sans-serif", textAlign: "center", textBaseline: "middle", fillStyle: "#ffffff" });
    pen(g, "#000000", 4);
    g.strokeText("☆", ...place(best));
    g.fillText("☆", ...place(best));
  }
  pen(g, "#ffffff", 1.5);
  disc(g, ...place(v), 6, "mark");
  g.restore();
  describe("valley", `${what} from ${digits(map.low)} to ${digits(map.high)}. The descent is at ${name(first)} `
    + `${digits(v[0])}, ${name(second)} ${digits(v[1])}; `
    + (best ? `the optimum is at ${best.map(digits).join(", ")}.` : "there is no optimum: the labels are separated."));
}

let errorsPanel;
function drawErrors() {
  const { errors, epochs } = run(), most = Math.max(...errors) || 1;
  errorsPanel = panel("errors", [0, Math.max(epochs, 1)], [0, 1.05 * most], "epoch", isStep() ? "misclassified" : "E");
  const { g, toX, toY } = errorsPanel;
  pen(g, "accent", 2);
  line(g, Array.from(errors, (error, epoch) => [toX(epoch), toY(error)]));
  pen(g, "paper", 1.5);
  disc(g, toX(state.epoch), toY(errors[state.epoch]), 5, "mark");
  g.restore();
  const what = isStep() ? "Rows misclassified" : "Error E", now = digits(errors[state.epoch]);
  element("errors-caption").textContent = `${what} after ${state.epoch} epoch${state.epoch === 1 ? "" : "s"}: ${now}`;
  describe("errors", `${what} at the start ${digits(errors[0])}, at the end ${digits(errors[epochs])}; now ${now}.`);
}

function drawScores() {
  const v = before(), scores = rows.map((row) => score(row, v)), chosen = rowShown(), z = scores[chosen];
  const far = 1.08 * Math.max(...scores.map(Math.abs), 5.5);
  const drawn = panel("scores", [-far, far], [-0.12, 1.12], "score z", "ŷ and y"), { g, toX, toY } = drawn;
  pen(g, "soft", 2);
  curve(drawn, predict);
  g.globalAlpha = m > 400 ? 0.35 : 0.7;
  scores.forEach((each, row) => mark(g, toX(each), toY(y[row]), m > 400 ? 2 : 3, y[row] >= 0.5));
  g.globalAlpha = 1;
  pen(g, "mark", 3);
  line(g, [[toX(z), toY(y[chosen])], [toX(z), toY(predict(z))]]);
  pen(g, "paper", 1.5);
  disc(g, toX(z), toY(predict(z)), 5, "mark");
  mark(g, toX(z), toY(y[chosen]), 5, y[chosen] >= 0.5);
  g.restore();
  element("scores-caption").textContent = isStep() ? "The step of z" : "σ(z)";
  describe("scores", `${m} points at scores from ${digits(Math.min(...scores))} to ${digits(Math.max(...scores))}. `
    + `Row ${data.rows[chosen] + 1}: score ${digits(z)}, prediction ${digits(predict(z))}.`);
}

// Words
function say() {
  const { epoch } = state, row = rowShown(), z = score(row, before()), { epochs, errors, rise } = run();
  element("epoch").max = epochs;
  const named = `${data.rows[row] + 1} of ${data.rowsInAll}`;
  for (const [id, text] of [["epoch", `${epoch} of ${epochs}`], ["place", named], ["rate", digits(rate())]]) {
    element(id).value = state[id];
    element(id).setAttribute("aria-valuetext", text);
    element(`${id}-value`).textContent = text;
  }
  element("activation").value = state.activation;
  element("back").setAttribute("aria-disabled", epoch === 0 && update() === 0); // `disabled` would lose the focus
  element("next").setAttribute("aria-disabled", isEnd());
  const many = updatesPerEpoch > 1 ? `, update ${update() + 1} of ${updatesPerEpoch}` : "";
  const label = data.labels[y[row]] ?? digits(y[row]); // names are those of 0 and 1
  element("status").textContent = `${isEnd() ? "After the last epoch" : `Epoch ${epoch + 1}${many}`}: `
    + `row ${data.rows[row] + 1}, label ${label}, ŷ = ${digits(predict(z))}, y − ŷ = ${digits(residual(z, y[row]))}.`;
  element("note").textContent = epochs === 0 ? "Numbers of the first epoch were not finite: a smaller learning rate?"
    : rise === null ? "" : `E rose from ${digits(errors[rise - 1])} to ${digits(errors[rise])} in epoch ${rise}: `
      + "a smaller learning rate?";
  const part = (tag, textContent) => Object.assign(document.createElement(tag), { textContent });
  element("lines").replaceChildren(...lines().flatMap(([left, right]) => [part("dt", `${left} `), part("dd", right)]));
  tellSoon();
}

let telling = 0;
/** Lets a screen reader say where the descent is: once nothing has changed for a while, never while it plays. */
function tellSoon() {
  clearTimeout(telling);
  if (timer) return;
  telling = setTimeout(() => {
    const text = `${element("status").textContent} ${element("note").textContent}`.trim();
    if (element("said").textContent !== text) element("said").textContent = text;
  }, 500);
}

const draw = () => [say, drawPoints, drawValley, drawErrors, drawScores].forEach((part) => part());

// Moving
/** Goes to the place `count` updates after the start. Where an update takes all rows, the chosen row stays. */
function go(count) {
  const inAll = run().epochs * updatesPerEpoch, to = Math.min(Math.max(count, 0), inAll);
  state.epoch = Math.floor(to / updatesPerEpoch);
  if (updatesPerEpoch > 1) state.place = (to % updatesPerEpoch) * batch;
  draw();
}
const position = () => state.epoch * updatesPerEpoch + (isEnd() ? 0 : update());
const stride = () => element("stride").value === "epoch" ? updatesPerEpoch : 1;

let timer = 0;
function stop() {
  clearInterval(timer);
  timer = 0;
  [element("play-sign").textContent, element("play-word").textContent] = ["▶ ", "play"];
  tellSoon();
}
function play() {
  if (timer) return stop();
  if (isEnd()) go(0);
  [element("play-sign").textContent, element("play-word").textContent] = ["⏸ ", "pause"];
  timer = setInterval(() => {
    go(position() + stride());
    if (isEnd()) stop();
  }, 80);
}

function choose(changes) {
  Object.assign(state, changes);
  state.rate = Math.min(Math.max(state.rate, 0), data.rates.length - 1);
  state.epoch = Math.min(state.epoch, run().epochs);
  draw();
}

element("next").onclick = () => go(position() + stride());
element("back").onclick = () => go(position() - stride());
element("play").onclick = play;
for (const id of ["epoch", "place", "rate"]) element(id).oninput = ({ target }) => choose({ [id]: +target.value });
element("activation").onchange = ({ target }) => choose({ activation: target.value });
element("controls").onsubmit = (event) => event.preventDefault();

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.altKey || event.metaKey || /^(INPUT|SELECT)$/.test(event.target.tagName)) return;
  if (event.key === " " && event.target.tagName === "BUTTON") return; // the key presses the button
  const far = event.shiftKey ? updatesPerEpoch : stride();
  const action = {
    ArrowRight: () => go(position() + far), ArrowLeft: () => go(position() - far),
    ArrowUp: () => choose({ rate: state.rate + 1 }), ArrowDown: () => choose({ rate: state.rate - 1 }),
    Home: () => go(0), End: () => go(Infinity), " ": play,
  }[event.key];
  if (action) event.preventDefault();
  action?.();
});

element("points").onclick = ({ offsetX, offsetY }) => {
  const away = (place) => {
    const [x, at] = placeOf(rowAt(state.epoch, place));
    return Math.hypot(pointsPanel.toX(x) - offsetX, pointsPanel.toY(at) - offsetY);
  };
  choose({ place: rows.reduce((best, place) => away(place) < away(best) ? place : best) });
};
element("errors").onclick = ({ offsetX }) => choose({ epoch: Math.max(0, Math.round(errorsPanel.fromX(offsetX))) });

// The check
const hex = (values) => Array.from(new Uint8Array(values.buffer, values.byteOffset, values.byteLength),
  (each) => each.toString(16).padStart(2, "0")).join("");

/** For every run the bits of its path, and how far computed weights are from embedded ones, relative to the largest. */
function check() {
  return Object.entries(data.runs).flatMap(([activation, runs]) => runs.map((of, rateIndex) => {
    let drift = 0, v = parameters(of, 0);
    for (let count = 0; isWhole && count < of.epochs * updatesPerEpoch; count++) {
      const epoch = Math.floor(count / updatesPerEpoch), want = known(of, count + 1);
      v = updated(v, data.rates[rateIndex], epoch, count % updatesPerEpoch, activation);
      if (!want) continue;
      const size = Math.max(...want.map(Math.abs), Number.MIN_VALUE);
      v.forEach((value, j) => { drift = Math.max(drift, Math.abs(value - want[j]) / size); });
      v = want;
    }
    return { activation, rate: data.rates[rateIndex], drift, path: hex(of.path) };
  }));
}

function setUp() {
  element("title").textContent = data.title && `: ${data.title}`;
  element("facts").textContent = data.facts;
  element("version").textContent = `Made by gradstep ${data.version}.`;
  element("place").max = m - 1;
  element("rate").max = data.rates.length - 1;
  element("stride").closest("label").hidden = updatesPerEpoch === 1;
  for (const option of element("activation").options) option.disabled = !data.runs[option.value];
  data.labels.forEach((name, code) => Object.assign(element(`label-${code}`), { textContent: name, title: name }));
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);
  new ResizeObserver(draw).observe(element("panels"));
  if (location.hash === "#check") {
    const found = check(), worst = Math.max(...found.map(({ drift }) => drift));
    const pre = document.createElement("pre");
    Object.assign(pre, { id: "check", tabIndex: 0, textContent: JSON.stringify(found) });
    document.title = `check ${worst <= 1e-12 ? "passed" : "failed"}: ${found.length} runs, within ${worst}`;
    document.querySelector("main").append(pre);
  }
}

setUp();
