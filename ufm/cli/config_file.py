"""The YAML file behind `--config`: one mapping of plain values, which is checked before it is used."""

from collections.abc import Iterable
from pathlib import Path

from ufm.cli.yaml_core import Raw, parsed
from ufm.errors import RequestError, complaint
from ufm.files import content

LARGEST = 2**16
"""The most bytes of a file."""


def read(path: str, options: Iterable[str]) -> dict[str, Raw]:
    """The values of options in the file.

    Raises:
        RequestError: if it cannot be read or is not a mapping from such options to plain values.
    """
    try:
        found = _mapping(Path(path))
    except (OSError, ValueError) as error:
        reason = " ".join(str(error).split())
        raise RequestError(
            f"`--config` must be a YAML file of options with plain values, got {path} ({reason})."
        ) from None
    known = sorted(options)
    if unknown := sorted({key.partition(".")[0] for key in found} - {*known}):
        raise complaint("--config", f"{path} with {unknown[0]}", f"a file whose keys are among {', '.join(known)}")
    return found


def _mapping(path: Path) -> dict[str, Raw]:
    """The outermost mapping.

    Raises:
        OSError: if there is no such file.
        ValueError: if it is not such a mapping.
    """
    found = parsed(content(path, LARGEST).decode())
    if not isinstance(found, dict):
        raise ValueError("no mapping")
    return found
