"""The command `atlas-scan`: atlases by loss, strength and bias decay, sorted into isomorphism classes.

The model is reduced to n = 1, d = K, decay_W = decay_H = c (`ufm.atlas.comparison` says what that leaves out).
"""

import string
from collections import Counter
from collections.abc import Iterator
from typing import Any, TypedDict

from ufm.atlas.atlas import Atlas
from ufm.atlas.comparison import Kind, kind_of
from ufm.atlas.comparison_report import show_scan
from ufm.atlas.rounds import rounds_until_complete
from ufm.atlas.setting import AtlasScanSetting
from ufm.cli.job import Job
from ufm.cli.resume import earlier_result
from ufm.cli.words import loss_text
from ufm.model.losses import make_loss, parameters_of
from ufm.model.problem import Problem
from ufm.specs import LossSpec

MAX_STEPS = 200


class LandscapeScan(TypedDict):
    """The contents of the record.

    Attributes:
        entries: an atlas each: `loss`, `strength` c, `decay_b`; `rows`, of each orbit what is compared and its value,
            `found`, curvature and nullity; whether the atlas `is_quiet` (complete as far as can be told) and
            `is_degenerate`, whether `morse_holds`; the number of `local_minima`; `statuses`, `seconds`; `class`, its
            letter.
        classes: the kinds of each isomorphism class, by letter.
    """

    entries: list[dict[str, Any]]
    classes: dict[str, list[Kind]]


class ScanAtlases(Job[AtlasScanSetting, LandscapeScan]):
    """The job of `atlas-scan`: atlases one after the other, recorded after each, then the classes."""

    name = "atlas-scan"
    continues = True

    def __init__(self, setting: AtlasScanSetting) -> None:
        super().__init__(setting)
        self._cases = list(cases(setting))

    def compute(self) -> LandscapeScan:
        """Grow the atlases that the folder lacks."""
        earlier = earlier_result(self.folder, self.setting.as_dict())
        entries = earlier["entries"] if earlier else []
        for number, case in enumerate(self._cases, 1):
            if not any(is_same_case(entry, case) for entry in entries):
                entries.append(atlas_entry(self.setting, *case))
                self.record(_result(entries))
            done = next(entry for entry in entries if is_same_case(entry, case))
            asked = f"{number}/{len(self._cases)} {loss_text(case[0])}, c {case[1]:g}, bias decay {case[2]}"
            print(f"{asked}: {len(done['rows'])} orbits, {done['seconds']:.1f} s", flush=True)
        return _result(entries)

    def show(self, result: LandscapeScan) -> None:
        """Print a table of letters."""
        show_scan(result["entries"], result["classes"])

    def exit_code(self, result: LandscapeScan) -> int:
        """1 if a Morse relation fails where it applies."""
        return 0 if all(entry["morse_holds"] or entry["is_degenerate"] for entry in result["entries"]) else 1


def _result(entries: list[dict[str, Any]]) -> LandscapeScan:
    classes = lettered(entries)
    return {"entries": entries, "classes": classes}


def cases(setting: AtlasScanSetting) -> Iterator[tuple[LossSpec, float, float | None]]:
    """The loss, strength c and bias decay of every atlas in the request."""
    for decay_b in setting.decays_b:
        for strength in setting.strengths:
            for spec in setting.losses:
                yield {"name": spec["name"], **parameters_of(make_loss(spec))}, strength, decay_b


def atlas_entry(setting: AtlasScanSetting, spec: LossSpec, strength: float, decay_b: float | None) -> dict[str, Any]:
    """Grow one atlas to its end, and return its entry in the scan."""
    K = setting.classes
    atlas = Atlas(Problem(make_loss(spec), K, K, 1, strength, strength, decay_b), seed=setting.seed)
    for _ in rounds_until_complete(atlas, setting.starts, setting.quiet_rounds, setting.max_rounds, MAX_STEPS):
        pass
    names = ("rank", "index", "copies", "apart", "value", "found", "curvature", "is_degenerate", "nullity")
    return {
        "loss": spec,
        "strength": strength,
        "decay_b": decay_b,
        "rows": [{name: getattr(row, name) for name in names} for row in atlas.rows],
        "is_quiet": atlas.quiet_rounds >= setting.quiet_rounds,
        "is_degenerate": any(row.is_degenerate for row in atlas.rows),
        "morse_holds": not atlas.unbalanced(),
        "local_minima": sum(row.index == 0 for row in atlas.rows),
        "statuses": atlas.statuses,
        "seconds": atlas.seconds,
    }


def lettered(entries: list[dict[str, Any]]) -> dict[str, list[Kind]]:
    """Isomorphism classes by letter, in order of appearance; each entry gets its letter under `class`."""
    found: dict[tuple[tuple[Kind, int], ...], str] = {}
    for entry in entries:
        kinds = tuple(sorted(Counter(kind_of(row) for row in entry["rows"]).items()))
        entry["class"] = found.setdefault(kinds, _letter(len(found)))
    return {letter: [kind for kind, count in kinds for _ in range(count)] for kinds, letter in found.items()}


def _letter(number: int) -> str:
    letters = string.ascii_uppercase
    return letters[number] if number < 26 else letters[number // 26 - 1] + letters[number % 26]


def is_same_case(entry: dict[str, Any], case: tuple[LossSpec, float, float | None]) -> bool:
    """Whether an entry of an earlier record is the answer to a case."""
    return (entry["loss"], entry["strength"], entry["decay_b"]) == case
