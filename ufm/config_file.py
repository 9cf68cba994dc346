"""The YAML file behind `--config`: one mapping of plain values, looked at before anything is made of it.

Aliases can stand for gigabytes and tags for Python objects; a setting needs neither.
"""

import re
from pathlib import Path
from typing import Any

from jsonargparse import ActionConfigFile  # type: ignore[attr-defined]  # public, but not in their __all__

from ufm.files import DEEPEST, content, whole_number

LARGEST = 2**16
"""Bytes of a file."""


class ConfigFile(ActionConfigFile):
    """`--config FILE`."""

    @staticmethod
    def apply_config(parser: Any, cfg: Any, dest: str, value: str) -> None:
        """Take the file's values for the options it names.

        Raises:
            TypeError: (the parser's complaint) if it cannot be read or is not a mapping from options to plain values.
        """
        known = {action.dest for action in parser._actions} - {"help", "config", "print_config"}
        try:
            keys = _keys(value)
        except (OSError, ValueError) as error:
            reason = " ".join(str(error).split())
            raise TypeError(
                f"`--config` must be a YAML file of options with plain values, got {value} ({reason})."
            ) from None
        if unknown := sorted(set(keys) - known):
            allowed = ", ".join(sorted(known))
            raise TypeError(f"`--config` must be a file whose keys are among {allowed}, got {value} with {unknown[0]}.")
        ActionConfigFile.apply_config(parser, cfg, dest, value)


def _keys(path: str) -> list[str]:
    """The keys of the outermost mapping.

    Raises:
        OSError: if there is no such file.
        ValueError: if it is not such a mapping.
    """
    import yaml

    try:
        text = content(Path(path), LARGEST).decode()
        depth = 0
        for event in yaml.parse(text, Loader=yaml.SafeLoader):
            if getattr(event, "anchor", None) or getattr(event, "tag", None):
                raise ValueError(f"anchors and tags are not allowed, line {event.start_mark.line + 1} has one")
            if re.fullmatch(r"[+-]?[\d_]+", getattr(event, "value", None) or ""):
                whole_number(event.value)
            depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
            if depth > DEEPEST:
                raise ValueError(f"more than {DEEPEST} levels")
        node = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.YAMLError as error:
        raise ValueError(str(error)) from None
    if not isinstance(node, yaml.MappingNode):
        raise ValueError("no mapping")
    keys = [str(key.value) for key, _ in node.value]
    for key in keys:
        if keys.count(key) > 1:
            raise ValueError(f"{key} appears twice")
    return keys
