"""What a loss says about itself is measured; a loss that is not shift invariant is recognised wherever it matters."""

from dataclasses import dataclass

import numpy as np
import pytest
import torch
from torch.nn.functional import one_hot, softplus

from ufm.atlas.atlas import Atlas
from ufm.atlas.canonical import canonical, largest_rank
from ufm.atlas.evidence import evidence
from ufm.atlas.orbit import expected_nullity
from ufm.model.loss import Loss
from ufm.model.loss_claims import check_claims, is_class_symmetric, is_shift_invariant
from ufm.model.losses import LOSSES, CrossEntropy, SquaredError
from ufm.model.pick_all_labels import PickAllLabels, all_sets
from ufm.model.problem import Problem
from ufm.proof.ball_losses import in_balls
from ufm.solve.end_points import Status
from ufm.solve.minimise import minimise
from ufm.theory.certificate import certify, duality_gap
from ufm.theory.prediction import theory_of


@dataclass(frozen=True)
class OneVsRest(Loss):
    """K logistic losses: softplus(-z_y) + sum over j != y of softplus(z_j); it says nothing about itself."""

    def __call__(self, logits, labels):
        sign = 1 - 2 * one_hot(labels, logits.shape[-1])
        return softplus(sign * logits).sum(-1)


@dataclass(frozen=True)
class OneVsRestInPairs(Loss):
    """Its near twin, softplus(z_j - z_y) for every other class, which sees differences only."""

    def __call__(self, logits, labels):
        own = logits.gather(-1, labels.expand(logits.shape[:-1])[..., None])
        return softplus(logits - own).sum(-1) - np.log(2)


@dataclass(frozen=True)
class Weighted(CrossEntropy):
    """Class 0 counts twice."""

    def __call__(self, logits, labels):
        return super().__call__(logits, labels) * (1 + (labels == 0))


def claiming(base: type[Loss], **claims):
    return type(f"Claiming{base.__name__}", (base,), claims)()


def test_only_differences_of_logits_count_is_measured():
    assert not is_shift_invariant(OneVsRest(), 3)
    assert is_shift_invariant(OneVsRestInPairs(), 3)
    assert not Problem(OneVsRest(), 3, 3, 1, 0.1, 0.1).is_shift_invariant
    assert Problem(OneVsRestInPairs(), 3, 3, 1, 0.1, 0.1).is_shift_invariant


@pytest.mark.parametrize("kind", [*LOSSES.values(), PickAllLabels])
def test_what_the_losses_of_the_project_say_is_measured(kind):
    loss = all_sets(4, (2, 1))[0] if kind is PickAllLabels else kind()
    check_claims(loss, 4)
    assert loss.is_shift_invariant in (None, is_shift_invariant(loss, 4))
    assert is_class_symmetric(loss, 4)


def test_renaming_classes_is_tried():
    assert is_class_symmetric(OneVsRest(), 3)
    assert not is_class_symmetric(Weighted(), 3)
    with pytest.raises(ValueError, match="class-symmetric for an atlas"):
        Atlas(Problem(Weighted(), 3, 3, 1, 0.1, 0.1))


@pytest.mark.parametrize(
    ("base", "claim"),
    [
        (OneVsRest, {"is_shift_invariant": True}),
        (OneVsRestInPairs, {"is_shift_invariant": False}),
        (OneVsRest, {"rotates_labels": True}),
        (LOSSES["focal"], {"is_convex": True}),
        (OneVsRest, {"is_convex": True, "conjugate": CrossEntropy.conjugate}),
    ],
)
def test_a_claim_that_is_not_so_is_refused(base, claim):
    with pytest.raises(ValueError, match=list(claim)[-1]):
        check_claims(claiming(base, **claim), 3)


def test_claims_that_are_so_pass():
    check_claims(claiming(OneVsRest, is_shift_invariant=False, is_convex=True), 3)
    check_claims(claiming(OneVsRestInPairs, is_shift_invariant=True, is_convex=True), 3)


@pytest.mark.parametrize(("loss", "rank"), [(OneVsRest(), 3), (OneVsRestInPairs(), 2)])
def test_the_minimum_of_one_vs_rest_needs_a_rank_more(loss, rank):
    """Without a bias only the rank that 1'W = 0 does not take leaves a negative mean logit."""
    model = Problem(loss, 3, 3, 1, 0.01, 0.01, None)
    end = minimise(model, torch.randn(4, model.size, dtype=torch.float64, generator=torch.Generator().manual_seed(0)))
    assert (end.status == Status.CONVERGED).all()
    assert largest_rank(model) == canonical(model, end.x[int(end.value.argmin())]).rank == rank


def test_a_free_bias_takes_the_mean_logit_of_squared_error_only():
    free = {"K": 3, "d": 4, "n": 2, "decay_W": 0.01, "decay_H": 0.01, "decay_b": 0.0}
    assert largest_rank(Problem(SquaredError(), **free)) == 2
    assert largest_rank(Problem(OneVsRest(), **free)) == 3
    x = torch.zeros(Problem(OneVsRest(), **free).size, dtype=torch.float64)
    assert expected_nullity(Problem(OneVsRest(), **free), 0, x) == 0  # its free constant is seen by the loss
    assert expected_nullity(Problem(OneVsRestInPairs(), **free), 0, x) == 1


@pytest.mark.parametrize("decay_b", [None, 0.0])
def test_an_atlas_of_one_vs_rest_is_complete(decay_b):
    atlas = Atlas(Problem(OneVsRest(), 2, 2, 1, 0.05, 0.05, decay_b))
    for _ in range(2):
        atlas.grow(60)
    assert atlas.dimensions == [1, 2]
    assert not any(row.is_degenerate for row in atlas.rows)
    assert not atlas.unbalanced()
    found = evidence(atlas, with_balls=True)
    assert all(found["claims"].values())
    assert found["duality_gap"] is None
    assert "no derivatives in ball arithmetic" in found["not_checked"]["ball arithmetic"]
    assert "no prediction is known" in found["not_checked"]["prediction"]


def test_a_twin_that_says_it_is_shift_invariant_has_a_landscape_that_does_not_add_up():
    twin = claiming(OneVsRest, is_shift_invariant=True)
    atlas = Atlas(Problem(twin, 2, 2, 1, 0.05, 0.05, 0.0))
    atlas.grow(60)
    assert any(row.is_degenerate for row in atlas.rows)


class Sub(CrossEntropy):
    """Another function than its parent."""

    def __call__(self, logits, labels):
        return 2 * super().__call__(logits, labels)


def test_theory_of_a_loss_is_not_that_of_its_subclasses():
    assert theory_of(CrossEntropy()) is not None
    assert theory_of(Sub()) is None
    in_balls(CrossEntropy())
    with pytest.raises(NotImplementedError, match="no derivatives in ball arithmetic"):
        in_balls(Sub())


def test_a_dual_bound_is_given_where_the_conjugate_is_written(normal):
    convex = claiming(OneVsRest, is_convex=True)
    model, known = (Problem(loss, 3, 3, 1, 0.1, 0.1) for loss in (convex, CrossEntropy()))
    x = normal(2, model.size)
    assert duality_gap(model, x) is None
    torch.testing.assert_close(duality_gap(known, x), certify(known, x).gap)
