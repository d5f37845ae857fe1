"use strict";
// The page's only script. All text enters the document through text nodes; files are loaded when they are shown or played.

const page = JSON.parse(document.getElementById("data").textContent);
const $ = (id) => document.getElementById(id);
const PAGE = 40; // rows at a time
const collator = new Intl.Collator(undefined, { numeric: true });
const counted = (n, word) => `${n.toLocaleString("en")} ${word}${n === 1 ? "" : "s"}`;

function element(tag, attributes = {}, ...children) {
  const [name, space] = tag.split(":").reverse();
  const made = space === "svg" ? document.createElementNS("http://www.w3.org/2000/svg", name) : document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) if (value !== null) made.setAttribute(key, value);
  made.append(...children.filter((child) => child !== null));
  return made;
}

/** Text with optional line breaks after punctuation. */
const breakable = (text) => text.split(/(?<=[._\-/])/).flatMap((part, i) => (i ? [element("wbr"), part] : [part]));

// ---- rows and columns ----

const layers = [...new Set(page.metamers.flatMap((m) => [...Object.keys(m.similarity), m.layer]))];
const verdicts = ["passed", "no verdict", "failed"];
const rank = (list) => new Map(list.map((value, i) => [value, i]));
const sorted = (values) => [...new Set(values)].sort(collator.compare);
const clips = sorted(page.originals.map((o) => o.clip));
const models = sorted(page.originals.map((o) => o.model));
const seeds = sorted(page.metamers.map((m) => String(m.seed)));
const ranks = { clip: rank(clips), model: rank(models), layer: rank(layers), verdict: rank(verdicts) };

const rows = page.metamers.map((m) => {
  const original = page.originals[m.original];
  const [snr, rho, r2] = m.similarity[m.layer];
  const row = {
    m, original, clip: original.clip, model: original.model, layer: m.layer, seed: String(m.seed), verdict: m.verdict,
    snr: snr === null ? Infinity : snr, rho, r2, // an infinite SNR is null in JSON
    labels: m.labels.map(([, clip, metamer, probabilities]) =>
      (clip === metamer ? clip : `${clip} → ${metamer}`) + (probabilities && ` (${probabilities})`)).join(", "),
    final: m.attempts[m.kept]?.losses.at(-1) ?? Infinity,
  };
  row.words = [row.clip, row.model, row.layer, `seed ${row.seed}`, row.verdict, row.labels, m.method, m.attempt, m.signal.name]
    .join(" ").toLowerCase();
  row.order = [ranks.clip.get(row.clip), ranks.model.get(row.model), ranks.layer.get(row.layer), m.seed];
  return row;
});
rows.sort((a, b) => { const i = a.order.findIndex((x, k) => x !== b.order[k]); return i < 0 ? 0 : a.order[i] - b.order[i]; });

const columns = [
  { name: "original", label: "Original" },
  { name: "metamer", label: "Metamer" },
  { name: "clip", label: "Clip", by: (r) => r.order[0] },
  { name: "model", label: "Model", by: (r) => r.order[1] },
  { name: "layer", label: "Layer", by: (r) => r.order[2] },
  { name: "seed", label: "Seed", number: true, by: (r) => r.m.seed },
  { name: "verdict", label: "Verdict", by: (r) => ranks.verdict.get(r.verdict) },
  { name: "snr", label: "SNR (dB)", number: true, by: (r) => r.snr },
  { name: "rho", label: "ρ", number: true, by: (r) => r.rho },
  { name: "r2", label: "R²", number: true, by: (r) => r.r2 },
  { name: "labels", label: "Labelled as", by: (r) => r.labels },
  { name: "loss", label: "Loss", by: (r) => r.final },
  { name: "open", label: "" },
];
const inDecibels = (ratio, n = 1) => `${(20 * Math.log10(ratio)).toFixed(n).replace("-", "−")} dB`;
const decimals = (value, n) => (value === Infinity ? "∞" : value.toFixed(n));
const compare = (a, b) => (typeof a === "string" ? collator.compare(a, b) : a === b ? 0 : a - b); // ∞ − ∞ is NaN

// ---- sound: a single player, so that sounds never overlap ----

const player = $("player");
let pressed = null; // the button of the sound that is playing

function stop() {
  player.pause();
  pressed?.setAttribute("aria-pressed", "false");
  pressed = null;
}

function play(button, signal) {
  const again = button === pressed;
  stop();
  if (again) return;
  pressed = button;
  button.setAttribute("aria-pressed", "true");
  $("alert").textContent = "";
  player.src = signal.url;
  player.volume = signal.rms > 0 ? Math.min(1, page.level / signal.rms) : 1;
  player.play().then(() => moveHead(button), (error) => {
    if (button !== pressed) return; // stopped, or another sound started, meanwhile
    stop();
    $("alert").textContent = `${signal.name} could not be played (${error.message})`;
  });
}

function moveHead(button) {
  if (button !== pressed) return;
  const share = player.duration ? player.currentTime / player.duration : 0;
  button.querySelector(".head").style.left = `${100 * share}%`;
  requestAnimationFrame(() => moveHead(button));
}

player.addEventListener("ended", stop);

/** A button for a sound, a link for a picture or another file, or the name of a missing file. */
function signalElement(signal, description) {
  if (signal.url === null) return element("span", { class: "signal absent" }, `missing: ${signal.name}`);
  if (signal.kind === "other") {
    const label = `Download ${description}`;
    return element("a", { class: "signal other", href: signal.url, download: "", "data-stop": "", "aria-label": label },
      signal.name.split("/").at(-1));
  }
  const src = signal.kind === "sound" ? signal.picture : signal.url;
  const image = element("img", { src, alt: "", loading: "lazy", decoding: "async" });
  if (signal.kind === "picture") {
    const label = `Open the picture: ${description}`;
    return element("a", { class: "signal picture", href: signal.url, "data-stop": "", "aria-label": label }, image);
  }
  const attributes = { type: "button", class: "signal", "data-stop": "", "aria-pressed": "false", "aria-label": `Play ${description}` };
  const button = element("button", attributes, image, element("span", { class: "head" }), element("span", { class: "icon" }));
  button.addEventListener("click", () => play(button, signal));
  return button;
}

function signalCell(signal, description) {
  const faint = signal.rms !== null && signal.rms < page.level;
  const words = signal.rms === 0 ? "silent" : `${inDecibels(signal.rms / page.level, 0)}: fainter than the others`;
  return [signalElement(signal, description), ...(faint || signal.rms === 0 ? [element("span", { class: "faint" }, words)] : [])];
}

// ---- curves ----

/** The losses of consecutive attempts on a logarithmic axis, as SVG paths in a box. */
function lossCurves(row, width, height) {
  let taken = 0; // steps of the preceding attempts
  const attempts = row.m.attempts.map((attempt) => ({ ...attempt, first: (taken += attempt.steps) - attempt.steps }));
  const steps = Math.max(taken, 1);
  const positive = attempts.flatMap((a) => a.losses).filter((loss) => loss > 0);
  const [low, high] = [Math.log10(Math.min(...positive)), Math.log10(Math.max(...positive))];
  const x = (step) => (width * step) / steps;
  const y = (loss) => (high > low ? (height * (high - Math.log10(Math.max(loss, 10 ** low)))) / (high - low) : height / 2);
  const paths = attempts.map((a, i) => {
    const points = a.losses.map((loss, k) => `${x(a.first + a.at[k]).toFixed(1)},${y(loss).toFixed(1)}`);
    return element("svg:polyline", { class: i === row.m.kept ? "curve kept" : "curve", points: points.join(" ") });
  });
  return { paths, steps, low: 10 ** low, high: 10 ** high, any: positive.length > 0 };
}

function sparkline(row) {
  const { paths, any } = lossCurves(row, 72, 24);
  return any ? element("svg:svg", { width: 72, height: 24, viewBox: "0 0 72 24", "aria-hidden": "true" }, ...paths) : "";
}

function lossFigure(row) {
  const [width, height, left, top] = [340, 130, 62, 10];
  const { paths, steps, low, high, any } = lossCurves(row, width, height);
  if (!any) return element("p", {}, "No loss was recorded.");
  const range = `between ${high.toPrecision(3)} and ${low.toPrecision(3)}`;
  const label = `Loss on a logarithmic axis: ${range} in ${counted(steps, "step")}`;
  const text = (x, y, anchor, words) => element("svg:text", { x, y, "text-anchor": anchor }, words);
  return element("svg:svg", { viewBox: `0 0 ${left + width + 12} ${top + height + 34}`, role: "img", "aria-label": label },
    element("svg:path", { class: "axis", fill: "none", d: `M${left} ${top}V${top + height}H${left + width}` }),
    text(left - 8, top + 4, "end", high.toPrecision(2)), text(left - 8, top + height + 4, "end", low.toPrecision(2)),
    text(left, top + height + 16, "middle", "0"), text(left + width, top + height + 16, "middle", String(steps)),
    text(left + width / 2, top + height + 30, "middle", "step"),
    element("svg:g", { transform: `translate(${left} ${top})` }, ...paths));
}

/** The SNR of each class of statistics as a bar, with the published 20 and 30 dB as lines; the RMS error beside it. */
function classBars(classes) {
  const [left, width, step, most] = [170, 180, 20, 50];
  const x = (snr) => left + (width * Math.min(Math.max(snr ?? most, 0), most)) / most;
  const bottom = step * classes.length;
  const text = (at, y, anchor, words) => element("svg:text", { x: at, y, "text-anchor": anchor }, words);
  const bars = classes.flatMap(([name, snr, error], i) => [
    text(left - 8, step * i + 14, "end", name.replaceAll("_", " ")),
    element("svg:rect", { class: (snr ?? most) < 20 ? "bar low" : "bar", x: left, y: step * i + 3, width: x(snr) - left, height: step - 6 }),
    text(left + width + 8, step * i + 14, "start", `${decimals(snr ?? Infinity, 1)} dB, ${error.toPrecision(2)}`),
  ]);
  const lines = [20, 30].flatMap((snr) => [
    element("svg:path", { class: "axis", fill: "none", d: `M${x(snr)} 0V${bottom}` }), text(x(snr), bottom + 14, "middle", String(snr))]);
  const label = `SNR of each class: ${classes.map(([name, snr]) => `${name} ${decimals(snr ?? Infinity, 1)} dB`).join(", ")}`;
  return element("svg:svg", { viewBox: `0 0 ${left + width + 130} ${bottom + 20}`, role: "img", "aria-label": label }, ...bars, ...lines);
}

// ---- one row ----

function cells(row) {
  const of = `${row.clip}, ${row.model}`;
  const same = row.m.labels.every(([, clip, metamer]) => clip === metamer);
  const sign = { passed: "✓ ", failed: "✕ ", "no verdict": "– " }[row.verdict];
  const more = element("button", { type: "button", class: "more", "data-stop": "", "aria-expanded": "false",
    "aria-label": `Details of ${row.layer}, seed ${row.seed}, ${of}` });
  more.addEventListener("click", () => toggleDetails(more, row));
  return {
    original: signalCell(row.original.signal, `the original: ${of}`),
    metamer: signalCell(row.m.signal, `the metamer: ${row.layer}, seed ${row.seed}, ${of}`),
    clip: breakable(row.clip), model: breakable(row.model), layer: breakable(row.layer), seed: [row.seed],
    verdict: [element("span", { class: row.verdict.replace(" ", "-") }, sign + row.verdict)],
    snr: [decimals(row.snr, 1)], rho: [decimals(row.rho, 3)], r2: [decimals(row.r2, 3)],
    labels: [element("span", { class: same ? null : "failed" }, row.labels || "–")],
    loss: [sparkline(row)],
    open: [more],
  };
}

function rowElement(row) {
  const content = cells(row);
  return element("tr", { class: "row", role: "row" }, ...columns.map(({ name, label, number }) => {
    const caption = ["clip", "model", "open"].includes(name) ? null : label; // shown on cards
    return element("td", { class: number ? `${name} number` : name, role: "cell", "data-label": caption }, ...content[name]);
  }));
}

function toggleDetails(button, row) {
  const line = button.closest("tr");
  const open = button.getAttribute("aria-expanded") === "true";
  button.setAttribute("aria-expanded", String(!open));
  if (open) line.nextElementSibling.remove();
  else {
    const cell = element("td", { colspan: columns.length, role: "cell" }, details(row));
    line.after(element("tr", { class: "details", role: "row" }, cell));
  }
}

const madeBy = {
  first: "the first attempt, from noise", "new noise": "a later attempt, from other noise",
  continued: "an attempt that continued the signal of an earlier one",
  "layer before": "first matching the preceding layer",
};

function details(row) {
  const { m, original } = row;
  const limit = (metric, value, n) => {
    const margin = m.margin[metric] ?? null;
    return margin !== null && Number.isFinite(value) ? (value - margin).toFixed(n) : "–";
  };
  const line = (name, values, attributes = {}) => element("tr", attributes, element("th", { scope: "row" }, name),
    ...values.map((value) => element("td", { class: "number" }, value)));
  const similarity = element("table", { class: "plain" },
    element("thead", {}, element("tr", {}, ...["Layer", "SNR (dB)", "ρ", "R²"].map((heading, k) =>
      element("th", { scope: "col", class: k ? "number" : null }, heading)))),
    element("tbody", {}, ...Object.entries(m.similarity).map(([layer, [snr, rho, r2]]) => line(
      layer === m.layer ? `${layer} (matched)` : layer, [decimals(snr ?? Infinity, 1), decimals(rho, 3), decimals(r2, 3)],
      { class: layer === m.layer ? "matched" : null })),
      line("maximum over random pairs",
        [limit("snr_db", row.snr, 1), limit("spearman_rho", row.rho, 3), limit("pearson_r2", row.r2, 3)])));
  const facts = [
    ...m.labels.map(([task, clip, metamer, probabilities, classes]) => [`Labelled as (${task})`,
      `original ${clip}, metamer ${metamer}` + (probabilities && `; probability ${probabilities.replace(";", " and")}, of ${classes} labels`)]),
    ["Method", `${m.method}, loss ${m.loss}`],
    ...(m.attempt ? [["Made by", madeBy[m.attempt] ?? m.attempt]] : []),
    ...m.attempts.map((a, i) => [`Attempt ${i + 1}${i === m.kept ? " (kept)" : ""}`,
      `${a.what}: ${a.outcome}, ${counted(a.steps, "step")}`]),
    ["Time", `${m.seconds} s`],
    ...(m.signal.rms ? [["Level of the file", `RMS ${m.signal.rms.toPrecision(3)}, peak ${m.peak.toPrecision(3)}`],
      ["Playback", inDecibels(Math.min(1, page.level / m.signal.rms))]] : []),
    ...original.notices.map((notice) => ["Notice", notice]),
    ["Files", [[m.signal.url, m.signal.name.split("/").at(-1)], [m.record, "record"], [original.figure, "figure"]]
      .filter(([url]) => url).flatMap(([href, name], i) => [i ? ", " : "", element("a", { href }, name)])],
  ];
  return element("div", { class: "panels" },
    element("div", { class: "loss" }, element("h3", {}, "Loss"), lossFigure(row)),
    m.classes.length
      ? element("div", { class: "classes" }, element("h3", {}, "Classes: SNR, RMS error"), classBars(m.classes)) : null,
    element("div", {}, element("h3", {}, "Similarity to the original"), element("div", { class: "wide" }, similarity)),
    element("div", { class: "made" }, element("h3", {}, "How it was made"),
      element("dl", {}, ...facts.flatMap(([name, value]) => [element("dt", {}, name), element("dd", {}, ...[value].flat())]))));
}

// ---- paged, sortable tables: of the metamers, and of the evaluation ----

class Pages {
  constructor({ table, pager, count, word, columns, draw, drawn = () => {} }) {
    Object.assign(this, { table, pager, count, word, columns, draw, drawn });
    this.sorting = { column: null, descending: false };
    this.first = 0;
    this.chosen = [];
    table.tHead.rows[0].append(...columns.map((column) => this.header(column)));
    this.previous = element("button", { type: "button" }, "← Previous");
    this.next = element("button", { type: "button" }, "Next →");
    this.where = element("span");
    pager.append(this.previous, this.where, this.next);
    this.previous.addEventListener("click", () => this.turn(-1));
    this.next.addEventListener("click", () => this.turn(1));
  }

  header(column) {
    const { label, by, number } = column;
    const th = element("th", { scope: "col", role: "columnheader", class: number ? "number" : null });
    if (!by) {
      th.append(label || element("span", { class: "skip" }, "Details"));
      return th;
    }
    const button = element("button", { type: "button", class: "sorter" }, label);
    button.addEventListener("click", () => this.sort(column, this.sorting.column === column && !this.sorting.descending));
    column.th = th;
    th.setAttribute("aria-sort", "none");
    th.append(button);
    return th;
  }

  sort(column, descending) {
    this.sorting = { column, descending };
    for (const { th } of this.columns) th?.setAttribute("aria-sort", "none");
    column?.th.setAttribute("aria-sort", descending ? "descending" : "ascending");
    this.show(this.chosen);
  }

  /** Show these rows, sorted by the chosen column; equal rows keep their order. */
  show(chosen) {
    this.chosen = chosen;
    const { column, descending } = this.sorting;
    const sign = descending ? -1 : 1;
    this.ordered = column ? chosen.toSorted((a, b) => sign * compare(column.by(a), column.by(b))) : chosen;
    this.first = 0;
    this.render();
  }

  turn(pages) {
    const first = this.first + pages * PAGE;
    if (first < 0 || first >= this.ordered.length) return false;
    this.first = first;
    this.render();
    this.table.scrollIntoView({ block: "start" });
    return true;
  }

  render() {
    const shown = this.ordered.slice(this.first, this.first + PAGE);
    this.table.tBodies[0].replaceChildren(...shown.map(this.draw));
    [...this.table.tBodies[0].rows].forEach((line, i) => line.setAttribute("aria-rowindex", String(this.first + i + 2)));
    this.table.setAttribute("aria-rowcount", String(this.ordered.length + 1));
    this.count.textContent = this.ordered.length ? this.word(this.ordered.length) : "No rows match these filters.";
    this.where.textContent = `${this.first + 1}–${this.first + shown.length} of ${this.ordered.length.toLocaleString("en")}`;
    this.pager.hidden = this.ordered.length <= PAGE;
    this.previous.disabled = this.first === 0;
    this.next.disabled = this.first + PAGE >= this.ordered.length;
    this.drawn();
  }
}

const table = new Pages({
  table: $("table"), pager: $("pager"), count: $("count"), columns, draw: rowElement,
  word: (n) => `${n === rows.length ? "All" : `${n.toLocaleString("en")} of`} ${counted(rows.length, "metamer")}`,
  drawn: () => {
    const { column, descending } = table.sorting;
    $("sort").value = column ? (descending ? "-" : "") + column.name : "";
    stop();
    rove(firstStop());
  },
});

// ---- filters ----

const found = (name, values) => values.filter((value) => rows.some((row) => row[name] === value));
const filters = { clip: clips, model: models, layer: found("layer", layers), seed: seeds, verdict: found("verdict", verdicts) };

function filter() {
  const wanted = Object.keys(filters).map((name) => [name, $(name).value]).filter(([, value]) => value !== "");
  const words = $("text").value.toLowerCase().split(/\s+/).filter(Boolean);
  const fits = (row) => wanted.every(([name, value]) => row[name] === value) && words.every((word) => row.words.includes(word));
  table.show(rows.filter(fits));
}

for (const [name, values] of Object.entries(filters)) {
  $(name).append(element("option", { value: "" }, "all"), ...values.map((value) => element("option", { value }, value)));
  $(name).closest("label").hidden = values.length < 2;
  $(name).addEventListener("change", filter);
}
$("text").addEventListener("input", filter);
$("clear").addEventListener("click", () => {
  for (const name of [...Object.keys(filters), "text"]) $(name).value = "";
  filter();
});

const sortable = columns.filter((column) => column.by);
$("sort").append(element("option", { value: "" }, "clip, model, layer"), ...sortable.flatMap(({ name, label }) =>
  [["", "↑"], ["-", "↓"]].map(([sign, arrow]) => element("option", { value: sign + name }, `${label} ${arrow}`))));
$("sort").addEventListener("change", () => {
  const value = $("sort").value;
  table.sort(sortable.find(({ name }) => name === value.replace("-", "")) ?? null, value.startsWith("-"));
});

// ---- keyboard: the rows are a single tab stop; arrow keys move within them ----

const body = $("table").tBodies[0];
const stopsOf = (line) => [...line.querySelectorAll("[data-stop]")];
const lines = () => [...body.querySelectorAll("tr.row")];
const firstStop = () => body.querySelector("[data-stop]");

/** Make a control the tab stop of the rows. */
function rove(target) {
  for (const control of body.querySelectorAll("[data-stop]")) control.tabIndex = control === target ? 0 : -1;
}

function moveTo(line, name) {
  const target = line?.querySelector(`.${name} [data-stop]`) ?? (line && stopsOf(line)[0]);
  target?.focus();
  target?.scrollIntoView({ block: "nearest" });
}

body.addEventListener("focusin", (event) => { if (event.target.matches("[data-stop]")) rove(event.target); });
body.addEventListener("keydown", (event) => {
  const control = event.target.closest("[data-stop]");
  if (!control || event.ctrlKey || event.altKey || event.metaKey) return;
  const all = lines(), line = control.closest("tr"), name = control.closest("td").classList[0];
  const i = all.indexOf(line), stops = stopsOf(line), k = stops.indexOf(control);
  const actions = {
    ArrowDown: () => (i + 1 < all.length ? moveTo(all[i + 1], name) : table.turn(1) && moveTo(lines()[0], name)),
    ArrowUp: () => (i > 0 ? moveTo(all[i - 1], name) : table.turn(-1) && moveTo(lines().at(-1), name)),
    ArrowLeft: () => stops[k - 1]?.focus(),
    ArrowRight: () => stops[k + 1]?.focus(),
    Home: () => moveTo(all[0], name),
    End: () => moveTo(all.at(-1), name),
  };
  if (control.matches("a")) actions[" "] = () => control.click(); // as for a button
  if (!(event.key in actions)) return;
  event.preventDefault();
  actions[event.key]();
});
document.addEventListener("keydown", (event) => { if (event.key === "Escape") stop(); });

// ---- the rest of the page ----

function median(values) {
  const ordered = values.toSorted((a, b) => compare(a, b));
  const middle = ordered.length / 2;
  return ordered.length % 2 ? ordered[Math.floor(middle)] : (ordered[middle - 1] + ordered[middle]) / 2;
}

function chip(model, layer, group) {
  const count = (verdict) => group.filter((row) => row.verdict === verdict).length;
  const passed = count("passed"), judged = group.length - count("no verdict");
  const tally = judged ? `${passed} of ${judged}` : "no verdict";
  const label = `${model}, ${layer}: ${tally}${judged ? " passed" : ""}; show these metamers`;
  const snr = `${decimals(median(group.map((row) => row.snr)), 1)} dB`;
  const made = element("button", { type: "button", class: "chip", "aria-label": label },
    element("b", {}, layer), element("span", { class: passed < judged ? "right failed" : "right" }, tally),
    element("span", { class: "small" }, "SNR"), element("span", { class: "right small" }, snr));
  made.style.setProperty("--share", judged ? passed / judged : 0);
  made.addEventListener("click", () => {
    $("clear").click();
    $("model").value = model;
    $("layer").value = layer;
    filter();
    $("metamers").scrollIntoView();
    firstStop()?.focus({ preventScroll: true });
  });
  return made;
}

for (const model of models) {
  const chips = filters.layer.map((layer) => [layer, rows.filter((row) => row.model === model && row.layer === layer)])
    .filter(([, group]) => group.length).map(([layer, group]) => chip(model, layer, group));
  $("overview").append(element("h3", {}, model), element("div", { class: "chips" }, ...chips));
}

function showEvaluation({ pictures, columns: names, rows: cellsOf }) {
  $("evaluation").hidden = pictures.length + cellsOf.length === 0;
  $("pictures").append(...pictures.map(({ name, url, width, height }) => element("figure", {},
    element("a", { href: url }, element("img", { src: url, width, height, loading: "lazy", alt: name })),
    element("figcaption", {}, name))));
  $("evaluation-details").hidden = cellsOf.length === 0;
  $("evaluation-details").querySelector("summary").textContent = `Table, ${counted(cellsOf.length, "row")}`;
  const numeric = names.map((_, k) => cellsOf.every((row) => row[k] === "" || Number.isFinite(Number(row[k]))));
  const value = (row, k) => (!numeric[k] ? row[k] : row[k] === "" ? -Infinity : Number(row[k])); // empty cells first
  const pages = new Pages({
    table: $("evaluation-table"), pager: $("evaluation-details").querySelector(".pager"), count: $("evaluation-count"),
    word: (n) => counted(n, "row"),
    columns: names.map((label, k) => ({ label, number: numeric[k], by: (row) => value(row, k) })),
    draw: (row) => element("tr", {}, ...row.map((text, k) => element("td", { class: numeric[k] ? "number" : null }, text))),
  });
  const show = () => {
    const text = $("evaluation-text").value.toLowerCase();
    pages.show(cellsOf.filter((row) => row.join(" ").toLowerCase().includes(text)));
  };
  $("evaluation-text").addEventListener("input", show);
  show();
}

$("title").textContent = page.title;
const unjudged = rows.filter((row) => row.verdict === "no verdict").length;
$("summary").textContent = [counted(rows.length, "metamer"), counted(clips.length, "clip"), counted(models.length, "model"),
  counted(filters.layer.length, "layer"),
  ...(unjudged < rows.length ? [counted(rows.filter((row) => row.verdict === "failed").length, "failed verdict")] : []),
  ...(unjudged ? [`${unjudged} without a verdict`] : []),
].join(" · ");
$("level").textContent = [
  ...(page.level === null ? [] : [
    `Every sound is played at the same level, an RMS of ${inDecibels(page.level)} re full scale, by attenuating ` +
    "louder ones; the files are unchanged. The cochleagrams of a clip and its metamers share one scale."]),
  ...(rows.some(({ m }) => m.labels.some(([, , , probabilities]) => probabilities)) ? [
    "In brackets after a label: its probability for the clip, then for the metamer."] : []),
].join(" ");
$("made").textContent = `audiometamer ${page.version}`;
$("missing").hidden = page.missing.length === 0;
$("missing").querySelector("ul").append(...page.missing.map((name) => element("li", {}, name)));
showEvaluation(page.evaluation);
filter();
