// The page: chooses a model and calls its signatures.

import {
  ServerError, listModels, predict, predictAll, readMetadata,
} from "./api.js";
import { Editor } from "./editor.js";
import { figureOf } from "./images.js";
import { describeOrder } from "./orders.js";
import { Player } from "./player.js";

const NEWEST = "newest";
const MOST_IMAGES = 64;
const FILLABLE = ["seed", "temperature", "label", "images", "known"];

const byId = (id) => document.getElementById(id);
const player = new Player(byId);
const halves = [...document.querySelectorAll("[data-half]")];
const editor = new Editor(
  byId("editor"), byId("brush"), byId("brush-action"), offerCompletion);
let models = [];
let metadata = null;
let current = null; // AbortController of the request in progress.

function showError(error) {
  if (error.name === "AbortError") return;
  if (!(error instanceof ServerError)) console.error(error);
  byId("error").textContent = error.message;
  byId("error").hidden = false;
}

/** Runs `work(signal)`, cancels the previous run, and shows progress and errors. */
async function attempt(text, work) {
  current?.abort();
  const mine = (current = new AbortController());
  byId("error").hidden = true;
  byId("progress").textContent = text;
  document.body.setAttribute("aria-busy", "true");
  const start = performance.now();
  try {
    const done = await work(mine.signal);
    const seconds = ((performance.now() - start) / 1000).toFixed(2);
    if (mine === current) byId("progress").textContent = `${done} in ${seconds} s`;
  } catch (error) {
    if (mine !== current) return;
    byId("progress").textContent = "";
    showError(error);
  } finally {
    if (mine === current) document.body.removeAttribute("aria-busy");
  }
}

/** Returns the number in a field, or throws an error that says what it must be. */
function numberIn(id, { low, high, whole = true }) {
  const field = byId(id);
  const name = field.labels[0].firstChild.textContent.trim();
  const value = field.value === "" ? NaN : Number(field.value);
  const fits = value >= low && value <= high && (!whole || Number.isInteger(value));
  if (!fits) {
    const kind = whole ? "a whole number" : "a number";
    field.focus();
    throw new ServerError(`${name} must be ${kind} from ${low} to ${high}.`);
  }
  return value;
}

/** Returns the largest number of images that the page asks a signature for. */
function mostImages(signature) {
  const most = metadata.signatures?.[signature]?.max_examples ?? metadata.max_examples;
  return Math.min(MOST_IMAGES, most ?? MOST_IMAGES);
}

/** Returns the seeds that the fields `seedId` and `countId` ask a signature for. */
function seedsIn(seedId, countId, signature) {
  const most = mostImages(signature);
  const count = numberIn(countId, { low: 1, high: most });
  // Larger integers are no longer exact in a browser.
  const high = Number.MAX_SAFE_INTEGER - count;
  const seed = numberIn(seedId, { low: 0, high });
  return Array.from({ length: count }, (_, index) => seed + index);
}

const captionsOf = (seeds) => seeds.map((seed) => `seed ${seed}`);

/** Returns the inputs besides seeds and images, which all examples of a call share. */
function conditionsOf(signature) {
  const { label } = metadata.signatures[signature].inputs;
  if (!label) return {};
  if (metadata.class_names) return { label: Number(byId("class").value) };
  const { low, high } = label;
  return { label: numberIn("label", { low: low ?? 0, high: high ?? 2 ** 31 - 1 }) };
}

function modelPath() {
  const path = `/v1/models/${encodeURIComponent(byId("model").value)}`;
  const version = byId("version").value;
  return version === NEWEST ? path : `${path}/${version}`;
}

function pick(image, button) {
  for (const other of byId("drawn").querySelectorAll("button")) {
    other.setAttribute("aria-pressed", String(other === button));
  }
  clearCompletions();
  editor.show(image);
}

function offerCompletion(edited) {
  byId("complete-button").disabled = !edited.erased;
  for (const button of [...halves, byId("restore")]) button.disabled = !edited.image;
}

async function draw(signal) {
  const seeds = seedsIn("seed", "count", "sample");
  const hot = "sample_with_temperature" in metadata.signatures;
  const temperature = hot
    ? numberIn("temperature", { low: 0.01, high: 100, whole: false })
    : 1;
  const signature = temperature === 1 ? "sample" : "sample_with_temperature";
  const shared = { ...conditionsOf(signature), ...(temperature !== 1 && { temperature }) };
  const instances = seeds.map((seed) => ({ seed, ...shared }));
  const images = await predict(modelPath(), signature, instances, "images", signal);
  const editable = !byId("complete").hidden;
  const captions = captionsOf(seeds);
  byId("drawn").replaceChildren(
    ...images.map((image, i) => figureOf(image, captions[i], editable && pick)));
  if (editable) pick(images[0], byId("drawn").querySelector("button"));
  return `Drew ${images.length} images`;
}

/** Returns how many candidates the model draws for each completion. */
const candidatesOfCompletion = () =>
  metadata.signatures?.complete?.num_candidates ?? 1;

/** Explains how the model completes an image, and limits the count. */
function describeCompletion() {
  const candidates = candidatesOfCompletion();
  const choosesOrder = "order" in (metadata.signatures?.complete?.outputs ?? {});
  const order = choosesOrder
    ? "Erased pixels are drawn in the order in which the fewest kept pixels follow the " +
      "first erased one, each given the pixels before it. "
    : "Erased pixels are drawn row by row, each given the pixels before it. ";
  byId("about-completion").textContent = order + (candidates === 1
    ? "Pixels kept after an erased one do not influence it."
    : `Of ${candidates} candidates, one is chosen by how well the pixels kept after ` +
      "the first erased one fit it. ESS is the effective sample size: near 1, the " +
      "result is merely the best of the candidates.");
  const count = byId("complete-count");
  count.value = Math.min(Number(count.value), mostImages("complete"));
}

async function complete(signal) {
  const seeds = seedsIn("complete-seed", "complete-count", "complete");
  const { known } = editor;
  const images = editor.image.map((line, row) =>
    line.map((pixel, column) => pixel.map((value) => value * known[row][column])));
  const shared = { images, known, ...conditionsOf("complete") };
  const instances = seeds.map((seed) => ({ seed, ...shared }));
  const completed = await predictAll(
    modelPath(), "complete", instances, "images", signal);
  const captions = captionsOf(seeds);
  const candidates = candidatesOfCompletion();
  // All completions have one mask, and so one order.
  const { order } = completed[0];
  byId("taken-order").textContent =
    order === undefined ? "" : describeOrder(order, known);
  byId("completed").replaceChildren(...completed.map((prediction, i) => {
    const size = candidates > 1 && prediction.effective_sample_size.toFixed(1);
    const caption = size ? `${captions[i]}, ESS ${size}` : captions[i];
    return figureOf(prediction.images, caption);
  }));
  return `Completed the image ${completed.length} times`;
}

async function watch(signal) {
  const seeds = seedsIn("canvases-seed", "canvases-count", "sample_canvases");
  const instances = seeds.map((seed) => ({ seed }));
  const canvases = await predict(
    modelPath(), "sample_canvases", instances, "canvases", signal);
  player.show(canvases, captionsOf(seeds));
  return `Drew ${canvases[0].length} canvases of ${canvases.length} images`;
}

/** Returns whether the page can fill all inputs of a signature. */
function offers(signature) {
  const inputs = metadata.signatures?.[signature]?.inputs;
  return Boolean(inputs) && Object.keys(inputs).every((name) => FILLABLE.includes(name));
}

function clearCompletions() {
  byId("completed").replaceChildren();
  byId("taken-order").textContent = "";
}

function clearResults() {
  byId("drawn").replaceChildren();
  clearCompletions();
  for (const id of ["draw", "complete", "canvases"]) byId(id).hidden = true;
  editor.clear();
  player.clear();
  byId("about").textContent = "";
}

/** Shows what the chosen version can do. */
async function showVersion(signal) {
  clearResults();
  const newest = availableVersions()[0]?.version;
  const isNewest = newest && byId("version").value === NEWEST;
  const found = await readMetadata(modelPath() + (isNewest ? `/versions/${newest}` : ""));
  signal.throwIfAborted(); // Another model was chosen meanwhile.
  metadata = found;
  byId("draw").hidden = !offers("sample");
  byId("complete").hidden = !offers("complete");
  byId("canvases").hidden = !offers("sample_canvases");
  describeCompletion();
  const label = "label" in (metadata.signatures?.sample?.inputs ?? {});
  const classes = (label && metadata.class_names) || [];
  document.querySelector(".for-label").hidden = !label || classes.length > 0;
  document.querySelector(".for-class").hidden = classes.length === 0;
  fillSelect(byId("class"), classes.map((name, number) => [String(number), name]));
  document.querySelector(".for-temperature").hidden = !offers("sample_with_temperature");
  const [height, width, colors] = metadata.image_shape ?? [];
  const size = `${height} × ${width} pixels, ${colors === 1 ? "gray" : `${colors} colors`}`;
  byId("about").textContent = `${metadata.family} · ${size}`;
  if (byId("draw").hidden) {
    const inputs = Object.keys(metadata.signatures?.sample?.inputs ?? {});
    throw new ServerError(
      `This page cannot draw with the model: its inputs are ${inputs.join(", ")}.`);
  }
  return "Ready";
}

function fillSelect(select, options) {
  const before = select.value;
  select.replaceChildren(...options.map(([value, text]) => new Option(text, value)));
  if (options.some(([value]) => value === before)) select.value = before;
}

function chosenModel() {
  return models.find(({ name }) => name === byId("model").value);
}

/** Returns the versions that answer, the newest first. */
function availableVersions() {
  return (chosenModel()?.versions ?? []).filter((v) => v.state === "AVAILABLE");
}

function listVersions() {
  const available = availableVersions();
  fillSelect(byId("version"), [
    [NEWEST, `newest (${available[0]?.version ?? "none"})`],
    ...available.map(({ version }) => [`versions/${version}`, version]),
    ...Object.entries(chosenModel()?.labels ?? {}).map(
      ([label, version]) => [
        `labels/${encodeURIComponent(label)}`, `${label} (${version})`]),
  ]);
}

async function refresh(signal) {
  const found = await listModels();
  signal.throwIfAborted();
  models = found;
  fillSelect(byId("model"), models.map(({ name }) => [name, name]));
  listVersions();
  if (!models.length) {
    clearResults();
    throw new ServerError("No model is served yet. Export one into the base directory.");
  }
  const broken = models.flatMap(({ name, versions }) => versions
    .filter(({ status }) => status.error_code !== "OK")
    .map(({ version, status }) => `${name} ${version}: ${status.error_message}`));
  const done = await showVersion(signal);
  if (broken.length) throw new ServerError(`Not loaded: ${broken.join("; ")}`);
  return done;
}

function onSubmit(id, text, work) {
  byId(id).addEventListener("submit", (event) => {
    event.preventDefault();
    attempt(text, work);
  });
}

onSubmit("draw-form", "Drawing…", draw);
onSubmit("complete-form", "Completing…", complete);
onSubmit("canvases-form", "Drawing canvases…", watch);
for (const button of halves) {
  button.addEventListener("click", () => editor.eraseHalf(button.dataset.half));
}
byId("restore").addEventListener("click", () => editor.show(editor.image));
byId("refresh").addEventListener("click", () => attempt("Looking…", refresh));
byId("version").addEventListener("change", () => attempt("Loading…", showVersion));
byId("model").addEventListener("change", () => {
  listVersions();
  attempt("Loading…", showVersion);
});
attempt("Loading…", refresh);
