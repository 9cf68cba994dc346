"""Focal loss, K = 30, gamma = 3: at some decay zero and a margin a > 0 are both the best of the ETF ray.

Theme: focal loss

Source: Zhou et al. 2022 (all losses), contrastive property: its uniqueness clause does not hold for focal loss in
general

Evidence: interval. F(a) = phi(a) + 29 c a. For c in [1.010, 1.016] c_low, c_low = S(1/K)/(K - 1): F' > 0 on [0, 0.005];
at the lower c some F(a) < F(0); at the upper one F(a) > F(0) on [0.005, 3], and beyond 3 the penalty alone exceeds
F(0). The least value over a >= 0.005 less F(0) is continuous in c and changes sign: at that c there are two minimisers,
and phi(t) + c |t| has no unique one. So the clause needs K <= 17 (`focal_has_one_margin_up_to_17_classes`) or decays
away from that value.

False twin: the same at K = 17.
"""

from theory_checks.verdict import Verdict, positive, step

GAMMA = 3
NEAR, FAR, ELSEWHERE = 0.005, 3.0, 0.9


def check() -> Verdict:
    """K = 30."""
    return _verdict(30)


def refuted() -> Verdict:
    """K = 17."""
    return _verdict(17)


def _verdict(K: int) -> Verdict:
    from theory_checks.focal_ray import Ray
    from theory_checks.intervals import least, positive_on

    ray = Ray(K, GAMMA)
    c_low = ray.slope(ray.ball(0)) / (K - 1)
    first, last = c_low * ray.ball("1.010"), c_low * ray.ball("1.016")
    zero = ray.loss(ray.ball(0))
    rises = positive_on(lambda a: (K - 1) * first - ray.slope(a), 0.0, NEAR)
    above = positive_on(lambda a: ray.loss(a) + (K - 1) * last * a - zero, NEAR, FAR)
    lower = zero - ray.loss(ray.ball(ELSEWHERE)) - (K - 1) * first * ray.ball(ELSEWHERE)
    return Verdict.of(
        "interval",
        [
            positive(f"F' on [0, {NEAR}] ({rises.balls} balls), at least", least(rises)),
            positive(f"F(0) - F({ELSEWHERE}) at the lower c, at least", float(lower.lower())),
            positive(f"F(a) - F(0) on [{NEAR}, {FAR}] at the upper c ({above.balls} balls), at least", least(above)),
            step(f"the penalty at {FAR} exceeds F(0)", (K - 1) * last * ray.ball(FAR) > zero),
        ],
        margin_is="smallest of the certified differences",
        sizes=f"K = {K}, gamma = {GAMMA}, c in [1.010, 1.016] c_low, all a >= 0",
    )
