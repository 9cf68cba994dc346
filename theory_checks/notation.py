"""The symbols that claims share: what each stands for where the claim's own text does not say."""

import re

NOTATION = {
    "K": "the number of classes",
    "n": "samples a class, where all classes have as many",
    "N": "the number of samples, n K",
    "d": "the dimension of the features",
    "W": "the classifier (K x d), rows w_k",
    "H": "the features (N x d), rows h_i",
    "b": "the bias (K)",
    "w": "a row of W",
    "h": "a feature, a row of H",
    "z": "the logits of a sample",
    "Y": "the labels as vectors, one of K entries 1",
    "11'": "the matrix of ones",
    "Z": "the logits without bias, H W' (N x K)",
    "G": "the gradient of the mean loss in the logits (N x K)",
    "s": "sqrt(decay_W decay_H)",
    "c": "s sqrt(n) = sqrt(n decay_W decay_H), on which the balanced model depends",
    "decay_W": "the weight decay of W: decay_W/2 |W|^2 is added to the mean loss; decay_H and decay_b likewise",
    "p_y": "the softmax probability of the label",
    "p_infl": "the least p_y above which focal loss is convex in the logits; it depends on gamma",
    "x": "log(sum over j != y of exp z_j) - z_y, so that p_y = 1/(1 + e^x)",
    "psi": "a loss as a function of x",
    "S": "psi' as a function of p_y; for focal loss S(p) = (1 - p)^gamma (1 - p - gamma p log p)",
    "phi": "a loss as a function of the margin",
    "gamma": "the exponent of focal loss, -(1 - p_y)^gamma log p_y",
    "alpha": "the smoothing of label smoothing: the target is (1 - alpha) e_y + alpha/K",
    "delta": "in claims on label smoothing, its alpha",
    "tau": "the temperature on spheres: inner products are multiplied with it, in contrastive losses divided by it",
    "ETF": "simplex equiangular tight frame: K vectors of one length, all cosines -1/(K - 1)",
    "A'": "the transpose of A, or the derivative of a function of one variable",
    "|A|_2": "the largest singular value of A",
    "|A|_*": "the nuclear norm of A, the sum of its singular values",
}
"""Symbols and what they stand for, in the order of explanation."""


def symbols_in(text: str) -> dict[str, str]:
    """The symbols of `NOTATION` that occur in a text."""
    patterns = {"A'": r"\w'(?!s\b)", "|A|_2": r"\|_2", "|A|_*": r"\|_\*", "x": r"(?<![\w'`])(?<!\d )x(?![\w`])"}
    word = r"(?<![\w'`]){}(?![A-Za-z0-9`]|_[A-Za-z0-9])"
    return {
        symbol: meaning
        for symbol, meaning in NOTATION.items()
        if re.search(patterns.get(symbol, word.format(re.escape(symbol))), text)
    }
