"""Every claim holds; no step cannot fail: every twin fails where it is false, in a finding that holds for the claim."""

import ast
import importlib
import inspect
import re
from collections import Counter

import pytest

from theory_checks import verdict
from theory_checks.listing import FOLDER, claims

FAILS_AT = {
    "class_slopes_are_bounded_by_the_decays": "at equality m is the bound",
    "collapse_has_no_flat_directions_but_rotations": "decay_b = 0.0: .* zeros",
    "collapse_is_global_without_bias": "bound on s",
    "convex_duality_has_no_gap": "primal - dual = 0",
    "convex_losses_have_a_benign_landscape": r"excess of \|G\|_2",
    "deep_cross_entropy_prefers_low_rank": "it is negative at K = 6",
    "deep_linear_layers_align": "L = 3: singular values",
    "deep_linear_minimum_is_global_with_any_bias": "the common direction its weight",
    "deep_relu_pairs_lie_below_the_linear_minimum": "a pair's is below 1",
    "deep_linear_threshold_of_the_zero_solution": "costs as much as zero",
    "deep_linear_zero_stays_a_local_minimum": "value against the nearest state",
    "focal_has_one_margin_up_to_17_classes": "minus the discriminant for K",
    "focal_has_spurious_minima": "a strict local minimum",
    "focal_is_convex_exactly_above_one_probability": "psi'' = p",
    "focal_is_convex_where_p_exceeds_0585": "minus the discriminant at p",
    "focal_landscape_is_benign_at_small_decays": "or more on its rising branch",
    "focal_landscape_is_benign_up_to_partial_collapse": r"1 - D_- \(A",
    "focal_landscape_is_benign_where_labels_are_likely": r"\|u\|\^2 <= \d: what is missing",
    "focal_loss_of_three_classes_is_convex_at_critical_points": "of a class at zero, at least",
    "focal_margin_need_not_be_unique": "at the lower c",
    "focal_with_bias_can_beat_collapse": "partial collapse",
    "focal_with_bias_collapses_for_small_decays": "at least the slope",
    "focal_zero_and_etf_exchange": r"for some a$|a_M in",
    "focal_zero_is_alone_above_its_threshold": "or more on its rising branch",
    "focal_zero_is_the_minimum_above_its_threshold": r"\(K - gamma\) log K, at",
    "gradient_descent_is_slower_with_label_smoothing": "k rises with smoothing",
    "hardest_margin_is_the_one_vs_rest_distance": "distance less margin",
    "icosahedron_margin_is_exact": "5 neighbours",
    "imbalanced_margins_have_the_encoded_labels_geometry": "off the diagonal are positive",
    "imbalanced_squared_error_drops_small_classes": "primal less dual",
    "k_minus_one_dimensions_suffice": "Focal, d",
    "label_smoothing_closed_form": "stationary",
    "label_smoothing_improves_the_loss_part_of_the_hessian": "blocks of the dense Hessian",
    "label_smoothing_worsens_the_hessian_with_decays": "difference of the condition numbers",
    "landscape_of_losses_of_the_margin": "L for 0 < p < p_0",
    "layer_norm_keeps_features_in_a_ball": "constructed network",
    "minority_classes_collapse_at_an_exact_decay": "less the dual bound",
    "multi_label_collapse_is_global": "off the bracket",
    "multi_label_optimal_values": "against",
    "negative_curvature_direction": "with the decays",
    "no_random_network_beats_the_price": "d = 3, descended networks",
    "no_sample_is_below_chance_without_bias": "x is at most the entropy",
    "normalised_networks_pay_for_features": "constructed network",
    "nuclear_norm_relaxation_is_tight": "lowest value found",
    "orthogonal_frame_without_bias": "slope at zero vanishes",
    "other_critical_points_are_strict_saddles": "negative curvature",
    "partial_collapse_ends_the_benign_landscape": "a strict local minimum",
    "pick_all_labels_has_tag_wise_averages": "stationary in t",
    "rank_one_data_splits_into_two_lassos": "less the dual value",
    "relu_pentagon_lies_below_the_linear_minimum": "the linear minimum is f",
    "relu_with_two_classes_is_a_pair": "columns, largest ratio",
    "relu_layer_keeps_the_value_not_the_features": "Gram matrix",
    "relu_nets_pay_for_the_nuclear_norm": "constructed network",
    "relu_training_is_a_convex_programme": "relative width",
    "relu_units_balance_without_normalisation": "the difference of the squares",
    "renormalised_flow_has_exact_singular_values": "against the law",
    "samples_of_a_class_do_not_cross": "at an ETF, features apart",
    "scaled_layer_norm_prefers_pairs": "it is below 1 at K =",
    "seli_minority_angle": "eigenvalues R",
    "small_temperature_finds_softmax_codes": "worst sample's loss",
    "softmax_code_in_the_plane": "equal gaps",
    "softmax_code_is_the_simplex_up_to_d_plus_1": "at most d",
    "softmax_code_need_not_be_unique": "least margin 1",
    "softmax_code_stays_at_one_up_to_2d": "K vertices",
    "softmax_loss_derivatives": "psi'' of focal loss",
    "softmax_losses_are_contrastive": "tangent lines at m",
    "sphere_groups_are_saddles": "negative for all G",
    "spheres_have_the_simplex_as_minimiser": "claimed minimum",
    "spheres_reach_the_simplex_from_random_starts": r"\|f - minimum\|",
    "squared_error_between_frame_and_simplex": "a' = 0 at the threshold",
    "squared_error_pays_for_its_common_logit": "norms show",
    "squared_error_splits_along_the_central_path": "sum of the three parts",
    "stream_normalised_once_pays_for_one": "constructed network",
    "supervised_contrastive_loss_has_the_simplex_as_minimiser": "the collapsed simplex has it",
    "total_collapse_on_spheres_is_a_strict_saddle": "claimed eigenvalue",
    "training_approaches_the_central_path": "L_perp / L at the end",
    "whitened_relu_network_has_closed_form_layers": "less the dual value",
    "zero_is_a_saddle_below_a_threshold": "focal loss: gradient",
    "zero_of_deeper_layers_is_a_local_minimum": "tends to 0 with r",
}
"""The finding in which each twin is meant to fail."""
CLAIMS = {claim.name: claim for claim in claims()}


def rank(claim):
    """The rank of evidence that the docstring states."""
    return claim.text.split("\n\nEvidence: ")[1].split()[0].strip(",.;:")


def test_every_claim_says_where_its_twin_fails():
    assert set(FAILS_AT) == set(CLAIMS)


@pytest.mark.parametrize("name", CLAIMS)
def test_the_claim_holds_and_its_twin_fails_in_the_finding_it_is_meant_to(name):
    module = importlib.import_module(f"theory_checks.{name}")
    claim, twin = module.check(), module.refuted()
    assert claim.holds, [finding.text for finding in claim.findings if not finding.holds]
    assert claim.sizes
    assert claim.margin is None or claim.margin > 0
    assert claim.rigour == rank(CLAIMS[name])
    assert claim.rigour != "numeric" or (claim.starts and claim.worst is not None)
    assert not twin.holds
    assert any(re.search(FAILS_AT[name], finding.text) for finding in claim.findings), "the claim has no such finding"
    assert any(not finding.holds for finding in twin.findings if re.search(FAILS_AT[name], finding.text))


def test_there_are_enough_of_every_rank():
    ranks = Counter(rank(claim) for claim in CLAIMS.values())
    assert len(CLAIMS) >= 30
    assert all(ranks[name] >= 6 for name in ("symbolic", "interval", "certificate")), ranks


def _calls(name):
    """The second argument of every `step(...)` of a file."""
    tree = ast.parse((FOLDER / f"{name}.py").read_text())
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call) and len(node.args) == 2]
    return [call.args[1] for call in calls if isinstance(call.func, ast.Name) and call.func.id == "step"]


@pytest.mark.parametrize("name", CLAIMS)
def test_no_step_is_a_constant_or_asks_for_any_one_of_many(name):
    for argument in _calls(name):
        assert not (isinstance(argument, ast.Constant) and argument.value), ast.unparse(argument)
        assert not re.search(r"^any\(|\.any\(\)$", ast.unparse(argument)), ast.unparse(argument)


@pytest.mark.parametrize("number", [0, 1, 23, 1.5])
def test_a_count_is_no_truth_value(number):
    with pytest.raises(TypeError, match="must be a truth value"):
        verdict.step("23 of 30 starts", number)
    assert not verdict.step("unknown to computer algebra", None).holds


@pytest.mark.parametrize("claim", CLAIMS.values(), ids=CLAIMS)
def test_what_is_shown_at_instances_only_names_them_in_its_sentence(claim):
    """Sizes in brackets or after a comma, a number of cases or of random draws."""
    if re.search(r"\n\nEvidence: (numeric|certificate)", claim.text):
        named = r"\b[KCd] = \d|\b(two|three|four|five|seven|\d+) (random|cases|data sets|problems|choices)"
        assert re.search(named, claim.sentence), claim.sentence


def test_checks_and_twins_are_one_function_with_another_argument():
    """So that a twin differs from its claim by what its docstring says; one has two bodies."""
    two_bodies = [
        name
        for name in CLAIMS
        if "_verdict(" not in inspect.getsource(importlib.import_module(f"theory_checks.{name}").refuted)
    ]
    assert two_bodies == ["other_critical_points_are_strict_saddles"]
