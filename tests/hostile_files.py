"""Some hundred files that no reader should take, each by what is wrong with it, made of a sound one."""

import json
import os
import zipfile
from collections.abc import Callable, Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

import torch

TEXTS = {
    "empty": b"",
    "nul": b"\0" * 4096,
    "cut": b'{"schema": 1, "result": {"a": ',
    "list": b"[1, 2]",
    "number": b"3",
    "null": b"null",
    "text": b'"setting"',
    "latin": b'{"schema": 1, "setting": {"a": "\xe9"}}',
    "utf16": '{"schema": 1}'.encode("utf-16"),
    "mark": b"\xef\xbb\xbf{}",
    "deep_lists": b"[" * 100_000,
    "deep_objects": b'{"a":' * 100_000,
    "deep_and_closed": b"[" * 500 + b"]" * 500,
    "parts": b"[" + b"[]," * 2**22 + b"[]]",
    "binary": bytes(range(256)),
    "gzip": bytes.fromhex("1f8b0800000000000003"),
    "pickle": b"\x80\x04\x95\x1e\x00\x00\x00\x00\x00\x00\x00\x8c\x05posix\x94\x8c\x06system\x94\x93\x94.",
}
VALUES = {
    "huge": b"1" + b"0" * 400,
    "digits": b"9" * 5000,
    "negative": b"-" + b"9" * 5000,
    "float": b"1e400",
    "long_float": b"0." + b"1" * 10**5 + b"e999",
    "nan": b"NaN",
    "infinity": b"-Infinity",
    "nested": b"[" * 40 + b"]" * 40,
    "nested_object": b'{"a":' * 40 + b"1" + b"}" * 40,
    "half_a_character": b'"\\ud800"',
    "half_in_a_key": b'{"\\uDFFF": 1}',
}


def texts(sound: dict[str, Any]) -> Iterator[tuple[str, bytes]]:
    """What is no JSON of ours, and the sound value with one entry that no reader should take, at every place."""
    yield from TEXTS.items()
    for key in sound:
        rest = json.dumps({name: value for name, value in sound.items() if name != key})
        for name, value in VALUES.items():
            yield f"{name}_as_{key}", f'{rest[:-1]}, "{key}": '.encode() + value + b"}"


def special(path: Path) -> Iterator[tuple[str, Callable[[], object]]]:
    """What is no file, or has no end, each with what puts it at the path."""
    yield "pipe", lambda: os.mkfifo(path)
    yield "folder", path.mkdir
    yield "link_to_zeros", lambda: path.symlink_to("/dev/zero")
    yield "link_to_noise", lambda: path.symlink_to("/dev/urandom")
    yield "link_to_terminal", lambda: path.symlink_to("/dev/tty")
    yield "link_to_itself", lambda: path.symlink_to(path)
    yield "link_to_nothing", lambda: path.symlink_to(path.with_name("nothing"))
    yield "link_to_memory", lambda: path.symlink_to("/proc/self/maps")
    yield "sparse", lambda: (path.touch(), os.truncate(path, 2**40))


def checkpoints(state: dict[str, Any]) -> Iterator[tuple[str, bytes]]:
    """Checkpoints with a wrong part."""
    wrong = {"none": None, "text": "x", "list": [1], "nested": {"a": {"b": 1}}, "number": -1.5}
    for name in state:
        for what, value in wrong.items():
            yield f"{what}_as_{name}", _saved(state | {name: value})
        yield f"without_{name}", _saved({key: value for key, value in state.items() if key != name})
    for what in ("nan", "inf", "-inf"):
        yield f"{what}_in_net", _saved(state | {"net": _with(state["net"], float(what))})
    momentum = {"state": {0: {"momentum_buffer": torch.full((2, 2), 1.0)}}, "param_groups": []}
    yield "momentum_of_another_size", _saved(state | {"optimiser": momentum})
    yield "vast_momentum", _saved(state | {"optimiser": momentum | {"state": {0: {"momentum_buffer": _vast()}}}})
    yield "vast_weights", _saved(state | {"net": dict.fromkeys(state["net"], _vast())})
    yield "packed", _packed(2**28)


def _with(net: dict[str, torch.Tensor], number: float) -> dict[str, torch.Tensor]:
    return {name: value * number if value.is_floating_point() else value for name, value in net.items()}


def _vast() -> torch.Tensor:
    """10^15 entries in the memory of one."""
    return torch.zeros(1).expand(10**15)


def _saved(state: object) -> bytes:
    content = BytesIO()
    torch.save(state, content)
    return content.getvalue()


def _packed(size: int) -> bytes:
    """A file that unpacks to a thousand times its size."""
    content = BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("archive/data.pkl", b"\0" * size)
    return content.getvalue()
