// Report cards: what is known about a loss, and how it compares.
VIEWS.cards = (values, cards) => {
  const card = entryOf("cards-record", cards, values);
  byId("cards-note").textContent = `${card.title}: ${card.sizes}, decay ${shown(card.decay)}.`;
  const answers = Object.entries(card.answers).map((pair) => pair.map((text) => typeset(text.replace(/\betf\b/g, "ETF"))));
  byId("cards-answers").replaceChildren(table(["question", "answer"], answers));
  drawRay(card);
  drawDecays(card);
  const names = Object.keys(card.comparison[0]).filter((name) => name !== "loss");
  const rows = names.map((name) => [typeset(COMPARED[name] ?? name.replaceAll("_", " ")), ...card.comparison.map((row) => card.states[row[name]] ?? row[name])]);
  byId("cards-comparison").replaceChildren(table(["", ...card.comparison.map((row) => row.loss)], rows));
};

const COMPARED = {
  best_state: "state of the lowest end point", best_value: "its objective", margin: "its margin", p_y: "its p_y, the label's probability",
  condition_number: "its condition number across rotations", nc1_trace: "its NC1 (trace)", steps_mean: "steps, mean of the starts",
};

function drawRay(card) {
  const { margin, ...losses } = card.ray;
  const traces = Object.entries(losses).map(([name, y], i) => ({
    type: "scatter", mode: "lines", name: plain(name), x: margin, y, line: { width: i ? 1.5 : 3 },
  }));
  const steepest = Object.values(losses).map((values) => values[Math.floor(values.length / 5)]).sort((a, b) => a - b);
  const top = 1.5 * steepest[Math.floor(steepest.length / 2)];
  plot("cards-ray", traces, { xaxis: axis("margin"), yaxis: { ...axis("loss, other logits equal"), range: [0, top] } });
}

function drawDecays(card) {
  const traces = Object.entries(card.shares).map(([state, y], i) => ({
    type: "scatter", mode: "lines+markers", name: card.states[state], x: card.decays, y, line: { color: card.shades[i] }, marker: { size: 4 },
  })).filter((trace) => trace.y.some((share) => share > 1e-9));
  const shapes = card.zero_stable ? [verticalLine(card.zero_stable, "dash")] : [];
  const layout = { xaxis: logAxis("decay of W and H", card.decays), yaxis: { ...axis("share of starts"), range: [-0.03, 1.03] }, shapes };
  const title = card.zero_stable ? "dashed: zero becomes a local minimum" : "";
  plot("cards-decays", traces, { ...layout, title: heading(title) });
}
