"""Groups of nearby numbers, against groups made by hand."""

import numpy as np
import torch

from ufm.solve.grouping import groups_of


def test_a_group_is_as_wide_as_the_tolerance_and_no_chain_is_longer():
    assert groups_of(torch.tensor([0.9, 0.0, 2.0, 0.5, 1.4]), 1.0) == [
        [1, 3, 0],
        [4, 2],
    ]  # 1.4 is near 0.9, but far from 0
    assert groups_of(torch.zeros(0), 1.0) == []


def test_values_of_another_key_lie_between():
    assert groups_of(torch.tensor([0.0, 0.1, 0.2, 5.0]), 1.0, ["a", "b", "a", "a"]) == [[0, 2], [1], [3]]


def test_groups_are_those_of_comparing_with_every_earlier_first():
    generator = np.random.default_rng(0)
    values, keys = generator.uniform(0, 20, 500), generator.integers(0, 3, 500)
    expected: list[list[int]] = []
    for i in values.argsort():
        near = [g for g in expected if keys[g[0]] == keys[i] and values[i] - values[g[0]] <= 0.3]
        near[0].append(i) if near else expected.append([i])
    assert groups_of(torch.from_numpy(values), 0.3, keys.tolist()) == expected
