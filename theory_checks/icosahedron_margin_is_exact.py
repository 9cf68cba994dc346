"""K = 12, d = 3: the icosahedron has the one-vs-rest distance 1 - 1/sqrt(5), and each class is its own best feature.

Theme: spheres and codes

Source: Jiang et al. 2023 (generalised neural collapse), softmax codes beyond K = 2 d (a lower bound on the best code)

Evidence: symbolic, in the field Q(sqrt 5). For a vertex w the five neighbours have <w, v> = 1/sqrt(5), their mean is
w/sqrt(5), and all other vertices have <w, v> <= 1/sqrt(5): so the nearest point of the hull of the others is w/sqrt(5),
in direction w (self-duality). Checked for each of the 12.

False twin: the same with a vertex left out, K = 11, whose former neighbours have a better feature than themselves.
"""

import itertools
from functools import cache

import sympy

from theory_checks.verdict import Verdict, step


def check() -> Verdict:
    """All vertices."""
    return _verdict(12)


def refuted() -> Verdict:
    """One left out."""
    return _verdict(11)


def _verdict(K: int) -> Verdict:
    golden = (1 + sympy.sqrt(5)) / 2
    corners = [(0, a, b * golden) for a, b in itertools.product((1, -1), repeat=2)]
    vertices = [sympy.Matrix(corner[turn:] + corner[:turn]) for corner in corners for turn in range(3)][:K]
    square = sympy.expand(1 + golden**2)
    cosine = 1 / sympy.sqrt(5)

    @cache
    def excess(product: sympy.Expr) -> sympy.Expr:
        return sympy.simplify(product / square - cosine)

    nearest = []
    for w in vertices:
        others = [(v, excess(sympy.expand(w.dot(v)))) for v in vertices if v != w]
        neighbours = [v for v, over in others if over == 0]
        mean = sum(neighbours, sympy.zeros(3, 1)) / max(1, len(neighbours))
        is_multiple = all(sympy.simplify(entry) == 0 for entry in mean - cosine * w)
        nearest.append(len(neighbours) == 5 and is_multiple and all(over.is_nonpositive for _, over in others))
    return Verdict.of(
        "symbolic",
        [
            step(
                f"{K} different vertices of equal length",
                len(set(map(tuple, vertices))) == K and all(sympy.expand(v.dot(v) - square) == 0 for v in vertices),
            ),
            step("each has 5 neighbours whose mean is cos w, and no other vertex is closer", all(nearest)),
        ],
        sizes=f"K = {K}, d = 3",
    )
