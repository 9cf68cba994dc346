// Training: the runs of a group overlaid, coloured by what tells them apart, or one run by its splits; dashed, what is predicted.
// Measure, title, scale, and what the model predicts of it at every epoch, if that is a number that all runs share.
const PANELS = [
  ["loss", "mean loss", "log"], ["accuracy", "accuracy", "linear", 1], ["nc1_quotient", "NC1, within-class variability", "log", 0],
  ["nc2_etf_distance", "NC2, distance to the ETF", "log", 0], ["nc3_self_duality", "NC3, self-duality", "log", 0],
  ["nc4_disagreement", "NC4, disagreement", "linear", 0], ["margin", "margin", "linear"], ["p_y", "p_y, the label's probability", "linear"],
  ["norm_w", "|w|, norm of a row of W", "linear"], ["norm_h", "|h|, norm of a feature", "linear"], ["residual", "residual of the last layer", "log", 0],
];
const MEASURE_WORDS = {
  loss: "mean loss", accuracy: "accuracy", top5_accuracy: "accuracy of the five likeliest", least_margin: "least margin of an image", nll: "negative log likelihood",
  ece: "expected calibration error", nc1_trace: "NC1, trace", nc1_quotient: "NC1, within-class variability", nc2_equinorm: "NC2, spread of the norms",
  nc2_equiangular: "NC2, spread of the angles", nc2_etf_distance: "NC2, distance to the ETF", nc3_self_duality: "NC3, self-duality", nc4_disagreement: "NC4, disagreement",
  bias_residual: "|W mu_G + b|, bias off balance", margin: "margin", p_y: "p_y", norm_w: "|w|", norm_h: "|h|", norm_w_raw: "|w|, not centred", norm_h_raw: "|h|, not centred",
  norm_W: "|W|", norm_global_mean: "|mu_G|, norm of the mean of all features", self_duality_cosine: "cosine of W and class means", mean_cosine: "mean cosine of class means",
  dimensions: "dimensions of class means", between_share: "variance between classes / total", gradient_norm: "norm of the loss's gradient", gradient_along_W: "the gradient along W",
  central_path_loss: "loss on the central path", central_path_nc1: "of it within classes", central_path_nc23: "of it between class means and W", central_path_away: "loss away from the central path",
};
const TELLS_APART = ["loss", "width", "seed", "net", "data"];
const DASHES_OF_SPLITS = ["train", "validation", "test"];

VIEWS.training = (values, runs) => {
  const chosen = runs.find((run) => nameOf(run) === values.run);
  const groups = [...new Set(runs.map((run) => run.group))];
  const group = chosen?.group ?? (groups.includes(values.group) ? values.group : groups[0]);
  const members = runs.filter((run) => run.group === group);
  pick("training-group", groups.map((name) => [name, groupTitle(runs.filter((run) => run.group === name))]), group, (name) => ({ group: name, run: "", split: "", by: "", only: "", epoch: "" }));
  pick("training-run", [["", `all ${members.length}, overlaid`], ...members.map((run) => [nameOf(run), titleIn(members, run) + (run.shapes.length ? ", features in space" : "")])], chosen ? nameOf(chosen) : "", (name) => ({ group, run: name, epoch: "" }));
  for (const [id, isShown] of [["by", !chosen], ["split", !chosen], ["epoch", chosen]]) byId(`training-${id}`).closest("label").hidden = !isShown;
  byId("training-only").hidden = Boolean(chosen);
  byId("training-at").hidden = !chosen;
  byId("training-shape").hidden = !chosen?.shapes.length;
  if (chosen) return oneRun(values, chosen);
  overlay(values, members);
};

const nameOf = (run) => `${run.record}/${run.run}`;

function groupTitle(runs) {
  const values = (key) => [...new Set(runs.map((run) => run.tells[key]))].join(", ");
  return `${values("data")}, ${values("net")} of width ${values("width")}, ${runs.length} run${runs.length > 1 ? "s" : ""} (${runs[0].group})`;
}

// What has more than one value among the runs of a group.
const differing = (runs) => TELLS_APART.filter((key) => key === "loss" || new Set(runs.map((run) => run.tells[key])).size > 1);
const titleIn = (runs, { tells }) => differing(runs).map((key) => (["width", "seed"].includes(key) ? `${key} ${tells[key]}` : tells[key])).join(", ");

function pick(id, entries, chosen, changes) {
  const list = byId(id);
  list.replaceChildren(...entries.map(([value, text]) => element("option", { value }, text)));
  list.value = chosen;
  list.onchange = () => go(changes(list.value));
}

// All runs of a group: a colour for each value of what tells them apart.
function overlay(values, runs) {
  const kinds = differing(runs);
  const by = kinds.includes(values.by) ? values.by : "loss";
  pick("training-by", kinds.map((key) => [key, key]), by, (key) => ({ by: key, only: "" }));
  const splits = DASHES_OF_SPLITS.filter((name) => runs.some((run) => run.splits[name]));
  const split = splits.includes(values.split) ? values.split : splits[0];
  pick("training-split", splits.map((name) => [name, name]), split, (name) => ({ split: name }));
  const names = [...new Set(runs.map((run) => run.tells[by]))];
  const colours = Object.fromEntries(names.map((name, i) => [name, DATA.colours[i % DATA.colours.length]]));
  const kept = shownOf(values.only, names);
  const boxes = names.map((name, i) => {
    const box = element("input", { type: "checkbox", checked: kept.includes(i), id: `training-only-${i}` });
    const next = names.map((_, k) => k).filter((k) => kept.includes(k) !== (k === i));
    box.disabled = !next.length;
    box.onchange = () => go({ only: next.length === names.length ? "" : next.join(",") });
    return element("label", {}, box, badge(colours[name]), typeset(String(name)));
  });
  byId("training-only").replaceChildren(byId("training-only").firstElementChild, ...boxes);
  const shown = runs.filter((run) => kept.includes(names.indexOf(run.tells[by])));
  const isTrain = split === "train";
  byId("training-note").textContent = noteOf(isTrain && shown.some((run) => Object.keys(run.predicted).length));
  drawPanels(shown.map((run) => ({ run, split, colour: colours[run.tells[by]], name: titleIn(runs, run), isPredicted: isTrain })), null);
  const measures = ["nc1_quotient", "nc2_etf_distance", "nc3_self_duality", "nc4_disagreement", "margin"];
  const last = (series) => series?.findLast((value) => value !== null) ?? null;
  const rows = shown.map((run) => [
    element("button", { type: "button", onclick: () => go({ run: nameOf(run), epoch: "" }) }, titleIn(runs, run)),
    ...measures.map((key) => last(run.splits[split]?.[key])), isTrain ? last(run.predicted.margin?.value) : null, isTrain ? last(run.residual?.value) : null,
  ]);
  byId("training-table").replaceChildren(
    element("h3", {}, `At the last epoch (${split})`), table(["run", "NC1", "NC2", "NC3", "NC4", "margin", "margin predicted", "residual"], rows),
  );
}

// The numbers of the groups that an address keeps; all, where it says nothing that is one.
function shownOf(text, names) {
  const asked = [...new Set((text ?? "").split(",").filter(Boolean).map(Number))].filter((i) => Number.isInteger(i) && i >= 0 && i < names.length);
  return asked.length ? asked : names.map((_, i) => i);
}

const noteOf = (isPredicted) => (isPredicted
  ? "Dashed: what the feature model predicts for the last layer, the decay of its features read off the net. Black and dashed: what it predicts of all runs; 0 lies below every logarithmic scale."
  : "Black and dashed: what the feature model predicts at collapse; 0 lies below every logarithmic scale. The other predictions are of training images, and deepnet compare makes them.");

function oneRun(values, run) {
  const train = run.splits.train;
  const last = train.epoch.length - 1;
  const found = train.epoch.indexOf(Number(values.epoch));
  const at = found < 0 ? last : found;
  const slider = byId("training-epoch");
  Object.assign(slider, { max: String(last), value: String(at) });
  slider.oninput = () => go({ epoch: train.epoch[Number(slider.value)] }, true);
  slider.setAttribute("aria-valuetext", `epoch ${train.epoch[at]}`);
  byId("training-at").textContent = `${train.epoch[at]}`;
  byId("training-note").replaceChildren(...keyOf(Object.keys(run.splits).map((name, i) => ({ name, colour: DATA.colours[i] }))), noteOf(Object.keys(run.predicted).length));
  drawPanels(Object.keys(run.splits).map((split, i) => ({ run, split, colour: DATA.colours[i], name: split, isPredicted: split === "train" })), train.epoch[at]);
  readAt(run, at);
  if (run.shapes.length) drawShapes(run.shapes, train.epoch[at]);
}

// The features of the training images at the epochs stored; the one shown is the last not after the epoch chosen.
function drawShapes(shapes, epoch) {
  const frames = shapes.map(({ class_means: means, W, spread }) => ({ means, W, spread: [spread] }));
  const reach = Math.max(...frames.flatMap(({ means, W }) => [...means, ...W]).map(lengthOf), 1e-3);
  const part = (t, key) => between(frames.map((frame) => frame[key]), t);
  const show = (t) => space("training-space", shapeScene(part(t, "means"), part(t, "W"), part(t, "spread")[0], reach));
  const name = (frame) => `epoch ${shapes[frame].epoch}: ${Math.round(100 * shapes[frame].seen)} % of the class means' squared length seen`;
  const at = Math.max(0, shapes.findLastIndex((shape) => shape.epoch <= epoch));
  player("training", shapes.length, at, show, name, (frame) => go({ epoch: shapes[frame].epoch }, true));
  byId("training-space-key").replaceChildren(...geometryKey());
}

const FIRST_CLASSES = [0, 1, 2, 3];
function shapeScene(means, W, spread, reach) {
  const points = [
    ...W.map((at, k) => ({ at, label: String(k), colour: classColour(k, FIRST_CLASSES), symbol: "diamond", title: `row of W of class ${k}` })),
    ...means.map((at, k) => ({ at, label: String(k), colour: classColour(k, FIRST_CLASSES), symbol: "circle", halo: spread[k], title: `mean of class ${k}` })),
  ];
  return { points, lines: pairsOf(means.slice(0, 4)), reach };
}

// What a curve shows: the measures of a split, and of the training images the residual.
const seriesOf = ({ run, split }, key) => (key === "residual" ? (split === "train" ? run.residual : null) : run.splits[split]?.[key] && { epoch: run.splits[split].epoch, value: run.splits[split][key] });

function drawPanels(curves, epoch) {
  const panels = PANELS.filter(([key]) => curves.some((curve) => seriesOf(curve, key)?.value.some((value) => value !== null)));
  const place = byId("training-plots");
  if (place.childElementCount !== panels.length) place.replaceChildren(...panels.map(() => element("div", { className: "plot" })));
  for (const [i, [key, title, type, limit]] of panels.entries()) {
    place.children[i].id = `training-${key}-plot`;
    drawPanel(key, title, type, limit, curves, epoch);
  }
}

function drawPanel(key, title, type, limit, curves, epoch) {
  const measured = curves.map((curve) => [curve, seriesOf(curve, key)]).filter(([, series]) => series).map(([curve, series]) => ({
    type: "scatter", mode: series.epoch.length > 30 ? "lines" : "lines+markers", name: plain(curve.name), x: series.epoch, y: series.value, connectgaps: true,
    marker: { size: 3 }, line: { color: curve.colour, width: 1.5 }, hovertemplate: "%{y:.4g}, epoch %{x}<extra>%{fullData.name}</extra>",
  }));
  const predicted = curves.filter((curve) => curve.isPredicted && key in curve.run.predicted).map((curve) => ({
    type: "scatter", mode: "lines", name: "predicted", x: curve.run.predicted[key].epoch, y: curve.run.predicted[key].value,
    line: { dash: "dash", color: epoch === null ? curve.colour : "#000000", width: 1.5 }, hovertemplate: "predicted: %{y:.4g}<extra></extra>",
  }));
  const values = [...measured, ...predicted].flatMap((trace) => trace.y).filter((value) => value !== null);
  const shapes = limit === undefined ? [] : [limitLine(limit, type)];
  plot(`training-${key}-plot`, [...measured, ...predicted], {
    title: heading(limit === undefined ? title : `${title} (predicted: ${limit})`), xaxis: axis("epoch"), margin: { ...LAYOUT.margin, b: 40 },
    yaxis: axisOf("", type, values), shapes: epoch === null ? shapes : [...shapes, verticalLine(epoch)], showlegend: false,
  });
}

// On a logarithmic scale 0 is below the lowest line, where it is drawn.
const limitLine = (limit, type) => ({
  type: "line", xref: "x domain", x0: 0, x1: 1, ...(type === "log" ? { yref: "y domain", y0: 0, y1: 0 } : { y0: limit, y1: limit }), line: { color: "#000000", width: 1.5, dash: "dash" },
});

function readAt(run, at) {
  const splits = Object.keys(run.splits);
  const epoch = run.splits.train.epoch[at];
  const keys = Object.keys(run.splits.train).filter((key) => key !== "epoch");
  const measured = (split, key) => run.splits[split][key]?.[run.splits[split].epoch.indexOf(epoch)] ?? null;
  const predicted = (key) => run.predicted[key] && (run.predicted[key].value[run.predicted[key].epoch.indexOf(epoch)] ?? run.predicted[key].value.at(-1));
  const collapse = (key) => (/^nc[1-4]_/.test(key) ? 0 : null);
  const rows = keys.map((key) => [typeset(MEASURE_WORDS[key] ?? key.replaceAll("_", " ")), ...splits.map((split) => measured(split, key)), predicted(key) ?? collapse(key)]);
  const parts = [table([`epoch ${epoch}`, ...splits, "predicted"], rows)];
  if (run.rows.length) {
    const last = run.splits.train.epoch.at(-1);
    const compared = run.rows.map((row) => [typeset(row.name), row.kind, row.measured, row.predicted, row.ratio]);
    parts.push(element("h3", {}, `Last layer at the last epoch (${last})`));
    parts.push(table(["quantity", "kind", "measured", "predicted", "ratio"], compared));
  }
  byId("training-table").replaceChildren(...parts);
}
