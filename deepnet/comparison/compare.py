"""A trained network's last layer against the unconstrained feature model.

The model has a weight decay on the features; a network has none. It is read off the network by the balance that every
critical point of the model obeys, decay_W |W|^2 = decay_H |H|^2. Three questions decide what goes into it.

Rows are samples: G (N, K) is the gradient of the mean loss in the logits. A stationary last layer has G'H = -decay_W
W and G'1 = -decay_W b; the model adds G W = -decay_H H.

*Centred features.* A network's features are averages behind a ReLU, so their global mean mu_G is far from 0. Summed
over the samples, the model's equation reads b'W decay_W = decay_H N mu_G', and with a softmax loss the left side is 0
(the rows of G sum to 0, hence 1'W = 0; b is a multiple of 1). The last layer pulls no two features the same way, so
that a penalty on the features as they are cannot be in balance with it; one on the centred features can: G W =
-decay_H (H - 1 mu_G'). Multiplied by H and compared with the first equation, decay_W |W|^2 = decay_H |H - 1 mu_G'|^2.
The raw norm would give a smaller decay_H and a larger margin; it is reported beside it (`raw_decay_H`, `raw_margin`).

*Centred classifier, decay of the bias.* With squared error the rows of G need not sum to 0, and W = W_0 + 1 v', 1'W_0
= 0. The part 1 v' acts as a bias: v is a multiple of mu_G, and W_0 mu_G = 0, at collapse. So the balance takes W_0. A
common logit u then comes from b = s 1 and v = t mu_G with u = s + t |mu_G|^2; the cheapest share has s = t and costs
decay/2 K u^2 / (1 + |mu_G|^2). So the model's bias has decay_b = decay / (1 + |mu_G|^2).

In this way every global minimiser of the model, shifted by any mu_G orthogonal to W_0, compares with ratio 1 in every
row (tests/deepnet/comparison/test_compare.py), the orthogonal frames of squared error with a decayed bias included.

What the ratios then say, per row:

- `calibration`: the norm ratio |w| / |h| = sqrt(n decay_H / decay_W) is the balance itself, 1 by construction.
- `identity`: margin a, p_y, |w|, |h| and the loss. On collapsed ETF features G'H = -decay_W W is one scalar equation
  between a and the norm ratio (1/(e^a + K - 1) = sqrt(n decay_W decay_H) for cross entropy), the one that the
  prediction solves. A ratio of 1 says that the last layer is stationary and the geometry collapsed; it does not say
  that the model's feature penalty is the network's. Likewise self-duality (a stationary W on ETF features is aligned
  with them) and the mean cosine of class means (-1/(K - 1) for any centred vectors of equal length).
- `prediction`: the geometry of the features, into which none of this enters: variance between classes over total
  variance (NC1), and the dimensions that the centred class means fill evenly, tr(G)^2 / tr(G^2) with G = M M', which is
  as high as K - 1 only at the simplex (NC2).
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Literal, get_args

from deepnet.measures.reading import Reading
from ufm.arguments import check_fields, instance, integer, positive, takes
from ufm.errors import RequestError
from ufm.html import html_table
from ufm.model.loss import Loss
from ufm.model.problem import Problem
from ufm.plot import on_axes
from ufm.theory.prediction import Prediction, predict

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Kind = Literal["calibration", "identity", "prediction"]


@dataclass(frozen=True)
class Row:
    """One quantity, as measured on the network and as predicted by the model (None: not predicted)."""

    name: str
    kind: Kind
    measured: float
    predicted: float | None

    @property
    def ratio(self) -> float | None:
        """The measured value over the predicted one; None where the prediction is 0 or absent."""
        return self.measured / self.predicted if self.predicted else None


@dataclass(frozen=True)
class Sizes:
    """The sizes of a run: K classes of n training samples, d features, and the weight decay of W and b (> 0)."""

    K: int
    n: int
    d: int
    decay: float

    def __post_init__(self) -> None:
        check_fields(self, K=integer(2), n=integer(1), d=integer(1), decay=positive)


@dataclass(frozen=True)
class Comparison:
    """A comparison of one network with the model at one epoch.

    Attributes:
        rows: measured against predicted.
        stationarity: |(1/N) sum_i g_i h_i' + decay_W W| / |decay_W W|, g_i the loss gradient in sample i's logits: how
            far the last layer is from being stationary in eval mode.
        decay_W, decay_H, decay_b: the model's decays; decay_H from the balance of centred norms.
        raw_decay_H, raw_margin: decay_H from the balance of W and H as they are, and the margin it would predict.
        no_prediction: why the model predicts no minimum for this loss and these sizes; None where it does.
        norm_h_raw, norm_global_mean: root mean square of |h_i| without centring, and |mu_G|.
        K, n: classes and samples per class.
    """

    rows: tuple[Row, ...]
    stationarity: float
    decay_W: float
    decay_H: float
    decay_b: float
    raw_decay_H: float
    raw_margin: float | None
    no_prediction: str | None
    norm_h_raw: float
    norm_global_mean: float
    K: int
    n: int

    def as_dict(self) -> dict[str, Any]:
        """The comparison as plain values for a record."""
        rows = [asdict(row) | {"ratio": row.ratio} for row in self.rows]
        return asdict(self) | {"rows": rows}

    def plot(self, ax: "Axes | None" = None) -> "Figure":
        """Draw measured over predicted, with one row per quantity; 1 is agreement."""
        return plot_rows(self.rows, ax)

    def _repr_html_(self) -> str:
        """The table, for a notebook."""
        title = f"stationarity residual {self.stationarity:.2g} (0: stationary)"
        return html_of_rows(title, self.rows)


def plot_rows(rows: Sequence[Row], ax: "Axes | None") -> "Figure":
    """Draw measured over predicted, with one line per row that has both."""
    figure, ax = on_axes(ax)
    for kind in get_args(Kind):
        ratios = {index: row.ratio for index, row in enumerate(rows) if row.kind == kind and row.ratio is not None}
        ax.plot(list(ratios.values()), list(ratios), "o", label=kind)
    ax.axvline(1, color="0.5", linewidth=1, zorder=0)
    ax.set_yticks(range(len(rows)), [row.name for row in rows])
    ax.set(xlabel="measured / predicted", ylim=(len(rows) - 0.5, -0.5))
    ax.legend()
    return figure


def html_of_rows(title: str, rows: Sequence[Row]) -> str:
    """The table of rows, for a notebook."""
    values = [(row.name, row.kind, row.measured, row.predicted, row.ratio) for row in rows]
    return html_table(title, ("quantity", "kind", "measured", "predicted", "ratio"), values)


@takes(reading=instance(Reading), loss=instance(Loss), sizes=instance(Sizes))
def compare(reading: Reading, loss: Loss, sizes: Sizes) -> Comparison:
    """Compare a reading of a last layer on its training samples with the model of the same loss, sizes and decay.

    Where the model's minimum is not known, rows have no prediction unless they need none.
    """
    decay = sizes.decay
    problem = calibrated_problem(reading, loss, sizes)
    raw_decay_H = decay * (reading.norm_w_raw / reading.norm_h_raw) ** 2 / sizes.n
    predicted, raw_margin, why = None, None, None
    try:
        predicted = predict(problem)
        raw_margin = predict(Problem(loss, sizes.K, sizes.d, sizes.n, decay, raw_decay_H, decay)).margin
    except RequestError as error:
        why = str(error)
    return Comparison(
        rows=_rows(reading, problem, predicted),
        stationarity=reading.stationarity(decay),
        decay_W=decay,
        decay_H=float(problem.decay_H),
        decay_b=float(problem.decay_b or 0.0),
        raw_decay_H=raw_decay_H,
        raw_margin=raw_margin,
        no_prediction=why,
        norm_h_raw=reading.norm_h_raw,
        norm_global_mean=reading.norm_global_mean,
        K=sizes.K,
        n=sizes.n,
    )


@takes(reading=instance(Reading), loss=instance(Loss), sizes=instance(Sizes))
def calibrated_problem(reading: Reading, loss: Loss, sizes: Sizes) -> Problem:
    """The model whose feature decay is read off the balance decay_W |W|^2 = decay_H |H|^2 of the centred norms."""
    decay_H = sizes.decay * (reading.norm_w / reading.norm_h) ** 2 / sizes.n
    return Problem(loss, sizes.K, sizes.d, sizes.n, sizes.decay, decay_H, bias_decay(sizes.decay, reading))


@takes(decay=positive, reading=instance(Reading))
def bias_decay(decay: float, reading: Reading) -> float:
    """decay / (1 + |mu_G|^2), the decay of a common logit that bias and the part of W along the global mean share."""
    return decay / (1 + reading.norm_global_mean**2)


def _rows(reading: Reading, problem: Problem, predicted: Prediction | None) -> tuple[Row, ...]:
    K = problem.K
    margin, p_y, norm_w, norm_h, loss = (
        getattr(predicted, name, None) for name in ("margin", "p_y", "norm_w", "norm_h", "loss")
    )
    norm_ratio = float((problem.n * problem.decay_H / problem.decay_W) ** 0.5)
    rows = [
        Row("margin", "identity", reading.margin, margin),
        Row("|w|", "identity", reading.norm_w, norm_w),
        Row("|h|", "identity", reading.norm_h, norm_h),
        Row("|w| / |h|", "calibration", reading.norm_w / reading.norm_h, norm_ratio),
        Row("training loss", "identity", reading.loss, loss),
        Row("self-duality: cos(W, class means)", "identity", reading.self_duality_cosine, 1.0),
        Row("mean cosine of class means", "identity", reading.mean_cosine, -1 / (K - 1)),
        Row("dimensions of class means", "prediction", reading.dimensions, float(K - 1)),
        Row("variance between classes / total", "prediction", reading.between_share, 1.0),
    ]
    if p_y is not None:
        rows.insert(1, Row("p_y", "identity", reading.p_y, p_y))
    return tuple(rows)
