"""What a proof of completeness has to search: critical points of low rank, as those of a small problem.

Line by line, [T] by a theorem of `theory_checks/`, [P] by an argument on paper that stands here and that no machine
checks, [I] by interval arithmetic. f is the plain model, G the gradient of its mean loss in the logits (a column a
sample), s = sqrt(decay_W decay_H), c = s sqrt(n); losses: cross entropy, smoothed or not, and focal loss.

1. [P] 1'G = 0, so decay_W W = -G H' gives 1'W = 0 and rank W <= K - 1; decay_W W'W = decay_H H H'; 1'b = 0 (a free
   bias is taken so).
2. *Rank K - 1.* [P] G G'W = s^2 W, and W has all directions but 1, which G' annihilates: |G|_2 = s. [T] Then the point
   is a global minimiser (`ufm.theory.landscape` says by which claim, and where), and these are one orbit: the simplex
   ETF, or zero. [I] It is the ETF where (K - 1) c < (1 - alpha) S(1/K), zero where (K - 1) c is above.
3. *Rank 0.* [P] W = 0 makes H = 0, and b is critical for the mean loss of b alone plus decay_b/2 |b|^2. Convex losses:
   only b = 0. Focal loss: with p = softmax(b) and phi(p) = S(p) / (p (1 - p)) the equations are
   p_k (sum_j p_j phi(p_j) - phi(p_k)) = -K decay_b b_k. phi = (1-p)^g / p + g (1-p)^(g-1) (-log p) falls: for g < 1
   since p (-log p) <= 1 - p. Where b_k is largest p_k is largest and phi(p_k) least, so the left side is >= 0, the
   right one <= 0; both are 0 for b = 0 only.
4. *Rank r between.* [P] By 1 the rows of W and the features span one space of r dimensions: after a rotation both have
   r columns. Let the samples of each class have one feature, and put w = W / t, h_k = t h_i for the samples i of class
   k, t^2 = sqrt(n decay_H / decay_W). Then f is the reduced problem, whose critical points of rank r are those of f:

       F(w, h, b) = (1/K) sum_k loss(w h_k + b, k) + c/2 (|w|^2 + |h|^2) + decay_b/2 |b|^2 .

5. *Classes collapse, and (h, b) is a function of w.* [P] Convex losses: given (w, b) a sample's problem in h is
   strictly convex, so samples of one class have one feature; given w, F is strictly convex in (h, b), sum b = 0. Focal
   loss without bias: first order in h alone gives u'z = -(S / (N decay_H)) |W'u|^2 <= 0 for u = softmax over the other
   classes less e_y, so the deficit x(h) <= log(K - 1), p >= 1/K. S falls on p >= 1/K for K <= 4 [T], so the loss is
   convex on the convex set x(h) <= log(K - 1), which holds every solution: there is one. With a bias, K = 3: p >=
   p_infl at every critical point ([T] up to gamma = 20; `ufm/complete/convex_region.py` shows it at the gamma asked
   for), where focal loss is convex; f is so in (H, b) given W, on a convex set, strictly: one solution there, and
   exchanging samples of a class does not change it.
6. *Bound.* [P] c |w|^2 + decay_b |b|^2 = -mean_k g_k'(w h_k + b), by W'G = -decay_H H and G 1 = -decay_b b. For a loss
   psi(x) of the deficit, g = S u and -u'z = Ent - x <= log(K - 1) - x = a: at most sup S(a) a. Smoothing multiplies
   that by 1 - alpha and adds alpha (mean z - sum p z) <= 0. [I] |w|^2 <= (1 - alpha) sup S(a) a / c.
7. *Symmetries.* [P] Relabelling permutes (w, h, b), a rotation of feature space turns (w, h). r = 1: w_1 >= ... >= w_K,
   and w_1 + w_K >= 0 by the sign. r = 2 (K = 4): w_1 is the longest row and lies along the first axis, the second
   entries are y_2 >= y_3 >= y_4 with y_3 >= 0; y_1 = 0, whose equation the others imply (w_1 is not 0).
8. [I] `ufm/complete/boxes/` discards boxes of that domain. The *energy lemma* encloses (h, b) there. Let y = (h, b),
   y0 near y(w0), Q Q' about the inverse of F_yy(w0, y0), Q'F_yy(w0, y0) Q >= lambda, and for w in the box
   y(w) - y0 = Q xi. [P] Along z0 + t v a softmax variance changes at a rate of at most range(v) of itself (third
   cumulant). Let kappa |xi| be at least the range of dz_k = (dz_k/dy) Q xi at w, D_w that of (w - w0) h0_k, and
   epsilon^2 = max_k Var(w - w0) / (K c) with Var <= range^2 / 4: in the norm of the loss's Hessian w dh is shorter than
   w0 dh by at most epsilon sqrt(c) |dh|, and c |dh|^2 is part of the energy. So

       xi'Q'F_yy(w, y0 + t Q xi) Q xi >= exp(-D_w - t kappa |xi|) (1 - epsilon) lambda |xi|^2 ,

   and integrated over t, with eta >= |Q'F_y(w, y0)|, 1 - exp(-kappa |xi|) <= tau = kappa eta exp(D_w) / ((1 - epsilon)
   lambda): |xi| <= -log(1 - tau) / kappa if tau < 1. For focal loss Krawczyk's test takes the lemma's place.
9. [I] What is left is proved to hold exactly one critical point each (`ufm/complete/balls.py`). w = 0 is an ordinary
   point here: 0 is critical for F at every r, and its neighbourhood is closed in the same way, unless it bifurcates.

Squared error needs no search: `ufm/complete/squared_error.py`.
"""

import dataclasses
import itertools
import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from flint import arb, ctx
from jaxtyping import Float
from torch import Tensor

from ufm.complete.convex_region import largest_odds
from ufm.errors import check
from ufm.model.losses import CrossEntropy, Focal, LabelSmoothing, SquaredError
from ufm.model.problem import Problem
from ufm.proof.ball_losses import Ball, focal_slope_ball
from ufm.theory.landscape import landscape
from ufm.tolerances import RANK_TOLERANCE

PRECISION = 128
MOST_CLASSES = 4
PIECES, FARTHEST = 4096, 64.0
"""How sup S(a) a is enclosed: pieces of [0, FARTHEST]; beyond, S(a) <= (1 + gamma) (K - 1) exp(-a)."""
SEARCHED = (CrossEntropy, LabelSmoothing, Focal)
IN_CLOSED_FORM = (SquaredError,)
"""Losses of just these classes are reduced: by a search, or without."""


def check_provable(problem: Problem) -> None:
    """Refuse a problem for which a step of the reduction does not hold.

    Raises:
        ValueError: naming the step.
    """
    loss, K = problem.loss, problem.K
    known = ", ".join(each.__name__ for each in SEARCHED + IN_CLOSED_FORM)
    check(
        type(loss) in SEARCHED + IN_CLOSED_FORM and problem.is_balanced,
        "--prove-complete",
        True,
        f"false for {loss} (known: {known})",
    )
    if needs_no_search(problem):
        return
    check(K <= MOST_CLASSES, "--classes", K, f"at most {MOST_CLASSES} with --prove-complete true")
    allowed = "3 with --prove-complete true and a bias: there four classes need 8 variables"
    check(K < 4 or not problem.has_bias, "--classes", K, allowed)
    if (gamma := gamma_of(problem)) > 0:
        allowed = "such that every critical point is proved to lie where focal loss is convex (--prove-complete true)"
        check(
            K == 2 or not problem.has_bias or largest_odds(gamma) is not None,
            "--loss.gamma",
            gamma,
            allowed,
        )
        known_landscape = landscape(_wide(problem))
        allowed = f"such that the landscape is proved benign ({known_landscape.reason})"
        check(known_landscape.is_benign, "--decay-W, --decay-H", (problem.decay_W, problem.decay_H), allowed)


def needs_no_search(problem: Problem) -> bool:
    """Whether all critical sets are known in closed form."""
    return type(problem.loss) in IN_CLOSED_FORM


def gamma_of(problem: Problem) -> float:
    """Exponent of focal loss; 0 for the others."""
    return float(getattr(problem.loss, "gamma", 0.0))


def _wide(problem: Problem) -> Problem:
    """With room for the ETF, which is what the theorem on rank K - 1 asks for."""
    return dataclasses.replace(problem, d=max(problem.d, problem.K))


@dataclass(frozen=True)
class Reduced:
    """The reduced problem of rank r.

    Attributes:
        problem: the full one, which `check_provable` has let pass; not squared error.
        r: columns of w and h.
    """

    problem: Problem
    r: int

    @property
    def K(self) -> int:
        """Classes."""
        return self.problem.K

    @property
    def size(self) -> int:
        """Number of coordinates: w without its last row, h, and b without its last entry."""
        return (self.K - 1) * self.r + self.K * self.r + (self.K - 1) * self.problem.has_bias

    @property
    def alpha(self) -> float:
        """Label smoothing."""
        return float(getattr(self.problem.loss, "smoothing", 0.0))

    @property
    def gamma(self) -> float:
        """Exponent of focal loss; 0 for the others."""
        return gamma_of(self.problem)

    @property
    def outer(self) -> np.ndarray:
        """Places of the variables that are searched: w, less what rotations take."""
        gauge = [1] if self.r == 2 else []
        return np.array([i for i in range((self.K - 1) * self.r) if i not in gauge])

    @property
    def inner(self) -> np.ndarray:
        """Places of h and b."""
        return np.arange((self.K - 1) * self.r, self.size)

    def c(self) -> Ball:
        """sqrt(n decay_W decay_H)."""
        problem = self.problem
        return (arb(problem.n) * arb(float(problem.decay_W)) * arb(float(problem.decay_H))).sqrt()

    @cached_property
    def square(self) -> float:
        """Upper bound of |w|^2 at critical points."""
        with ctx.workprec(PRECISION):
            bound = (1 - arb(self.alpha)) * _greatest(self.K, self.gamma) / self.c()
            return _above(bound)

    @property
    def parameters(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Shape, decays and loss as `ufm/complete/boxes/` takes them."""
        with ctx.workprec(PRECISION):
            c = self.c()
            decays = np.array([-_above(-c), _above(c), float(self.problem.decay_b or 0.0)])
        shape = np.array([self.K, self.r, int(self.problem.has_bias)])
        return shape, decays, np.array([self.alpha, self.gamma, self.limit])

    @cached_property
    def limit(self) -> float:
        """The largest odds 1/p - 1 of a sample at which (h, b) is known to be one function of w."""
        if self.gamma == 0 or not self.problem.has_bias:
            return math.inf
        return largest_odds(self.gamma) or 0.0

    @cached_property
    def domain(self) -> np.ndarray:
        """Rows a of the inequalities a'o >= 0 that every orbit can satisfy (7 of the derivation)."""
        K = self.K
        last = -np.ones(K - 1)
        w = np.vstack([np.eye(K - 1), last])
        if self.r == 1:
            return np.array([*(w[j] - w[j + 1] for j in range(K - 1)), w[0] + w[-1]])
        # K = 4, r = 2: (rho, x2, y2, x3, y3)
        rho, x2, y2, x3, y3 = np.eye(5)
        x4 = -(rho + x2 + x3)
        return np.array([rho, y2 - y3, y3, *(sign * x + rho for x in (x2, x3, x4) for sign in (1, -1))])

    def start(self) -> np.ndarray:
        """(2, q): the box that holds the domain."""
        side = math.sqrt(self.square) * (1 + 1e-12)
        low = np.full(len(self.outer), -side)
        if self.r == 1:
            low[0] = 0.0  # the largest entry
        else:
            low[[0, 2, 4]] = 0.0
        return np.array([low, np.full(len(low), side)])

    def images(self, W: Float[Tensor, "K q"]) -> np.ndarray:
        """(images, q): outer variables of a point of the full problem of rank <= r, under relabellings and signs."""
        ratio = float(self.problem.n * self.problem.decay_H / self.problem.decay_W) ** 0.25
        w = np.zeros((self.K, max(self.r, W.shape[1])))
        w[:, : W.shape[1]] = W.numpy() / ratio
        w = w @ np.linalg.svd(w)[2].T[:, : self.r]
        signs = [(1,), (-1,)] if self.r == 1 else [(1, 1), (1, -1)]
        orders = (list(order) for order in itertools.permutations(range(self.K)))
        turned = [image for order in orders if (image := _in_gauge(w[order])) is not None]
        return np.array([(image * sign)[:-1].reshape(-1)[self.outer] for image in turned for sign in signs])


def _in_gauge(w: np.ndarray) -> np.ndarray | None:
    """Rotated so that the first row lies along the first axis; None where that row alone is zero."""
    length = float(np.linalg.norm(w[0]))
    if w.shape[1] == 1 or not w.any():
        return w
    if length <= RANK_TOLERANCE * np.abs(w).max():
        return None
    cos, sin = w[0] / length
    turned: np.ndarray = w @ np.array([[cos, -sin], [sin, cos]])
    return turned


def _greatest(K: int, gamma: float) -> Ball:
    """An upper bound of S(a) a over a >= 0."""
    half = arb(FARTHEST) / (2 * PIECES)
    pieces = (half * (2 * i + 1) + arb(0, 1) * half for i in range(PIECES))
    values = [a * focal_slope_ball(a, K, arb(gamma)) for a in pieces]
    tail = arb(FARTHEST) * (1 + arb(gamma)) * (K - 1) * (-arb(FARTHEST)).exp()
    return max((value.upper() for value in [*values, tail]), key=float)


def _above(ball: Ball) -> float:
    """A double that is not below any number of the ball."""
    return math.nextafter(float(ball.upper()), math.inf)


def etf_exists(problem: Problem) -> bool | None:
    """Whether critical points of rank K - 1 exist, by 2 of the derivation; None where that is too close to be told."""
    reduced = Reduced(problem, 1)
    with ctx.workprec(PRECISION):
        sigma = (problem.K - 1) * reduced.c()
        threshold = (1 - arb(reduced.alpha)) * focal_slope_ball(arb(0), problem.K, arb(reduced.gamma))
        return True if sigma < threshold else False if sigma > threshold else None
