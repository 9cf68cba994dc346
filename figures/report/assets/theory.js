// Closed forms of `ufm/theory/` (prediction.py, partial_collapse.py, landscape.py; the derivations stand there), computed
// in the page for any setting. A test holds them against Python. No part of the page is needed here.
//
// A problem is { loss: "ce" | "ls" | "focal" | "mse", alpha, gamma, rescale, convention, K, d, n, decay_W, decay_H, decay_b },
// decay_b 0 for a free bias and null for none.

const ROUNDING = 1e-12; // relative distance from a threshold within which nothing is said
const LARGEST_GAMMA = 20;
const FAR = 100; // a margin this far beyond the steepest one has S < 1 and D (K + a) > 1
const FARTHEST = 600; // from these log odds on a label has no probability, and S = 1
const BISECTIONS = 1100; // halve any bracket down to neighbouring floats

// The root of a function with different signs at the ends of a bracket.
function rootIn(f, low, high) {
  const sign = Math.sign(f(low));
  for (let i = 0; i < BISECTIONS; i++) {
    const middle = low + (high - low) / 2;
    if (middle === low || middle === high) break;
    if (Math.sign(f(middle)) === sign) low = middle;
    else high = middle;
  }
  return low;
}

// The root above `low` of a function that is positive there (up to rounding) and negative far out.
function rootBeyond(f, low) {
  if (f(low) <= 0) return low;
  let step = 1;
  while (f(low + step) > 0) step *= 2;
  return rootIn(f, low, low + step);
}

// c = sqrt(n decay_W decay_H), on which all depends.
const strength = (problem) => Math.sqrt(problem.n) * Math.sqrt(problem.decay_W) * Math.sqrt(problem.decay_H);

// Focal loss on the simplex ray: value, S = minus its slope, a number with the sign of -S', and D = -S'/S.
function focalRay(K, gamma) {
  const at = (a) => {
    const odds = (K - 1) * Math.exp(-a);
    return { p: 1 / (1 + odds), q: odds / (1 + odds), log: Math.log1p(odds) }; // log = -log p
  };
  const value = (a) => { const { q, log } = at(a); return q ** gamma * log; };
  const S = (a) => { const { p, q, log } = at(a); return q ** gamma * (q + gamma * p * log); };
  const bend = (a) => { const { p, q, log } = at(a); return gamma * (gamma * p - q) * log + (2 * gamma + 1) * q; };
  const fall = (a) => { const { p, q, log } = at(a); return (p * bend(a)) / (q + gamma * p * log); };
  const top = bend(0) >= 0 ? 0 : rootIn(bend, 0, Math.log(K - 1)); // where S is largest on a >= 0
  return { value, S, bend, fall, top };
}

// A softmax loss on the ray; squared error has none.
function rayOf(problem) {
  const { loss, K } = problem;
  if (loss === "focal") return focalRay(K, problem.gamma);
  const alpha = loss === "ls" ? problem.alpha : 0;
  const plainRay = focalRay(K, 0);
  const line = (alpha * (K - 1)) / K;
  return { value: (a) => plainRay.value(a) + line * a, S: (a) => plainRay.S(a) - line, top: 0 };
}

// Thresholds of c, and the ray of focal loss, that hang on the loss, K and the bias alone: from `low` on zero is a local minimiser, from `best` on the
// best point of the ray, up to `high` the ETF exists; below `benign` the landscape is proved benign (focal loss); at `onset`
// (c_x) "one class at zero" becomes a local minimiser.
function thresholds(problem) {
  const { loss, K } = problem;
  if (loss === "mse") { const { unit } = squaredUnits(problem); const at = unit / K; return { low: at, best: at, high: at }; }
  if (loss !== "focal") { const at = (1 - (loss === "ls" ? problem.alpha : 0)) / K; return { low: at, best: at, high: at }; }
  const ray = focalRay(K, problem.gamma);
  const { value, S, top } = ray;
  const low = S(0) / (K - 1);
  const maxwell = top > 0 ? rootBeyond((a) => value(a) + a * S(a) - value(0), top) : 0;
  const ends = { low, best: top > 0 ? S(maxwell) / (K - 1) : low, high: S(top) / (K - 1) };
  const isFree = problem.decay_b === 0;
  return { ...ends, ray, benign: focalBenignBound(problem, ray), onset: isFree && top > 0 ? onset(S, top, K) : null };
}

function onset(S, top, K) {
  const last = rootIn((a) => S(a) - 1, top, top + FAR) / (K - 1);
  const A = rootIn((x) => S((K - 1) * x) - S(-x), top / (K - 1), last);
  return S(-A) / (K - 1);
}

function focalBenignBound({ K, gamma, decay_b }, { S, fall, top }) {
  if (decay_b === null) return top === 0 ? Infinity : S(0) / Math.sqrt(K * (K - 1));
  if (decay_b > 0) return 1 / Math.sqrt(K * (K - 1));
  if (S(0) <= 1) return Infinity;
  if (gamma > LARGEST_GAMMA) return 1 / (K - 1);
  const e = fall(top) * (K + top) >= 1 ? 0 : rootIn((a) => fall(a) * (K + a) - 1, top, top + FAR);
  const atE = S(-e / (K - 1));
  if (top > 0 && S(e) >= atE) return onset(S, top, K);
  return Math.min(S(0), atE) / (K - 1);
}

// Equal class sizes: what bounds the slopes S of a class, and what it must be below (`ufm.theory.chance`).
function slopesAreAllowed({ K, n, decay_W, decay_H, decay_b }, { S, bend }, within = 1) {
  const s = Math.sqrt(decay_W) * Math.sqrt(decay_H);
  const reach = Math.sqrt(2 * n * K) * s;
  const delta = decay_b === null ? 0 : reach < FARTHEST * decay_b ? reach / decay_b : FARTHEST;
  const reached = decay_b === 0 ? (K - 1) * s * Math.sqrt(n) : s * Math.sqrt(n * K * (K - 1));
  if (delta === FARTHEST) return reached < within;
  return bend(-delta * (1 + ROUNDING)) >= 0 || reached < S(-delta) * within;
}

function focalZeroIsAlone({ K, gamma, decay_b }, { S, bend, top }) {
  if (decay_b !== 0 || S(0) <= 1 || gamma > LARGEST_GAMMA) return false;
  if (top > 0 || (K - gamma) * Math.log(K) > 2 * (K - 1)) return false;
  const highest = S(rootIn(bend, -100, 0));
  return S(-2 * highest * Math.log(S(0))) >= S(0);
}

// What theory predicts: `ufm.predict`; `least` is the dimension that its geometry needs.
function predictionOf(problem, known = thresholds(problem)) {
  if (problem.loss === "mse") return squaredPrediction(problem);
  const { K, loss } = problem;
  const c = strength(problem);
  const ray = known.ray ?? rayOf(problem);
  let a = 0;
  if (c < known.best) {
    const alpha = loss === "ls" ? problem.alpha : 0;
    if (loss === "focal") a = rootBeyond((x) => ray.S(x) - (K - 1) * c, ray.top);
    else a = Math.log1p(Math.max(0, 1 - alpha - K * c) / (c + alpha / K));
  }
  const isProved = loss !== "focal" || problem.decay_b === null || (K - 1) * c <= 1 || ray.S(0) <= 1
    || c < known.benign || (a === 0 && focalZeroIsAlone(problem, ray)) || slopesAreAllowed(problem, ray);
  const value = ray.value(a);
  return {
    margin: a, common: 0, bias: 0, value: value + c * (K - 1) * a, loss: value, p_y: 1 / (1 + (K - 1) * Math.exp(-a)),
    ...norms(problem, a, 0), zero_threshold: known.best, c, is_proved_global: isProved, least: a > 0 ? K - 1 : 0,
  };
}

function norms(problem, a, common) {
  const size = (a * (problem.K - 1)) / problem.K + common / problem.K;
  const ratio = (Math.sqrt(problem.n) * Math.sqrt(problem.decay_H)) / Math.sqrt(problem.decay_W);
  return { norm_w: Math.sqrt(ratio) * Math.sqrt(size), norm_h: Math.sqrt(size) / Math.sqrt(ratio) };
}

function squaredUnits({ K, rescale = 1, convention = "half_norm" }) {
  const k = convention === "mean" ? 2 / K : 1;
  return { k, r: rescale, unit: k * rescale };
}

function squaredPrediction(problem) {
  const { K, decay_b } = problem;
  const { k, r, unit } = squaredUnits(problem);
  const c = strength(problem);
  const missed = (K * c) / unit;
  const kept = decay_b === null ? 1 : decay_b > 0 ? 1 / (1 + k / decay_b) : 0;
  const a = Math.max(0, 1 - missed);
  const common = kept > 0 ? Math.max(0, 1 - missed / kept) : 0;
  const value = (size, weight) => (size > 0 ? (K * c * c) / (2 * k * weight) + r * c * size : (unit * r * weight) / (2 * K));
  const [unitRoot, missedRoot] = [Math.sqrt(k) * r, (K * c) / Math.sqrt(k)];
  const residuals = (K - 1) * Math.min(unitRoot, missedRoot) ** 2 + Math.min(kept * unitRoot, missedRoot) ** 2;
  return {
    margin: r * a, common: r * common, bias: (r * (1 - common) * (1 - kept)) / K,
    value: (K - 1) * value(a, 1) + value(common, kept), loss: residuals / (2 * K), p_y: null,
    ...norms(problem, r * a, r * common), zero_threshold: unit / K, c, is_proved_global: true,
    least: common > 0 ? K : a > 0 ? K - 1 : 0,
  };
}

// What is proved of all critical points: `ufm.landscape`. Status, rank of evidence, claims it rests on, and why.
function landscapeOf(problem, known = thresholds(problem)) {
  const { loss, K, d } = problem;
  if (loss === "focal" && problem.gamma > 0) return focalLandscape(problem, known);
  const least = loss === "mse" && problem.decay_b !== 0 ? K : K - 1;
  if (d < least) return open(`the loss is convex, but d = ${d} < ${least}`);
  return benign(`the loss is convex and d = ${d} >= ${least}`, "symbolic", "convex_losses_have_a_benign_landscape");
}

const open = (reason) => ({ status: "open", rank: "", claims: [], reason });
const benign = (reason, rank, claim) => ({ status: "proved benign", rank, claims: [claim], reason });

function focalLandscape(problem, known) {
  const { K, d, decay_b } = problem;
  const c = strength(problem);
  const atZero = known.low * (K - 1);
  const isAbove = (K - 1) * c >= atZero * (1 + ROUNDING);
  if (atZero <= 1 - ROUNDING && isAbove) return benign("zero is the only critical point", "interval", "focal_zero_is_alone_above_its_threshold");
  if (d < K - 1) return open(`d = ${d} < K - 1 = ${K - 1}`);
  const bound = decay_b === null ? known.benign : Math.min(known.benign, Math.max(1, atZero) / (K - 1));
  if (c <= bound * (1 - ROUNDING)) {
    const isBeyond = decay_b === 0 && (K - 1) * c > 1 - ROUNDING;
    const claim = isBeyond ? "focal_landscape_is_benign_up_to_partial_collapse" : "focal_landscape_is_benign_at_small_decays";
    const reason = Number.isFinite(bound) ? `c is below ${digits(bound)}` : "without bias, for so few classes or so small a gamma, at every c";
    return benign(reason, isBeyond ? "interval" : "symbolic", claim);
  }
  if (isAbove && focalZeroIsAlone(problem, known.ray)) return benign("zero is the minimum", "interval", "focal_zero_is_the_minimum_above_its_threshold");
  if (slopesAreAllowed(problem, known.ray, 1 - ROUNDING)) return benign("no label is unlikely but at strict saddles", "symbolic", "focal_landscape_is_benign_where_labels_are_likely");
  return notBenign(problem, known, c) ?? open(`c is not below ${digits(bound)}, up to where the landscape is proved benign`);
}

// Between `low` and `high` zero and the ETF are both local minima, one of them not global.
function notBenign(problem, known, c) {
  const { K, gamma } = problem;
  const { S, bend } = known.ray;
  const curvature = (1 / K) * (1 - 1 / K) ** gamma * bend(0);
  const isStable = problem.decay_b === null || (K - 2) * S(0) + K * curvature > 0;
  const isInside = known.low * (1 + ROUNDING) < c && c < known.high * (1 - ROUNDING) && Math.abs(c / known.best - 1) > ROUNDING;
  if (!isStable || !isInside) return null;
  const [reason, claim] = c < known.best
    ? ["W = H = 0 is a local minimum above the ETF", "zero_is_a_saddle_below_a_threshold"]
    : ["the ETF is a local minimum above W = H = 0", "focal_landscape_is_benign_at_small_decays"];
  return { status: "proved not", rank: "interval", claims: [claim, "focal_zero_and_etf_exchange"], reason };
}

const digits = (value) => String(Number(value.toPrecision(6)));
