// Training: measures over epochs, the model's prediction as a dashed line, an epoch to read them at.
const PANELS = [
  ["loss", "mean loss", "log"], ["accuracy", "accuracy", "linear"], ["nc1_quotient", "NC1, within-class variability", "log"],
  ["nc2_etf_distance", "NC2, distance to the ETF", "log"], ["nc3_self_duality", "NC3, self-duality", "log"],
  ["nc4_disagreement", "NC4, disagreement", "linear"], ["margin", "margin", "linear"], ["p_y", "p_y", "linear"],
  ["norm_w", "|w|", "linear"], ["norm_h", "|h|", "linear"],
];

VIEWS.training = (values, runs) => {
  const name = (run) => `${run.record}/${run.run}`;
  const named = runs.map((run) => ({ ...run, title: `${run.title} (${run.record})` }));
  const run = entryOf("training-run", named, values, "run", name);
  const train = run.splits.train;
  const last = train.epoch.length - 1;
  const found = train.epoch.indexOf(Number(values.epoch));
  const at = found < 0 ? last : found;
  const slider = byId("training-epoch");
  Object.assign(slider, { max: String(last), value: String(at) });
  slider.oninput = () => go({ epoch: train.epoch[Number(slider.value)] }, true);
  slider.setAttribute("aria-valuetext", `epoch ${train.epoch[at]}`);
  byId("training-at").textContent = `${train.epoch[at]}`;
  byId("training-note").textContent = Object.keys(run.predicted).length
    ? "Dashed: what the feature model predicts for the last layer, its decay of the features read off the net. " +
      "Of NC1 to NC4 it predicts 0."
    : "This record holds no prediction; deepnet compare makes it. Of NC1 to NC4 the model predicts 0.";
  const panels = PANELS.filter(([key]) => Object.values(run.splits).some((split) => split[key]?.some((value) => value !== null)));
  const place = byId("training-plots");
  if (place.childElementCount !== panels.length) {
    place.replaceChildren(...panels.map(([key]) => element("div", { className: "plot", id: `training-${key}-plot` })));
  }
  for (const [i, panel] of panels.entries()) {
    place.children[i].id = `training-${panel[0]}-plot`;
    drawPanel(run, panel, train.epoch[at]);
  }
  readAt(run, at);
};

function drawPanel(run, [key, title, type], epoch) {
  const traces = Object.entries(run.splits).filter(([, split]) => split[key]).map(([name, split]) => ({
    type: "scatter", mode: "lines+markers", name, x: split.epoch, y: split[key], connectgaps: false, marker: { size: 4 },
  }));
  if (key in run.predicted) {
    traces.push({
      type: "scatter", mode: "lines", name: "predicted", x: run.predicted[key].epoch, y: run.predicted[key].value,
      line: { dash: "dash", color: "#000000" },
    });
  }
  plot(`training-${key}-plot`, traces, {
    title: heading(title), xaxis: axis("epoch"), yaxis: axis("", type),
    shapes: [verticalLine(epoch)], showlegend: true,
  });
}

function readAt(run, at) {
  const splits = Object.keys(run.splits);
  const epoch = run.splits.train.epoch[at];
  const keys = Object.keys(run.splits.train).filter((key) => key !== "epoch");
  const measured = (split, key) => run.splits[split][key]?.[run.splits[split].epoch.indexOf(epoch)] ?? null;
  const predicted = (key) => run.predicted[key] && (run.predicted[key].value[run.predicted[key].epoch.indexOf(epoch)] ?? run.predicted[key].value.at(-1));
  const collapse = (key) => (/^nc[1-4]_/.test(key) ? 0 : null);
  const rows = keys.map((key) => [key.replaceAll("_", " "), ...splits.map((split) => measured(split, key)), predicted(key) ?? collapse(key)]);
  const parts = [table([`epoch ${epoch}`, ...splits, "predicted"], rows)];
  if (run.rows.length) {
    const last = run.splits.train.epoch.at(-1);
    const compared = run.rows.map((row) => [row.name, row.kind, row.measured, row.predicted, row.ratio]);
    parts.push(element("h3", {}, `Last layer at the last epoch (${last})`));
    parts.push(table(["quantity", "kind", "measured", "predicted", "ratio"], compared));
  }
  byId("training-table").replaceChildren(...parts);
}
