// Mathematics in plain text becomes MathML: `|W|^2 <= 1/K` in a sentence is read, typeset and put back among the words.
// What is not read for certain stays text. Nothing here makes markup from text: nodes are built, their text is text.

const GREEK = {
  alpha: "α", beta: "β", gamma: "γ", delta: "δ", lambda: "λ", mu: "μ", pi: "π", rho: "ρ", tau: "τ", phi: "φ", psi: "ψ", theta: "θ",
  sigma: "σ", Sigma: "Σ", Delta: "Δ",
};
const FUNCTIONS = new Set(["log", "exp", "cos", "sin", "diag", "max", "min", "sum", "prod", "sign", "mean", "loss"]);
const SYMBOLS = { sum: "∑", prod: "∏", grad: "∇", ell: "ℓ", infinity: "∞" };
const BASES = new Set(["decay", "mean", "max", "min", "sum", "prod", "grad", "ell"]); // words that may bear an index
const NAMES = new Set(["decay", "decays", "weight", "infinity"]); // words that may stand for a number, beside an operator
const RELATIONS = { "<=": "≤", ">=": "≥", "!=": "≠", "->": "→", "=": "=", "<": "<", ">": ">" };
const OPERATORS = { ...RELATIONS, "+-": "±", "-+": "∓", "+": "+", "-": "−", "*": "·", "/": "/" };
const [LONGEST, DEEPEST] = [12000, 40]; // characters that are read, brackets within brackets: a record may say anything
const ARTICLES = new Set(["a", "A", "I"]);
const TOKEN = new RegExp([
  "(?<space>\\s+)", "(?<code>`[^`]*`)", "(?<text>\\b[a-z]\\.[a-z]\\.|\\b[A-Za-z]+'s\\b|\\b[A-Za-z]+(?:-[A-Za-z]{2,})+)",
  "(?<number>\\d+(?:\\.\\d+)?(?:e[-+]?\\d+)?(?![\\d.]*\\d))", "(?<word>[A-Za-z]+)", "(?<prime>'+)",
  "(?<operator><=|>=|!=|->|\\+-|-\\+|[-+*/=<>])", "(?<open>[(\\[])", "(?<close>[)\\]])", "(?<other>.)",
].join("|"), "gsu");

// The parts of a text: strings as they stand, and trees ["mi", "K"], ["msup", base, power], ["mrow", ...] with their source.
function mathParts(text) {
  if (text.length > LONGEST) return [text];
  const tokens = [...text.matchAll(TOKEN)].map((found) => {
    const kind = Object.keys(found.groups).find((key) => found.groups[key] !== undefined);
    return { kind, text: found[0], at: found.index };
  });
  const parts = [];
  let plainFrom = 0;
  for (let i = 0; i < tokens.length; i++) {
    const found = isStart(tokens, i) ? row(tokens, i) : null;
    if (!found || !isEnd(tokens, found.end) || !isWorth(found.nodes, tokens[i])) continue;
    const [from, to] = [tokens[i].at, found.end < tokens.length ? tokens[found.end].at : text.length];
    if (from > plainFrom) parts.push(text.slice(plainFrom, from));
    parts.push({ tree: ["mrow", ...found.nodes], source: text.slice(from, to) });
    plainFrom = to;
    i = found.end - 1;
  }
  if (plainFrom < text.length) parts.push(text.slice(plainFrom));
  return parts;
}

const isStart = (tokens, i) => i === 0 || ["space", "open"].includes(tokens[i - 1].kind) || "\"“±".includes(tokens[i - 1].text);
const isEnd = (tokens, end) => end === tokens.length || ["space", "close"].includes(tokens[end].kind) || ".,;:?!\"”".includes(tokens[end].text);

// Numbers alone are text, in brackets too; so is an article.
function isWorth(nodes, first) {
  if (nodes.length === 1 && ARTICLES.has(first.text)) return false;
  return nodes.some(isMathematical);
}

const isMathematical = (node) => ["mi", "msqrt"].includes(node[0]) || ["relation", "infix"].includes(node[2])
  || node.some((child) => Array.isArray(child) && isMathematical(child));

// A row of operands with operators between them, or side by side; it ends with an operand.
function row(tokens, start) {
  const nodes = [];
  let [i, end] = [start, start];
  for (;;) {
    let sign = null;
    if (/^(-|\+-|-\+)$/.test(tokens[i]?.text) && tokens[i + 1]?.kind !== "space") sign = tokens[i++];
    const found = operand(tokens, i, nodes.length === 0 && !sign);
    if (!found) break;
    if (nodes.at(-1)?.[0] === "mspace" && nodes.at(-1)[1] && isRemark(found.node)) break;
    if (sign) nodes.push(["mo", OPERATORS[sign.text], "prefix", sign.text]);
    nodes.push(found.node);
    i = end = found.end;
    const isApart = tokens[i]?.kind === "space";
    if (isApart) i++;
    const next = tokens[i];
    if (next?.kind === "operator") {
      const isTight = tokens[i + 1]?.kind !== "space";
      if (isApart === isTight && next.text in RELATIONS) break; // `2 <G, X>` is an inner product
      if (isApart && isTight && next.text === "-") { nodes.push(["mspace"]); continue; } // `(a, -b)` has no comma here: side by side
      nodes.push(["mo", OPERATORS[next.text], next.text in RELATIONS ? "relation" : "infix", next.text]);
      i += isTight ? 1 : 2;
    } else if (isApart && next?.kind === "number" && tokens[i + 1]?.kind !== "prime") break;
    else nodes.push(["mspace", isApart]);
  }
  while (nodes.length && (nodes.at(-1)[0] === "mspace" || nodes.at(-1)[0] === "mo")) nodes.pop();
  return nodes.length ? { nodes, end } : null;
}

// `X = I (n = 4)`: a bracket with a relation in it is no factor.
const isRemark = (node) => node[0] === "mrow" && node.slice(1).some((child) => child[0] === "mo" && child[2] === "relation");

let depth = 0;
function operand(tokens, i, isFirst) {
  if (depth === DEEPEST) return null;
  depth += 1;
  const found = base(tokens, i, isFirst);
  const made = found && scripts(tokens, found.node, found.end);
  depth -= 1;
  return made;
}

function base(tokens, i, isFirst) {
  const token = tokens[i];
  if (!token) return null;
  if (token.kind === "number") return { node: ["mn", token.text], end: i + 1 };
  if (token.kind === "open") return fenced(tokens, i, { "(": ")", "[": "]" }[token.text]);
  if (token.text === "|") return fenced(tokens, i, "|");
  if (token.kind !== "word") return null;
  if (token.text === "sqrt") return root(tokens, i);
  const next = tokens[i + 1];
  const isBase = next?.text === "_" && BASES.has(token.text);
  if (token.text in GREEK) return { node: ["mi", GREEK[token.text], token.text], end: i + 1 };
  if (isBase || isApplied(tokens, i)) return { node: ["mi", SYMBOLS[token.text] ?? token.text, token.text], end: i + 1 };
  if (NAMES.has(token.text) && isVariable(tokens, i, isFirst)) return { node: ["mi", SYMBOLS[token.text] ?? token.text, token.text], end: i + 1 };
  if (token.text.length > 1) return null;
  if (ARTICLES.has(token.text) && !isVariable(tokens, i, isFirst)) return null;
  return { node: ["mi", token.text, token.text], end: i + 1 };
}

// `log(x)`, `log x`, `diag w`, `max_k`: a function's word counts where something is there that it may act on.
function isApplied(tokens, i) {
  if (!FUNCTIONS.has(tokens[i].text)) return false;
  const next = tokens[i + 1];
  if (next?.text === "(" || next?.text === "_") return true;
  return next?.kind === "space" && !["max", "min", "sign", "mean", "loss"].includes(tokens[i].text) && operand(tokens, i + 2, false) !== null
    && tokens[i + 2].kind !== "number";
}

// Not the article: something mathematical touches it.
function isVariable(tokens, i, isFirst) {
  const after = tokens[i + 1]?.kind === "space" ? tokens[i + 2] : tokens[i + 1];
  const isFollowed = after !== undefined && (["operator", "prime"].includes(after.kind) || "_^|".includes(after.text));
  const isLast = after === undefined || after.kind === "close" || ",.;:".includes(after.text);
  const before = tokens[i - 1]?.kind === "space" ? tokens[i - 2] : tokens[i - 1];
  if (isFollowed) return true;
  if (isFirst) return isLast && ["(", "|"].includes(tokens[i - 1]?.text);
  return isLast || tokens[i].text === "I" || before?.kind === "operator";
}

// Brackets or bars around rows separated by commas.
function fenced(tokens, i, closing) {
  const nodes = [["mo", tokens[i].text, "fence", tokens[i].text]];
  for (let at = i + 1; ;) {
    if (tokens[at]?.kind === "space") return null;
    const inner = row(tokens, at);
    if (!inner) return null;
    nodes.push(...inner.nodes);
    const next = tokens[inner.end];
    if (next?.text === closing) {
      nodes.push(["mo", closing, "fence", closing]);
      return { node: ["mrow", ...nodes], end: inner.end + 1 };
    }
    if (next?.text !== "," || closing === "|") return null;
    nodes.push(["mo", ",", "separator", ","]);
    at = inner.end + (tokens[inner.end + 1]?.kind === "space" ? 2 : 1);
  }
}

// `sqrt(...)` or `sqrt n`.
function root(tokens, i) {
  if (tokens[i + 1]?.text === "(") {
    const found = fenced(tokens, i + 1, ")");
    return found && { node: ["msqrt", ["mrow", ...found.node.slice(2, -1)], "()"], end: found.end };
  }
  const found = tokens[i + 1]?.kind === "space" ? base(tokens, i + 2, false) : null;
  return found && { node: ["msqrt", found.node, " "], end: found.end };
}

// Primes, an index, a power.
function scripts(tokens, node, end) {
  let made = node;
  const primed = (base) => ["mrow", base, ["mo", "′".repeat(tokens[end].text.length), "prime", tokens[end++].text]];
  if (tokens[end]?.kind === "prime") made = primed(made);
  if (tokens[end]?.text === "_") {
    const index = braced(tokens, end + 1) ?? indexAt(tokens, end + 1);
    if (!index) return null;
    made = ["msub", made, index.node];
    end = index.end;
  }
  if (tokens[end]?.kind === "prime") made = primed(made);
  if (tokens[end]?.text === "^") {
    const sign = tokens[end + 1]?.text === "-" ? 1 : 0;
    const power = braced(tokens, end + 1) ?? operand(tokens, end + 1 + sign, false);
    if (!power) return null;
    made = ["msup", made, sign ? ["mrow", ["mo", "−", "prefix", "-"], power.node] : power.node];
    end = power.end;
  }
  return tokens[end]?.text === "_" || tokens[end]?.text === "^" ? null : { node: made, end };
}

// `{j != y}`, and `{i not in y}` as words.
function braced(tokens, i) {
  if (tokens[i]?.text !== "{") return null;
  const inner = row(tokens, i + 1);
  if (inner && tokens[inner.end]?.text === "}") return { node: ["mrow", ...inner.nodes, "{}"], end: inner.end + 1 };
  const last = tokens.findIndex((token, at) => at > i && token.text === "}");
  if (last < 0) return null;
  const words = tokens.slice(i + 1, last).map((token) => token.text).join("");
  return { node: ["mtext", words], end: last + 1 };
}

function indexAt(tokens, i) {
  const token = tokens[i];
  if (token === undefined) return null;
  const isNumbered = /^[A-Z]+$/.test(token.text) && tokens[i + 1]?.kind === "number"; // NC1
  const text = isNumbered ? token.text + tokens[i + 1].text : token.text;
  const end = i + (isNumbered ? 2 : 1);
  if (tokens[end]?.text === "_") return null; // a name of several parts
  if (token.kind === "word") return { node: ["mi", GREEK[text] ?? text, text], end };
  if (token.kind === "number") return { node: ["mn", text], end };
  return "*+".includes(text) ? { node: ["mo", text === "*" ? "∗" : "+", "index", text], end } : null;
}

// The text as nodes of the page, formulas as MathML; a long one may break at its relations.
function typeset(text) {
  const made = document.createDocumentFragment();
  const parts = mathParts(String(text));
  const touching = (part, pattern) => (typeof part === "string" ? pattern.exec(part)[0] : "");
  let taken = 0; // characters of a text that stand with the formula before it
  for (const [i, part] of parts.entries()) {
    if (typeof part === "string") {
      made.append(...codeIn(i + 1 < parts.length ? part.slice(taken).replace(/\S+$/, "") : part.slice(taken)));
      continue;
    }
    const before = touching(parts[i - 1]?.slice?.(taken), /\S*$/);
    const after = touching(parts[i + 1], /^\S*/);
    taken = after.length;
    made.append(...held(before, formulas(part.tree), after));
  }
  return made;
}

// No line ends between a formula and what touches it.
function held(before, nodes, after) {
  const hold = (...inside) => element("span", { className: "held" }, ...inside);
  if (before) nodes[0] = hold(...codeIn(before), nodes[0]);
  if (after) nodes[nodes.length - 1] = hold(nodes.at(-1), ...codeIn(after));
  return nodes;
}

// Names between backquotes; relations between words.
const codeIn = (text) => text.split(/(`[^`]+`)/).filter(Boolean).map((piece) => {
  if (piece.length > 2 && piece.startsWith("`")) return element("code", {}, piece.slice(1, -1));
  return piece.replace(/(?<= )(<=|>=|!=|->)(?= )/g, (relation) => RELATIONS[relation]);
});

const [SHORT, MOST_IN_ONE] = [14, 22]; // characters of a formula that is never broken, and of a part that is not without need

function formulas(tree) {
  const isLong = sizeOf(tree) > SHORT;
  const pieces = [[]];
  for (const node of tree.slice(1)) {
    const isRelation = node[0] === "mo" && node[2] === "relation";
    const mayBreak = isRelation || (node[0] === "mo" && node[2] === "infix" && "+−".includes(node[1])) || node[0] === "mspace";
    if (isLong && mayBreak && pieces.at(-1).length && (isRelation || sizeOf(["mrow", ...pieces.at(-1)]) > MOST_IN_ONE)) pieces.push([]);
    pieces.at(-1).push(node);
  }
  return pieces.flatMap((piece, i) => {
    const math = document.createElementNS(MATHML, "math");
    math.append(...piece.map(mathNode));
    return i ? [document.createElement("wbr"), math] : [math];
  });
}

const MATHML = "http://www.w3.org/1998/Math/MathML";
const sizeOf = (node) => (typeof node === "string" ? 0 : ["mi", "mn", "mo"].includes(node[0]) ? node[1].length : node.slice(1).filter(Array.isArray).reduce((sum, child) => sum + sizeOf(child), 0));

function mathNode(node) {
  const [tag, ...rest] = node;
  const made = document.createElementNS(MATHML, tag);
  if (tag === "mspace") {
    made.setAttribute("width", rest[0] ? "0.2em" : "0");
    made.setAttribute("height", rest[1] ?? "0");
  }
  if (["mi", "mn", "mo", "mtext"].includes(tag)) made.textContent = rest[0];
  else made.append(...rest.filter(Array.isArray).map(mathNode));
  if (tag === "msqrt") made.prepend(mathNode(["mspace", false, "1em"])); // keeps the bar above the letters in any font
  if (tag === "mi" && rest[0].length > 1) made.setAttribute("mathvariant", "normal");
  if (tag === "mo") {
    made.setAttribute("stretchy", "false");
    if (rest[1] === "relation" || rest[1] === "infix") made.setAttribute("form", "infix");
    if (["prefix", "fence", "prime"].includes(rest[1])) for (const side of ["lspace", "rspace"]) made.setAttribute(side, "0");
    if (rest[1] === "prefix") made.setAttribute("form", "prefix");
    if (rest[0] === "/") for (const side of ["lspace", "rspace"]) made.setAttribute(side, "0.1em");
  }
  return made;
}

// What a tree says in plain text without spaces: what was read, and nothing else.
function linear(node) {
  const [tag, ...rest] = node;
  if (tag === "mspace") return "";
  if (tag === "mtext") return `{${rest[0].replace(/\s/g, "")}}`;
  if (tag === "mn") return rest[0];
  if (tag === "mi") return rest[1];
  if (tag === "mo") return rest[2];
  if (tag === "msqrt") return rest[1] === "()" ? `sqrt(${linear(rest[0])})` : `sqrt${linear(rest[0])}`;
  if (tag === "msub") return `${linear(rest[0])}_${linear(rest[1])}`;
  if (tag === "msup") return `${linear(rest[0])}^${linear(rest[1])}`;
  const inside = rest.filter(Array.isArray).map(linear).join("");
  return rest.at(-1) === "{}" ? `{${inside}}` : inside;
}
