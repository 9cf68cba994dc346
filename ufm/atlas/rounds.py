"""The end of the search for an atlas: some rounds without a new orbit, and no Morse relation that misses one."""

from collections.abc import Callable, Iterator

from ufm.atlas.atlas import Atlas


def rounds_until_complete(
    atlas: Atlas,
    starts: int,
    quiet_rounds: int,
    max_rounds: int,
    max_steps: int,
    progress: Callable[[int], None] | None = None,
) -> Iterator[int]:
    """Grow round by round, yielding the number of new orbits, until `quiet_rounds` in a row have added none.

    While a Morse relation then says that an orbit is missing, further rounds search the lowest dimension that it names.
    """
    quiet = 0
    for _ in range(max_rounds):
        missing = atlas.unbalanced() if quiet >= quiet_rounds else []
        if quiet >= quiet_rounds and not missing:
            return
        new = atlas.grow(starts, max_steps, progress, missing[:1])
        quiet = 0 if new else quiet + 1
        yield new
