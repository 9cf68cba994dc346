"""Legends of the printed tables, for `--explain`: what each name of a row or column means, in one sentence.

`WORDS` is the one place for these sentences: a table only says which of its words are names (`ufm/cli/table.py`). A
name with a part that varies stands there with `*` for it. What a name means in one kind of table alone stands in the
section that the table names.
"""

import textwrap
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from fnmatch import fnmatchcase

COLLAPSE = {
    "nc1_trace": "tr S_W / tr S_B, scatter within classes over scatter between them; 0 at collapse, no unit.",
    "nc1_pinv": "tr(S_W S_B^+) / K, scatter within classes in units of that between them; 0 at collapse.",
    "nc1_cdnv": "mean over pairs of classes of (Var_i + Var_j) / (2 |mu_i - mu_j|^2); 0 at collapse, no unit.",
    "nc2_etf": "|n(M M') - E|_F, distance of the centred class means from a simplex, both at norm 1; 0 at collapse.",
    "nc2_equinorm": "standard deviation of the lengths of the centred class means over their mean; 0 at collapse.",
    "nc2_equiangular": "mean over pairs of class means of |cosine + 1/(K - 1)|; 0 at collapse (a simplex).",
    "nc2_welch_gap": "root mean square of the cosines of class means less the least value for K > d + 1 of them; "
    "0 at a tight frame.",
    "gnc2": "one-vs-rest margin, distance of a class mean at length 1 from the hull of the others; K / (K - 1) "
    "at the simplex, as large as possible at a softmax code.",
    "nc3": "|n(Pi W) - n(M)|_F, distance of the centred rows of W from the class means, both at norm 1; 0 at collapse.",
    "nc3_etf": "|n(W M') - E|_F, distance of W times the class means from a simplex; 0 at collapse.",
    "nc4": "share of samples whose nearest class mean is not that of the class the classifier picks; 0 at collapse.",
    "nc4_test": "share of test samples whose nearest training mean is not that of the class picked; 0 at collapse.",
    "bias_residual": "|Pi (W mu_G + b)|, what global mean and bias add to the logits, less its mean over classes; 0 at "
    "collapse.",
    "nc5": "mean over classes of |cos(mu_k, mu_out)|, mu_out the mean of the features of no class; 0 at collapse.",
    "neco_auroc": "chance that NECO's score of a sample of a class is above that of one of none; 1 tells all apart.",
}
"""The metrics of collapse by their names on `ufm/collapse/README.md`, which says what the letters are."""
SAME = {
    "nc1_quotient": "nc1_pinv",
    "nc2_etf_distance": "nc2_etf",
    "nc3_self_duality": "nc3",
    "nc4_disagreement": "nc4",
    "NC1 trace": "nc1_trace",
    "NC1 quotient": "nc1_pinv",
    "NC2 equinorm": "nc2_equinorm",
    "NC2 equiangular": "nc2_equiangular",
    "NC2 ETF distance": "nc2_etf",
    "NC2": "nc2_etf",
    "NC3 self-duality": "nc3",
    "NC3": "nc3",
    "NC4 disagreement": "nc4",
    "NC4": "nc4",
    "W mu_G + b": "bias_residual",
}
"""Other names of the metrics: those of records, and those in which tables write them."""
RANKS = {
    "symbolic": "computer algebra, for all parameters named; the strongest rank of evidence.",
    "interval": "outward rounded balls of real numbers that cover the whole region named; the second rank.",
    "certificate": "a dual point or bound whose feasibility is checked, in floating point; the third rank.",
    "numeric": "computed in floating point at the sizes and starts named, no proof; the weakest rank.",
}
SHARED = {
    "claim": "what is said of every start that converged; the row has the worst of them.",
    "allowed": "bound that the worst start must keep for the claim to hold.",
    "evidence": "weakest rank of evidence of the claim among the losses: symbolic, interval, certificate or numeric.",
    "loss": "loss of the model, with its parameters.",
    "rank": "rank of W, the dimensions that the classifier uses: K - 1 at collapse, 0 at zero.",
    "index": "Morse index, negative eigenvalues of the Hessian: 0 at a minimum, 1 or more at a strict saddle.",
    "nullity": "zero eigenvalues of the Hessian, directions in which the point may move.",
    "smallest eigenvalue": "smallest eigenvalue of the Hessian: below 0 at a strict saddle, 0 up to rounding at a "
    "minimum with symmetries.",
    "curvature along": "second derivative of the objective along the direction of the next column: below 0 at a "
    "strict saddle.",
    "direction": "direction of that curvature: the theory's of rank one, else the smallest eigenvector.",
    "found": "starts that ended there.",
    "converged": "starts that ended there and met the tolerance.",
    "first start": "number of the first start that ended there, for --first-start.",
    "above the minimum": "its objective less the predicted minimum.",
    "rank before the ReLU": "rank of the features before the ReLU is applied.",
    "seconds": "time that the row took, in seconds.",
    "K": "number of classes.",
    "starts": "random starts, how many of each status.",
    "margin": "logit of the label less the mean of the others; as predicted at collapse, no unit.",
    "p_y": "softmax probability of the label, mean over the samples; as predicted at collapse.",
    "|w|": "root mean square length of the rows of W less their mean.",
    "|h|": "root mean square length of the features less their mean.",
    "|w| / |h|": "ratio of the two lengths, sqrt(n decay_H / decay_W) where the decays balance.",
    "training loss": "mean loss over the training images, without decays.",
    "objective": "mean loss with all decays: of W, H and b in the model, of all weights in a net.",
    "objective / its lower bound (numeric)": "1 at the least objective that any such net can have; never below.",
    "dimensions": "what is derived for the dimensions that class means fill, where it is not K - 1.",
    "self-duality: cos(W, class means)": "cosine between W and the class means, both centred; 1 at collapse.",
    "mean cosine of class means": "mean over pairs of centred class means; -1 / (K - 1) at collapse.",
    "mean cosine of class means as they are": "the same cosine without centring; 0 where they are orthogonal.",
    "dimensions of class means": "tr(G)^2 / tr(G^2) of their Gram matrix, dimensions filled evenly; K - 1 at collapse.",
    "variance between classes / total": "share of the features' variance that lies between classes; 1 at collapse.",
    "stationarity residual, * statistics": "|G'H + decay W| / |decay W|, how far the last layer is from rest, 0 there, "
    "with running, precise (whole set) or batch statistics of the batch normalisations.",
    "balanced decay of |W|, * statistics": "share of the decay of |W| that the loss gradient balances; 1 at rest.",
    "|W|^2 / |what writes the features|^2": "squared norm of W over that of the layer before it; 1 where they balance.",
    "residual of the *": "their gradient over their decay, how far they are from rest; 0 there, no unit.",
    "measured": "of the trained net; with ±, the standard deviation over its seeds. As a kind: measured only.",
    "predicted": "of the model's minimum with the decay of the features that is given or balances W.",
    "derived": "what follows from the net's own decays, with nothing fitted.",
    "deviation": "measured / derived - 1, in per cent; 0 where theory holds.",
    "ratio": "measured / predicted; 1 where theory holds.",
    "kind": "what the row tests: calibration, identity or prediction.",
    "calibration": "1 by construction, as the decay of the features is read off it; with unequal classes "
    "as far as the rows of W sum to 0.",
    "identity": "holds at any last layer that is at rest and collapsed, whatever the features cost.",
    "prediction": "could fail at a last layer that is at rest; of features, into which nothing was fitted.",
    "condition": "loss and decay, mean over its seeds: close if margin, |w| and |h| are within 5 % of theory, fair "
    "within 25 %, else far.",
    "margin %": "margin over the one of theory, less 1, in per cent; theory is derived, else has its decay fitted.",
    "|w| %": "length of the rows of W over that of theory, less 1, in per cent.",
    "|h| %": "length of the features over that of theory, less 1, in per cent.",
    "residual": "|G'H + decay W| / |decay W| of the last layer; 0 at rest, up to 0.05 called stationary.",
    "dim. of *": "dimensions that the class means fill evenly; as many as classes less one at collapse.",
    "above bound %": "objective over a lower bound for any such net, less 1, in per cent; - without a bound.",
    "|w| of the largest classes": "mean length of the rows of W of the classes with most samples.",
    "|w| of the smallest": "mean length of the rows of W of the classes with fewest samples.",
    "cos(* inner products, predicted)": "cosine between the Gram matrix and the predicted one; 1: the same geometry.",
    "target": "condition that is predicted from the others.",
    "predictions": "number of predictions behind the row: sources times seeds.",
    "images": "split whose images the features are of.",
    "linear CKA": "similarity of two sets of features up to rotation and scale; 1: the same.",
    "mean cos of angles": "mean cosine of the principal angles between the spaces of class means; 1: the same.",
    "least cos": "least cosine of these angles; 1: the same space.",
    "same class": "share of the images for which both nets pick the same class.",
    "metric": "name of the metric (ufm/collapse/README.md).",
    "train": "training images, without augmentation, in eval mode.",
    "validation": "images held out of training, which choose the best epoch.",
    "test": "images that neither training nor choosing has seen.",
    "accuracy": "share of images whose label has the largest logit, from 0 to 1.",
    "test_accuracy": "share of the test samples whose label has the largest logit, from 0 to 1.",
    "top5_accuracy": "share of images whose label is among the five largest logits, from 0 to 1.",
    "least_margin": "least label's logit minus largest other one; negative if an image is misclassified.",
    "nll": "mean negative log likelihood of the labels, in nats.",
    "ece": "expected calibration error, mean |confidence - accuracy| over bins; 0: as often right as it says.",
    "norm_w": "root mean square of |w_k|, W less the mean of its rows.",
    "norm_w_raw": "root mean square of |w_k|, W as it is.",
    "norm_h": "root mean square of |h_i - mu_G|.",
    "norm_h_raw": "root mean square of |h_i|, features as they are.",
    "norm_global_mean": "|mu_G|, length of the mean of the class means.",
    "self_duality_cosine": "<W, M> / |W| |M| for the centred W and class means M; 1 at collapse.",
    "mean_cosine": "mean cosine over pairs of centred class means; -1/(K - 1) at collapse.",
    "between_share": "variance between classes over total variance of the features; 1 at collapse.",
    "gradient_norm": "|G'H|, norm of the gradient of the mean loss in W.",
    "gradient_along_W": "<G'H, W>, that gradient times W; -decay |W|^2 at rest.",
    "norm_W": "|W|, Frobenius norm of the classifier.",
    "central_path_*": "a term of squared error along the central path (Han, Papyan, Donoho 2021); away is 0 on it.",
    "margin_*": "mean logit of the labels less that of the others, of images with so many labels.",
    "tag_wise_cosine": "cosine between the mean feature of several labels and the sum of theirs; 1 at collapse.",
    "width": "width of the net, a multiple of the usual channels.",
    "epochs": "passes over the training images.",
    "std. deviation": "standard deviation of the test accuracy over all losses and seeds.",
    "runs": "trainings behind the row that have ended.",
    "statement": "a paper's statement as a number with bounds, judged by the 90 % interval of its mean over seeds.",
    "source": "paper that says it.",
    "measured: mean (spread over seeds)": "the statement's number, its standard deviation over the seeds in brackets.",
    "90 % interval": "confidence interval of the judged number (Student's t), of measured / predicted where predicted.",
    "judged in": "bounds written down before looking, in which the interval must lie to show.",
    "outcome": "showed: the whole interval is within the bounds; did not show: none of it; not decided: otherwise.",
}
SECTIONS = {
    "claims": {
        "predicted objective": "the minimum that theory predicts, mean loss with all decays.",
        "predicted margin": "the margin at that minimum: logit of the label less the equal others.",
        "proved global": "whether it is proved that no point of the model is lower than the prediction.",
        "starts that did not converge": "starts whose gradient did not reach the tolerance; none is dropped.",
        "starts at the minimum": "starts that ended at the predicted value, where not all are said to.",
        "|objective - predicted| / f(0)": "distance of the objective from the prediction, over its value at zero.",
        "(objective - predicted) / f(0)": "how far a start got below the prediction; negative if it did.",
        "|objective - nearest predicted state| / f(0)": "distance from the nearest of all values that theory predicts.",
        "|logits - predicted| / margin": "largest deviation of a logit from the predicted one, over the margin.",
        "|w|, |h| against predicted": "largest relative deviation of these lengths from the predicted ones.",
        "|h_S - tag-wise average| / |h|": "distance of features of several labels from the average of theirs; 0 at "
        "collapse.",
        "duality gap / f(0)": "no point of the model is lower than the end point by more than this, over f(0).",
        "smallest eigenvalue, from below": "lower bound of the Hessian's smallest eigenvalue; below 0 at a saddle.",
        "curvature at other critical points": "largest of the curvatures below; below 0: all are strict saddles.",
        "smallest eigenvalue by": "starts whose smallest eigenvalue is bounded (certificate) or computed (numeric).",
        "verdict": "holds: every claim does; FAILS: one does not; nothing claimed: no prediction.",
    },
    "profile": {
        "phase": "part of the work, time summed over threads, in seconds.",
        "starts": "drawing the starts.",
        "descent": "the minimiser, where objective and steps are one compiled loop.",
        "evaluation": "objective and gradient.",
        "line search": "length of each step.",
        "history": "directions of L-BFGS from earlier steps.",
        "host": "everything else of the minimiser, such as what to do next.",
        "measures": "collapse and deviations of the end points.",
        "smallest eigenvalue": "curvature of the end points.",
        "other critical points": "the search for saddles and their spectra.",
    },
    "atlas": {
        "copies": "labelled copies of the orbit: classes x samples; set: a continuum of them.",
        "met": "class copies that starts have reached.",
        "classes": "classes that differ, a and b together, c alone, (d) at zero; * where features do not collapse.",
        "curvature": "second derivative along the direction of the next column; below 0 at a strict saddle.",
        "along": "rank one: the theory's direction; eigenvector: that of the smallest eigenvalue; minimum: no such "
        "direction.",
        "proved": "what a ball of real numbers around the point proves: its index, and within what distance.",
        "bias decay": "decay of the bias; none: no bias, 0: a free one.",
        "c": "sqrt(n decay_W decay_H), on which the model depends.",
    },
    "window": {
        "m": "classes on the simplex, K in the ETF.",
        "others": "where the other K - m classes are: at zero, or merged in one feature.",
        "less zero's": "objective less that of W = H = 0; below 0: lower than zero.",
        "t": "squared scale of the simplex of the m classes.",
        "beta": "squared scale of the direction that tells the m classes from the others.",
        "B": "bias that tells them apart.",
        "angle": "angle to the feature that all classes share, in radians; 0 with a free bias.",
        "proved": "what a ball of real numbers proves, minimum or critical point, and within what distance.",
    },
    "codes": {
        "margin": "least margin of the best code found, a lower bound of the largest.",
        "exact value": "largest least margin where it is known exactly.",
        "best known packing": "margin of the best packing of points on the sphere in tables.",
        "margin less it": "margin found less the exact value or the packing; 0 at the best code.",
        "|h - w|": "distance of features from classifier rows at the end; 0 where they agree.",
        "starts": "random starts, the best of which is shown.",
        "s": "seconds.",
    },
    "scan": {
        "etf": "share of starts that end at the simplex, all classes collapsed.",
        "zero": "share of starts that end at W = H = 0.",
        "partial": "share of starts that end with some classes collapsed and the others together or at zero.",
        "other": "share of starts that converge to none of these.",
        "not converged": "starts whose gradient did not reach the tolerance.",
        "cells predicted zero": "settings of the row in which theory has zero as the minimum; -: it says nothing.",
        "mostly zero": "settings of the row in which most starts end at zero.",
        "best - predicted": "lowest objective less the prediction, the largest deviation of the row.",
        "smallest eigenvalue": "smallest Hessian eigenvalue of the best end points; 0 up to rounding at minima.",
    },
    "card": {
        "question": "what is asked of the loss.",
        "answer": "what was found, numeric unless it says more.",
        "smooth?": "whether gradients do not jump, at points drawn at random.",
        "class-symmetric?": "whether relabelling the classes leaves the loss as it is.",
        "convex?": "whether it is convex in the logits, on lines drawn at random.",
        "contrastive: at least its value on the ray?": "whether logits of one margin, equal elsewhere, are the best.",
        "contrastive: one minimiser on the ray?": "whether one margin is the best for each price of it.",
        "where does training the model end?": "shares of the end states of random starts in the model.",
        "other local minima found?": "minimisers above the lowest, which descent can end in.",
        "zero is a local minimum from decay": "least decay of W and H at which W = H = 0 is a local minimum.",
        "is the landscape benign?": "whether every critical point is a global minimiser or a strict saddle.",
        "most starts end at zero": "decays at which more than half of the starts end at zero.",
        "most starts end in the ETF": "decays at which more than half of the starts collapse to the simplex.",
        "end state": "state of the lowest end point.",
        "condition number": "largest over smallest eigenvalue of the Hessian across its symmetries, at the best point.",
        "steps": "steps of L-BFGS, mean of the starts.",
        "share *": "share of the starts that end in this state.",
    },
    "transfer": {"m": "depth of the feature penalty decay |H|^(2/m); 1 is the model's."},
    "measures": {
        "loss": "mean loss over the images, without decays.",
        "dimensions": "dimensions that the centred class means fill evenly; K - 1 at collapse.",
    },
    "checks": {
        "claim": "name of the claim, which is that of its file, and what it says.",
        "rigour": "rank of its evidence: symbolic, interval, certificate or numeric.",
        "margin": "how clearly it holds: exact, decimal digits, or the distance from the bound.",
        "verdict": "holds, FAILS, or not run (this machine lacks something).",
    },
}  # fmt: skip
"""What names mean in one kind of table."""
WORDS = COLLAPSE | {name: COLLAPSE[known] for name, known in SAME.items()} | RANKS | SHARED

_explained: ContextVar[set[str] | None] = ContextVar("explained", default=None)
"""The sentences that have been printed; None where no legend is asked for."""


@contextmanager
def explained(is_asked: bool) -> Iterator[None]:
    """Within, tables have a legend if it `is_asked` for, each sentence below the first table that needs it."""
    token = _explained.set(set() if is_asked else None)
    try:
        yield
    finally:
        _explained.reset(token)


def meaning(name: str, section: str = "") -> str | None:
    """The sentence on a name, that of its section first, and that with `*` where it has none of its own."""
    for words in (SECTIONS.get(section, {}), WORDS):
        if name in words:
            return words[name]
        for pattern, sentence in words.items():
            if "*" in pattern and fnmatchcase(name, pattern):
                return sentence
    return None


def legend(names: Sequence[str], section: str, width: int) -> str:
    """The lines on names that are not explained yet, as wide as the console; empty where none are asked for."""
    done = _explained.get()
    if done is None:
        return ""
    found = {name: words for name in names if (words := meaning(name, section)) and words not in done}
    done.update(found.values())
    return "\n".join(
        textwrap.fill(f"{name}: {words}", width, subsequent_indent="    ") for name, words in found.items()
    )
