// The explorer: a setting of one's own, and what theory says of it, computed here (theory.js).
// Of the losses, where nothing is said.
const DEFAULTS = { ce: {}, ls: { alpha: 0.05 }, focal: { gamma: 3 }, mse: { rescale: 1, convention: "half_norm" } };
const PARAMETER = { ls: "alpha", focal: "gamma", mse: "rescale" };
// Address key -> what is allowed, the slider's range (of the logarithm where it says so), and what there is without a word.
const FIELDS = {
  alpha: { least: 0, most: 0.999, slider: [0, 0.9], usual: 0.05 },
  gamma: { least: 0, most: 100, slider: [0, 10], usual: 3 },
  rescale: { least: 1e-6, most: 1e6, slider: [0, 2], isLog: true, usual: 1 },
  K: { least: 2, most: 1e5, slider: [Math.log10(2), 3], isLog: true, isWhole: true, usual: 30 },
  d: { least: 1, most: 1e6, slider: [0, 3.5], isLog: true, isWhole: true, usual: 30 },
  n: { least: 1, most: 1e7, slider: [0, 4], isLog: true, isWhole: true, usual: 1 },
  W: { least: 1e-12, most: 10, slider: [-5, 0], isLog: true, usual: 0.04 },
  H: { least: 1e-12, most: 10, slider: [-5, 0], isLog: true, usual: 0.04 },
  b: { least: 1e-12, most: 10, slider: [-5, 0], isLog: true, usual: 0.01 },
};

VIEWS.explorer = (values) => {
  const problem = problemFrom(values);
  drawControls(problem);
  const known = thresholds(problem);
  const found = predictionOf(problem, known);
  showPrediction(problem, found);
  drawRayOf(problem, found);
  drawMargins(problem, known);
};

// The setting that an address names; what is no number, or not allowed, is the usual one.
function problemFrom(values) {
  const loss = Object.hasOwn(DEFAULTS, values.loss ?? "") ? values.loss : "focal";
  const number = (key) => {
    const { least, most, isWhole, usual } = FIELDS[key];
    const given = values[key] === undefined ? NaN : Number(values[key]);
    return given >= least && given <= most ? (isWhole ? Math.round(given) : given) : usual;
  };
  const bias = values.bias === "none" ? null : values.bias === "decayed" ? number("b") : 0;
  const own = PARAMETER[loss] ? { [PARAMETER[loss]]: number(PARAMETER[loss]) } : {};
  const convention = values.convention === "mean" ? { convention: "mean" } : {};
  return {
    loss, ...DEFAULTS[loss], ...own, ...(loss === "mse" ? convention : {}),
    K: number("K"), d: number("d"), n: number("n"), decay_W: number("W"), decay_H: number("H"), decay_b: bias,
  };
}

function explorerLink(problem) {
  const { loss, K, d, n } = problem;
  const bias = problem.decay_b === null ? { bias: "none" } : problem.decay_b > 0 ? { bias: "decayed", b: problem.decay_b } : {};
  const own = PARAMETER[loss] ? { [PARAMETER[loss]]: problem[PARAMETER[loss]] } : {};
  const convention = problem.convention === "mean" ? { convention: "mean" } : {};
  return `#explorer?${new URLSearchParams({ loss, ...own, ...convention, K, d, n, W: problem.decay_W, H: problem.decay_H, ...bias })}`;
}

function drawControls(problem) {
  byId("explorer-form").onsubmit = (event) => event.preventDefault();
  const choose = (id, key, value) => { byId(id).value = value; byId(id).onchange = () => go({ [key]: byId(id).value }); };
  choose("explorer-loss", "loss", problem.loss);
  choose("explorer-convention", "convention", problem.convention ?? "half_norm");
  choose("explorer-bias", "bias", problem.decay_b === null ? "none" : problem.decay_b > 0 ? "decayed" : "free");
  byId("explorer-convention").parentElement.hidden = problem.loss !== "mse";
  const now = { ...problem, W: problem.decay_W, H: problem.decay_H, b: problem.decay_b };
  for (const [key, { least, most, slider, isLog, isWhole }] of Object.entries(FIELDS)) {
    const [box, range] = [byId(`explorer-${key}`), byId(`explorer-${key}-range`)];
    const isShown = key === "b" ? problem.decay_b > 0 : !Object.values(PARAMETER).includes(key) || PARAMETER[problem.loss] === key;
    box.closest(".field").hidden = !isShown;
    if (!isShown) continue;
    Object.assign(box, { min: least, max: most, step: isWhole ? 1 : "any" });
    if (box !== document.activeElement) box.value = String(Number(now[key].toPrecision(12)));
    box.oninput = () => {
      const isAllowed = box.value !== "" && box.checkValidity();
      byId("explorer-wrong").hidden = isAllowed;
      byId("explorer-wrong").textContent = `${box.labels[0].textContent}: ${isWhole ? "a whole number" : "a number"} from ${least} to ${most}. What is shown is for ${shown(now[key])}.`;
      if (isAllowed) go({ [key]: box.value }, true);
    };
    Object.assign(range, { min: slider[0], max: slider[1], step: "any" });
    if (range !== document.activeElement) range.value = isLog ? Math.log10(now[key]) : now[key];
    range.setAttribute("aria-valuetext", shown(now[key]));
    range.oninput = () => {
      const value = isLog ? 10 ** Number(range.value) : Number(range.value);
      go({ [key]: isWhole ? Math.round(value) : Number(value.toPrecision(3)) }, true);
    };
  }
}

// The thresholds of focal loss lie so close that only a close-up shows their order. It reaches to the setting's own c where
// that leaves the thresholds apart; else an arrow says on which side it is.
const WIDEST = 4; // times as wide as the thresholds

function drawCloseUp(c, thresholds, draw) {
  const [low, high] = [Math.min(...thresholds), Math.max(...thresholds)];
  byId("explorer-close").hidden = !(high > low && high < 1.5 * low);
  if (byId("explorer-close").hidden) return;
  const [least, most] = [Math.min(low, c), Math.max(high, c)];
  const [from, to] = most - least <= WIDEST * (high - low) ? [least, most] : [low, high];
  const range = [from - 0.4 * (high - low), to + 0.4 * (high - low)];
  const places = Array.from({ length: 300 }, (_, i) => range[0] + ((range[1] - range[0]) * i) / 299);
  const where = `here: c = ${shown(c)}`;
  const aside = { xref: "paper", yref: "paper", y: 0.5, showarrow: false, bgcolor: "#ffffff", font: { color: HERE } };
  const annotations = c < range[0] ? [{ ...aside, x: 0, xanchor: "left", text: `\u2190 ${where}` }]
    : c > range[1] ? [{ ...aside, x: 1, xanchor: "right", text: `${where} \u2192` }] : [];
  draw("explorer-close", places, { title: heading("Close to the thresholds"), xaxis: { ...axis("c, linear scale"), range, nticks: 5 }, annotations });
}

function showPrediction(problem, found) {
  const isFitting = problem.d >= found.least;
  const state = found.margin === 0 && found.common === 0 ? "zero: W = 0 and H = 0"
    : found.common > 0 ? (found.common === found.margin ? "an orthogonal frame" : "between a simplex and an orthogonal frame") : "a simplex ETF, every class collapsed";
  const proved = found.is_proved_global ? "proved to be a global minimiser" : "the best point with this geometry, not proved to be global here";
  const rows = [
    ["margin (a), the label's logit over the others", found.margin], ["p_y, probability of the label", found.p_y],
    ["|w_k|, norm of a row of W", found.norm_w], ["|h_i|, norm of a feature", found.norm_h],
    ["f, the objective", found.value], ["mean training loss", found.loss],
    ["c = sqrt(n decay_W decay_H)", found.c], ["c at and above which zero is the minimiser", found.zero_threshold],
  ];
  if (found.common > 0) rows.splice(1, 0, ["logit that all classes share", found.common]);
  if (problem.loss === "mse") rows.splice(rows.findIndex(([name]) => name.startsWith("p_y")), 1);
  byId("explorer-prediction").replaceChildren(
    element("h3", {}, "Predicted minimiser"),
    element("p", {}, isFitting ? typeset(`${state}; ${proved}.`) : typeset(`${state}, which needs d >= ${found.least}: with d = ${problem.d} nothing is predicted.`)),
    ...(isFitting ? [table(["", "value"], rows.map(([name, value]) => [typeset(name), value === null ? null : element("output", {}, precise(value))]))] : []),
    element("h3", {}, "All critical points"),
    landscapeWords(problem),
  );
}

const precise = (value) => (value !== 0 && (Math.abs(value) < 1e-4 || Math.abs(value) >= 1e6) ? value.toExponential(6) : String(Number(value.toPrecision(8))));

// What is proved of the landscape: status, rank, reason, claims.
function landscapeWords(problem) {
  const { status, rank, reason, claims } = landscapeOf(problem, remembered(problem));
  const words = { "proved benign": "proved benign", "proved not": "proved not benign", open: "open" }[status];
  const links = claims.flatMap((name) => [" ", element("a", { href: `#theorems?claim=${name}` }, name.replaceAll("_", " ")), "."]);
  const mark = element("strong", { className: `status ${status.replace(" ", "-")}` }, words);
  return element("p", {}, "Landscape: ", mark, rank ? ` (${rank} evidence)` : "", ": ", typeset(reason), ".", ...links);
}

// The objective along the simplex ray, least at the predicted margin.
function drawRayOf(problem, found) {
  const value = alongRay(problem, found);
  const furthest = Math.max(2 * found.margin, problem.loss === "mse" ? problem.rescale : 4);
  const margins = Array.from({ length: 200 }, (_, i) => (furthest * i) / 199);
  const traces = [
    { type: "scatter", mode: "lines", name: "objective", x: margins, y: margins.map(value) },
    { type: "scatter", mode: "markers", name: "predicted", x: [found.margin], y: [found.value], marker: { size: 11, color: HERE } },
  ];
  plot("explorer-ray", traces, { title: heading("Objective of a simplex against its margin"), xaxis: axis("margin a"), yaxis: axis("objective"), showlegend: true });
}

function alongRay(problem, found) {
  const { K } = problem;
  if (problem.loss !== "mse") { const ray = rayOf(problem); return (a) => ray.value(a) + found.c * (K - 1) * a; }
  const { k, r } = squaredUnits(problem);
  const simplex = (a) => (K - 1) * ((k * (r - a) ** 2) / (2 * K) + found.c * a);
  return (a) => found.value - simplex(found.margin) + simplex(a);
}

// The predicted margin against c, other things equal, the thresholds, and where the setting itself is.
const HERE = "#c24e00";
const THRESHOLDS = {
  low: ["zero becomes a local minimum", "dash"], best: ["zero becomes the best", "solid"], high: ["the ETF ceases to exist", "dot"],
  onset: ["c_x: a class at zero becomes a local minimum", "dashdot"],
};

function drawMargins(problem, known) {
  const c = strength(problem);
  const scaled = (wanted) => ({ ...problem, decay_W: problem.decay_W * (wanted / c), decay_H: problem.decay_H * (wanted / c) });
  const names = Object.keys(THRESHOLDS).filter((name) => known[name] > 0 && (name === "best" || Math.abs(known[name] / known.best - 1) > 1e-9));
  const lines = [...names.map((name) => ({ name: THRESHOLDS[name][0], at: known[name], colour: "#000000", dash: THRESHOLDS[name][1] })), { name: "here", at: c, colour: HERE, dash: "solid" }];
  const shapes = lines.map(({ at, colour, dash }) => ({ ...verticalLine(at, dash), line: { color: colour, width: 2, dash } }));
  const used = new Set();
  const draw = (id, places, layout) => {
    const pieces = provedAlong(places, scaled);
    pieces.forEach(({ mark }) => used.add(mark));
    plot(id, [{ type: "scatter", mode: "lines", x: places, y: places.map((at) => predictionOf(scaled(at), known).margin) }], {
      yaxis: axis("margin a"), showlegend: false, margin: { ...LAYOUT.margin, b: 45 }, ...layout, shapes: [...pieces.map(areaOf), ...shapes],
    });
  };
  const thresholds = names.map((name) => known[name]);
  const ends = [Math.min(known.best * 10 ** -2.5, 0.8 * c), Math.max(2 * Math.max(...thresholds), 1.25 * c)];
  const places = Array.from({ length: 300 }, (_, i) => ends[0] * (ends[1] / ends[0]) ** (i / 299)).concat([known.best * (1 - 1e-9), known.best]).sort((x, y) => x - y);
  draw("explorer-margins", places, { title: heading("Predicted margin against c"), xaxis: { ...logAxis("c, log scale", ends), range: ends.map(Math.log10) } });
  drawCloseUp(c, thresholds, draw);
  byId("explorer-key").replaceChildren(...keyOf([...lines, ...PROVED.map(([name, colour]) => ({ name, colour })).filter((_, i) => used.has(i))]));
}

// What is proved of all critical points along c, piece by piece.
function provedAlong(places, scaled) {
  const markAt = (c) => provedHere(scaled(c));
  const pieces = [];
  for (const [i, c] of places.entries()) {
    const mark = markAt(c);
    if (pieces.at(-1)?.mark === mark) { pieces.at(-1).to = c; continue; }
    const edge = i ? rootIn((x) => (markAt(x) === pieces.at(-1).mark ? -1 : 1), places[i - 1], c) : c;
    if (i) pieces.at(-1).to = edge;
    pieces.push({ mark, from: edge, to: c });
  }
  return pieces;
}

const areaOf = ({ mark, from, to }) => ({
  type: "rect", x0: from, x1: to, y0: 0, y1: 1, yref: "paper", fillcolor: PROVED[mark][1], line: { width: 0 }, layer: "below",
});
