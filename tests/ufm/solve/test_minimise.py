import pytest
import scipy.optimize
import torch

from tests.ufm.solve.forms import FORMS, use
from ufm.model.losses import CrossEntropy, SquaredError
from ufm.model.problem import Problem
from ufm.model.starts import normal_starts
from ufm.profile import Profile
from ufm.solve.end_points import Status
from ufm.solve.lbfgs import descent_compiled
from ufm.solve.minimise import METHODS, minimise
from ufm.theory.prediction import predict

CE = Problem(CrossEntropy(), 4, 6, 3, 5e-3, 1e-3, 0.01)


@pytest.fixture(params=list(FORMS), autouse=True)
def method(request, monkeypatch):
    """Every form of the method, whatever the device."""
    use(request.param, monkeypatch)


def test_every_start_reaches_the_predicted_value(problem):
    starts = normal_starts(problem.size, 0, 0, 40) * torch.logspace(-1, 1, 40, dtype=torch.float64)[:, None]
    end = minimise(problem, starts, 1e-9)
    assert end.status.tolist() == [Status.CONVERGED] * 40
    assert (end.gradient_norm <= 1e-9).all()
    value = predict(problem).value
    torch.testing.assert_close(end.value, torch.full_like(end.value, value), rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(problem.value(end.x), end.value)


@pytest.mark.usefixtures("all_cores")
def test_the_smallest_dimension_that_holds_a_simplex_suffices():
    problem = Problem(CrossEntropy(), 4, 3, 2, 5e-3, 2e-3, 0.0)
    end = minimise(problem, normal_starts(problem.size, 3, 0, 50), 1e-9)
    assert float((end.value - predict(problem).value).abs().max()) < 1e-12


@pytest.mark.usefixtures("all_cores")
def test_a_start_ends_alone_where_it_ends_in_company():
    starts = normal_starts(CE.size, 1, 0, 30)
    together = minimise(CE, starts)
    for i in (0, 7, 29):
        alone = minimise(CE, starts[i : i + 1])
        assert alone.steps[0] == together.steps[i]
        torch.testing.assert_close(alone.x[0], together.x[i], rtol=1e-9, atol=1e-9)


@pytest.mark.usefixtures("all_cores")
def test_a_badly_scaled_neighbour_changes_nothing():
    starts = normal_starts(CE.size, 1, 0, 4)
    wild = torch.cat([starts, 1e8 * starts[:1], torch.full_like(starts[:1], torch.nan), torch.zeros_like(starts[:1])])
    calm, mixed = (minimise(CE, s) for s in (starts, wild))
    torch.testing.assert_close(calm.x, mixed.x[:4], rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(calm.steps, mixed.steps[:4])
    assert mixed.status[5] == Status.NONFINITE
    assert (mixed.x[6] == 0).all()  # zero is a critical point, where descent cannot leave


@pytest.mark.usefixtures("all_cores")
def test_more_starts_than_fit_end_in_their_own_rows(monkeypatch):
    starts = normal_starts(CE.size, 2, 0, 50)
    expected = minimise(CE, starts)
    monkeypatch.setitem(METHODS, "cpu", (METHODS["cpu"][0], 8 * CE.size * 20 * 3))
    monkeypatch.setattr(descent_compiled, "FLOPS", 7 * 6 * CE.K * CE.d * CE.N)  # seven evaluations at a time
    ended = []
    queued = minimise(CE, starts, progress=ended.append)
    torch.testing.assert_close(queued.x, expected.x, rtol=1e-8, atol=1e-8)  # the gradient's 1e-8 leaves that much
    assert sum(ended) == 50


@pytest.mark.usefixtures("all_cores")
@pytest.mark.parametrize("method", ["descent"], indirect=True)  # the others below
def test_all_forms_of_the_method_take_the_same_steps(problem, monkeypatch):
    """Two branch per start in compiled code, one masks whole batches: only rounding may tell them apart."""
    starts = normal_starts(problem.size, 4, 0, 20) * torch.logspace(-1, 1, 20, dtype=torch.float64)[:, None]
    ends = []
    for form in FORMS:
        with monkeypatch.context() as patch:
            use(form, patch, 2**20)
            ends.append(minimise(problem, starts, 1e-6, max_steps=12))
    for end in ends[:2]:
        for field in ("status", "steps", "evaluations"):
            assert getattr(end, field).tolist() == getattr(ends[2], field).tolist()
        torch.testing.assert_close(end.x, ends[2].x, rtol=1e-7, atol=1e-9)
        torch.testing.assert_close(end.value, ends[2].value, rtol=1e-10, atol=0)


@pytest.mark.usefixtures("all_cores")
def test_a_profile_holds_every_phase(request):
    profile = Profile()
    minimise(CE, normal_starts(CE.size, 0, 0, 5), profile=profile)
    is_whole = request.node.callspec.params["method"] == "descent"
    assert set(profile.seconds) == ({"descent"} if is_whole else {"evaluation", "line search", "history", "host"})
    assert min(profile.seconds.values()) > 0


@pytest.mark.usefixtures("all_cores")
def test_status_is_truthful_after_three_steps():
    end = minimise(CE, normal_starts(CE.size, 0, 0, 5), max_steps=3)
    assert end.status.tolist() == [Status.MAX_STEPS] * 5
    assert end.steps.tolist() == [3] * 5
    assert (end.gradient_norm > 1e-8).all()
    assert not end.is_converged.any()


@pytest.mark.parametrize("method", ["compiled"], indirect=True)  # thousands of steps
def test_an_unreachable_tolerance_is_reported_as_stalled():
    end = minimise(CE, normal_starts(CE.size, 0, 0, 2), tolerance=1e-30, max_steps=1000)
    assert set(end.status.tolist()) <= {Status.STALLED, Status.MAX_STEPS}
    assert (end.gradient_norm < 1e-12).all()


@pytest.mark.parametrize("method", ["compiled"], indirect=True)  # thousands of steps
def test_slow_progress_is_progress():
    """Thousands of small steps in a narrow valley, none of which lowers the value by much."""
    problem = Problem(CrossEntropy(), 10, 20, 10, 0.5, 1e-5, 0.01)
    end = minimise(problem, normal_starts(problem.size, 0, 0, 2), 1e-9)
    assert end.is_converged.all()
    assert int(end.steps.min()) > 500


def test_scipy_ends_at_the_same_values_with_as_many_evaluations():
    starts = normal_starts(CE.size, 5, 0, 10)
    ours = minimise(CE, starts)

    def objective(x):
        value, gradient = CE.value_and_gradient(torch.from_numpy(x))
        return float(value), gradient.numpy()

    theirs = [
        scipy.optimize.minimize(objective, s.numpy(), jac=True, method="L-BFGS-B", options={"ftol": 0, "gtol": 1e-10})
        for s in starts
    ]
    assert [float(v) for v in ours.value] == pytest.approx([r.fun for r in theirs], abs=1e-12)
    assert float(ours.evaluations.double().mean()) < 1.5 * sum(r.nfev for r in theirs) / len(theirs)


def test_it_minimises_what_is_not_a_feature_model():
    """Rosenbrock's valley, from where line searches fail that do not bracket."""

    def rosenbrock(x):
        a, b = x[:, :1], x[:, 1:]
        gradient = torch.cat([-2 * (1 - a) - 400 * a * (b - a**2), 200 * (b - a**2)], 1)
        return ((1 - a) ** 2 + 100 * (b - a**2) ** 2)[:, 0], gradient

    starts = torch.tensor([[-1.2, 1.0], [3.0, -4.0], [0.0, 100.0], [1.0, 1.0]], dtype=torch.float64)
    end = minimise(rosenbrock, starts, 1e-9)
    assert end.is_converged.all()
    torch.testing.assert_close(end.x, torch.ones_like(end.x), rtol=0, atol=1e-8)


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"starts": torch.zeros(2, 3)}, "starts.*float64.*got torch.float32"),
        ({"tolerance": 0.0}, "tolerance.*> 0, got 0"),
        ({"max_steps": 0}, "max_steps.*>= 1, got 0"),
    ],
)
def test_wrong_requests_are_refused(change, complaint):
    right = {"model": CE, "starts": torch.zeros(1, CE.size, dtype=torch.float64)}
    with pytest.raises(ValueError, match=complaint):
        minimise(**right | change)


@pytest.mark.usefixtures("all_cores")
def test_squared_error_without_bias_reaches_the_orthogonal_frame():
    problem = Problem(SquaredError(), 4, 4, 2, 5e-3, 1e-3, None)
    end = minimise(problem, normal_starts(problem.size, 0, 0, 20), 1e-10)
    W = problem.unpack(end.x).W
    gram = W @ W.mT
    torch.testing.assert_close(
        gram, gram[:, :1, :1] * torch.eye(4, dtype=torch.float64).expand(20, 4, 4), atol=1e-7, rtol=0
    )
