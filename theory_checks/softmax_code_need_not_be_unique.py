"""Softmax codes with d + 2 <= K < 2 d need not be unique: K = 5, d = 3 has two with different Gram matrices.

Theme: spheres and codes

Source: Jiang et al. 2023 (generalised neural collapse), softmax codes with d + 2 <= K < 2 d

Evidence: symbolic, in exact numbers. The octahedron without a vertex and the bipyramid over a triangle have margins of
at least 1 with h_k = w_k, hence one-vs-rest distances of at least 1, which no five vectors of R^3 exceed
(`softmax_code_stays_at_one_up_to_2d`). The characteristic polynomials of their Gram matrices differ, so no rotation and
no exchange of classes takes one to the other.

False twin: K = 6 = 2 d, with the octahedron and the triangular prism of equal edges, whose margins are only 6/7.
"""

import sympy
from sympy import Matrix, Rational, sqrt

from theory_checks.verdict import Verdict, step


def check() -> Verdict:
    """Five vectors."""
    octahedron = _octahedron()[:5, :]
    triangle = Matrix([[1, 0, 0], [-Rational(1, 2), sqrt(3) / 2, 0], [-Rational(1, 2), -sqrt(3) / 2, 0]])
    bipyramid = triangle.col_join(Matrix([[0, 0, 1], [0, 0, -1]]))
    return _verdict({"octahedron without a vertex": octahedron, "bipyramid over a triangle": bipyramid})


def refuted() -> Verdict:
    """Six vectors."""
    width, height = 2 / sqrt(7), sqrt(3) / sqrt(7)
    prism = [
        [width * cosine, width * sine, side * height]
        for cosine, sine in ((1, 0), (-Rational(1, 2), sqrt(3) / 2), (-Rational(1, 2), -sqrt(3) / 2))
        for side in (1, -1)
    ]
    return _verdict({"octahedron": _octahedron(), "triangular prism": Matrix(prism)})


def _verdict(codes: dict[str, Matrix]) -> Verdict:
    grams = [(code * code.T).applyfunc(sympy.nsimplify) for code in codes.values()]
    first, second = (gram.charpoly(sympy.Symbol("x")).as_expr() for gram in grams)
    return Verdict.of(
        "symbolic",
        [
            *(
                step(f"{name}: unit vectors, least margin 1", _is_code(gram))
                for name, gram in zip(codes, grams, strict=True)
            ),
            step(
                "K >= d + 2: no code has a distance above 1", all(code.rows >= code.cols + 2 for code in codes.values())
            ),
            step("different characteristic polynomials of the Gram matrices", sympy.expand(first - second) != 0),
        ],
        sizes=f"K = {grams[0].rows}, d = 3",
    )


def _is_code(gram: Matrix) -> bool:
    K = gram.rows
    margins = [1 - gram[j, k] for k in range(K) for j in range(K) if j != k]
    return all(gram[k, k] == 1 for k in range(K)) and min(margins) == 1


def _octahedron() -> Matrix:
    return sympy.eye(3).col_join(-sympy.eye(3))
