"""Evaluation of the features in a file."""

from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor

from deepnet.evaluation.evaluation import Evaluation, accuracy_of, evaluation, metrics_of, on_other_samples
from deepnet.evaluation.feature_files import Features, read_features, read_last_layer
from ufm.collapse import FeatureStats
from ufm.collapse.arrays import IGNORED
from ufm.errors import RequestError, check
from ufm.labels import int64_of, labels_below


def evaluate_file(
    path: Path,
    last_layer: Path | None = None,
    test: Path | None = None,
    outside: Path | None = None,
    progress: Callable[[int, int], object] | None = None,
) -> Evaluation:
    """The metrics of a file of features and labels; W and b from `last_layer` where that is given.

    `progress` is called as by `FeatureStats.from_features`, with the number of samples in the file behind that.

    Raises:
        ValueError: if a file cannot be read, or its arrays do not belong together.
    """
    train = read_features(path)
    labels = train.labels
    if labels is None:
        raise RequestError(f"`--features` must be a file with labels, got {path}.")
    if last_layer is not None:
        train = Features(train.features, labels, *read_last_layer(last_layer))
    told = None if progress is None else lambda done: progress(done, len(labels))
    try:
        stats = FeatureStats.from_features(train.features, labels, train.W, train.b, progress=told)
    except RequestError as error:
        raise RequestError(f"{path}: {error}".replace("`H`", "`features`")) from None
    others = {
        name: _others(each, f"--{name}", train.features)
        for name, each in (("test", test), ("outside", outside))
        if each is not None
    }
    values = metrics_of(stats)
    if train.W is not None:
        values["accuracy"] = accuracy_of(train.features, int64_of(labels), train.W, train.b, IGNORED)
    kept = train.features[labels != IGNORED]
    values |= on_other_samples(stats, _features(others.get("test")), _features(others.get("outside")), kept)
    of_test = others.get("test")
    if of_test is not None and of_test.labels is not None and train.W is not None:
        values["test_accuracy"] = accuracy_of(
            of_test.features, _classes(of_test.labels, len(train.W)), train.W, train.b, IGNORED
        )
    assert stats.present is not None
    sizes = len(kept), len(stats.present), int(stats.present.sum()), train.features.shape[1]
    return evaluation(str(path), sizes, {"features": values})


def _others(path: Path, argument: str, like: Tensor) -> Features:
    """The features in another file, which must have the same dimension."""
    found = read_features(path, argument)
    H, d = found.features, like.shape[1]
    is_like = H.ndim == 2 and H.is_floating_point() and H.shape[1] == d and len(H) > 0
    check(is_like, argument, f"{H.dtype} {tuple(H.shape)} in {path}", f"features (samples, {d})")
    check(bool(torch.isfinite(H).all()), argument, f"nan or infinity in {path}", "finite")
    is_labels = found.labels is None or (found.labels.shape == H.shape[:1] and not found.labels.is_floating_point())
    check(is_labels, argument, f"labels that are none in {path}", f"features with integers ({len(H)},) as labels")
    return found


def _classes(labels: Tensor, count: int) -> Tensor:
    """The labels of test samples, checked to be classes of the last layer."""
    try:
        labels = int64_of(labels)
        labels_below(labels[labels != IGNORED], count)
    except RequestError as error:
        raise RequestError(f"--test: {error}") from None
    check(bool((labels != IGNORED).any()), "--test", "none", "such that a sample has a label")
    return labels


def _features(of: Features | None) -> Tensor | None:
    return None if of is None else of.features
