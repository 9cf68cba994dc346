"""d = 2: the regular K-gon maximises the one-vs-rest distance; the maximum is 1 - cos(2 pi / K) for every K >= 3.

Theme: spheres and codes

Source: Jiang et al. 2023 (generalised neural collapse), softmax codes

Evidence: symbolic, derived here. If no gap exceeds pi, the distance of a point to its neighbours' chord is 2 sin(x/2)
sin(y/2) for gaps x, y (the angles at the neighbours, y/2 and x/2, are not obtuse: the foot lies on the chord); the
product over all K points is that of (sin(x_k/2))^2 times 2^K, and log sin is concave, so the least is at most 2
sin(pi/K)^2. If a gap exceeds pi, the other K - 1 add up to less than pi and some pair of neighbours to at most pi /
floor((K - 1)/2), which gives 2 sin(pi / (4 floor((K - 1)/2)))^2, no more since 4 floor((K - 1)/2) >= K.

False twin: 1 - cos(2 pi / (K - 1)), the distance of one point fewer.
"""

import sympy

from theory_checks.symbols import is_positive, is_zero
from theory_checks.verdict import Verdict, step


def check() -> Verdict:
    """With 2 pi / K."""
    return _verdict(0)


def refuted() -> Verdict:
    """With 2 pi / (K - 1)."""
    return _verdict(1)


def _verdict(fewer: int) -> Verdict:
    x, y, K = sympy.symbols("x y K", positive=True)
    q = sympy.Symbol("q", integer=True, positive=True)
    # Points at angles -x, 0, y: twice the triangle's area, and the chord.
    area = sympy.sin(x) + sympy.sin(y) - sympy.sin(x + y)
    half = sympy.sin(x / 2) * sympy.sin(y / 2)
    chord = 2 * sympy.sin((x + y) / 2)
    cross = (sympy.cos(x) - 1) * sympy.sin(y) + sympy.sin(x) * (sympy.cos(y) - 1)  # (P1 - P0) x (P2 - P0)
    claimed = 1 - sympy.cos(2 * sympy.pi / (K - fewer))
    pair = 2 * half - (sympy.cos((x - y) / 2) - sympy.cos((x + y) / 2))
    return Verdict.of(
        "symbolic",
        [
            step("twice the triangle's area is sin x + sin y - sin(x + y)", is_zero(cross + area)),
            step(
                "= (2 sin(x/2) sin(y/2)) chord",
                is_zero(sympy.expand_trig((area - 2 * half * chord).subs({x: 2 * x, y: 2 * y}))),
            ),
            step("the square of the chord is 2 - 2 cos(x + y)", is_zero(chord**2 - (2 - 2 * sympy.cos(x + y)))),
            step("log sin is concave", is_zero(sympy.diff(sympy.log(sympy.sin(x)), x, 2) + 1 / sympy.sin(x) ** 2)),
            step("equal gaps give the claimed value", is_zero(2 * sympy.sin(sympy.pi / K) ** 2 - claimed)),
            step(
                "2 sin(x/2) sin(y/2) = cos((x - y)/2) - cos((x + y)/2)",
                is_zero(sympy.expand_trig(pair.subs({x: 2 * x, y: 2 * y}))),
            ),
            # K = 2 q + 1 and K = 2 q + 2 with q >= 1.
            step("4 floor((K - 1)/2) >= K", is_positive(4 * q - (2 * q + 1)) and (4 * q - (2 * q + 2)).is_nonnegative),
        ],
        sizes="d = 2, all K >= 3",
    )
