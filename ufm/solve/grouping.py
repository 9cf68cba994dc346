"""Which numbers are the same up to a tolerance."""

from collections.abc import Hashable, Sequence

from jaxtyping import Float
from torch import Tensor


def groups_of(values: Float[Tensor, " n"], same: float, keys: Sequence[Hashable] | None = None) -> list[list[int]]:
    """The indices of finite values in groups, by rising value: each value is at most `same` above its group's first.

    Where `keys` are given, all members of a group have one key, and values of other keys may lie between them.
    """
    numbers = values.tolist()
    found: list[list[int]] = []
    latest: dict[Hashable, list[int]] = {}
    for i in values.argsort().tolist():
        key = None if keys is None else keys[i]
        group = latest.get(key)
        if group is None or numbers[i] - numbers[group[0]] > same:
            group = latest[key] = []
            found.append(group)
        group.append(i)
    return found
