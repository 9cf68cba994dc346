"""Features, labels and last layer from a file that anybody may have written: .npz, .pt, .safetensors or .parquet.

Nothing in a file can run code, and nothing is unpacked before it is known how large it gets.
"""

import math
import pickle
import re
import zipfile
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from ufm.collapse.arrays import tensor_of
from ufm.errors import RequestError, check, reason_of
from ufm.files import load_tensors, opened

LARGEST = 2**36
"""The most bytes of a file, and of its unpacked contents."""
MOST_PACKED = 200
"""The factor by which an archive may grow when unpacked; features with nine zeros in ten grow some tenfold."""
NAMES = {
    "features": ("features", "H", "embeddings", "feats", "X"),
    "labels": ("labels", "y", "targets", "label", "target"),
    "W": ("W", "weight", "fc.weight", "classifier.weight", "head.weight"),
    "b": ("b", "bias", "fc.bias", "classifier.bias", "head.bias"),
}
"""The names that an array may have; the first found counts."""
WRAPPERS = re.compile(r"^(module\.|_orig_mod\.)+")
"""What stands before the names of a network's parameters inside DataParallel and `torch.compile`."""
Arrays = dict[str, Tensor]


class Features(NamedTuple):
    """The arrays in a file."""

    features: Tensor
    labels: Tensor | None
    W: Tensor | None
    b: Tensor | None


def read_features(path: Path, argument: str = "--features") -> Features:
    """Features (N, d); labels (N,), W (K, d) and b (K,) where the file has them.

    Raises:
        ValueError: if it cannot be read, is none of these kinds, or has no features.
    """
    arrays = _read(path, argument, ("features", "labels", "W", "b"))
    check("features" in arrays, argument, path, f"a file with an array named {_one_of('features')}")
    return Features(arrays["features"], arrays.get("labels"), arrays.get("W"), arrays.get("b"))


def read_last_layer(path: Path, argument: str = "--last-layer") -> tuple[Tensor, Tensor | None]:
    """W and b of a last layer.

    Raises:
        ValueError: if it cannot be read, or has no W.
    """
    arrays = _read(path, argument, ("W", "b"))
    check("W" in arrays, argument, path, f"a file with an array named {_one_of('W')}")
    return arrays["W"], arrays.get("b")


def _read(path: Path, argument: str, wanted: Collection[str]) -> Arrays:
    kinds = f"a file {', '.join(READERS)}"
    check(path.suffix in READERS, argument, path, kinds)
    try:
        found = READERS[path.suffix](path, {name for key in wanted for name in NAMES[key]})
    except pickle.UnpicklingError:  # torch's own words advise to let it run
        held = "it holds code or other objects, of which nothing is run; numpy.savez keeps arrays"
        raise RequestError(f"`{argument}` must be a file of tensors, got {path} ({held}).") from None
    except Exception as error:  # each library raises a dozen types for a damaged file; they mean the same to the user
        raise RequestError(f"`{argument}` must be {kinds} that can be read, got {path} ({reason_of(error)}).") from None
    named = {key: next((found[name] for name in NAMES[key] if name in found), None) for key in wanted}
    return {key: value for key, value in named.items() if value is not None}


def npz(path: Path, names: set[str]) -> Arrays:
    """The arrays of these names in a file .npz; a pickle is none.

    Raises:
        OSError, ValueError, BadZipFile: if it cannot be read, or would unpack to more than it says.
    """
    with opened(path, LARGEST) as file, zipfile.ZipFile(file) as archive:
        parts = {part.filename.removesuffix(".npy"): part for part in archive.infolist()}
        return {name: _npy(archive, part) for name, part in _wanted(parts, names).items()}


def _wanted(found: Mapping[str, Any], names: set[str]) -> dict[str, Any]:
    """The entries of these names, which may stand behind what DataParallel and `torch.compile` put before them."""
    plain = {name: WRAPPERS.sub("", name) for name in found if isinstance(name, str)}
    return {plain[name]: found[name] for name in plain if plain[name] in names}


def _npy(archive: zipfile.ZipFile, part: zipfile.ZipInfo) -> Tensor:
    """One array, its header looked at before there is room for it."""
    is_sane = part.file_size <= LARGEST and part.file_size <= MOST_PACKED * part.compress_size + 2**20
    if not is_sane:
        raise ValueError(f"{part.filename} would unpack to {part.file_size} bytes")
    with archive.open(part) as file:
        version = np.lib.format.read_magic(file)
        read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        shape, is_fortran, dtype = read(file)
        if dtype.kind not in "fiu" or dtype.itemsize > 8:
            raise ValueError(f"{part.filename} holds {dtype}, no numbers")
        size = math.prod(shape) * dtype.itemsize
        if size > part.file_size:
            raise ValueError(f"{part.filename} says it is {shape}, and has only {part.file_size} bytes")
        content = bytearray(file.read(size))
        if len(content) < size or file.read(1):  # reading to the end compares the checksum
            raise ValueError(f"{part.filename} says it is {shape}, and has another length")
    array = np.frombuffer(content, dtype).reshape(shape, order="F" if is_fortran else "C")
    return torch.from_numpy(array.astype(dtype.newbyteorder("="), copy=False))


def _pt(path: Path, names: set[str]) -> Arrays:
    with opened(path, LARGEST) as file:
        return _tensors(load_tensors(file), names)


def _safetensors(path: Path, names: set[str]) -> Arrays:
    from safetensors import safe_open

    opened(path, LARGEST).close()
    with safe_open(path, framework="pt") as file:
        keys = _wanted({name: name for name in file.keys()}, names)  # noqa: SIM118  # no mapping
        return {name: file.get_tensor(key) for name, key in keys.items()}


def _parquet(path: Path, names: set[str]) -> Arrays:
    """A column of lists, or a column of numbers for each feature, in their order, beside that of the labels."""
    from pyarrow import compute, parquet, types

    with opened(path, LARGEST) as content, parquet.ParquetFile(content) as file:
        size = sum(file.metadata.row_group(i).total_byte_size for i in range(file.metadata.num_row_groups))
        if size > LARGEST:
            raise ValueError(f"it would unpack to {size} bytes")
        schema = file.schema_arrow
        labels = [name for name in NAMES["labels"] if name in schema.names and name in names][:1]
        lists = [name for name in NAMES["features"] if name in schema.names and name in names][:1]
        plain = [field.name for field in schema if types.is_floating(field.type)]
        columns = lists or (plain if "features" in names else [])
        table = file.read(columns=[*columns, *labels])
    if table.num_columns and any(column.null_count for column in table.columns):
        raise ValueError("a value is missing in it")
    found = {"labels": _numbers(table[labels[0]].combine_chunks(), labels[0])} if labels else {}
    if lists:
        column = table[lists[0]].combine_chunks()
        lengths = compute.list_value_length(column).unique().to_pylist() if _is_list(column.type) else []
        if len(lengths) != 1:
            raise ValueError(f"{lists[0]} holds {column.type}, no lists of one length")
        found["features"] = _numbers(column.flatten(), lists[0]).reshape(table.num_rows, lengths[0])
    elif plain and columns:
        found["features"] = torch.from_numpy(np.stack([table[name].to_numpy() for name in plain], 1))
    return found


def _is_list(kind: Any) -> bool:
    from pyarrow import types

    return any(is_one(kind) for is_one in (types.is_list, types.is_large_list, types.is_fixed_size_list))


def _numbers(column: Any, name: str) -> Tensor:
    """The numbers in a column.

    Raises:
        ValueError: if it holds something else.
    """
    numbers = column.to_numpy(zero_copy_only=False)
    if numbers.dtype.kind not in "fiub":
        raise ValueError(f"{name} holds {column.type}, no numbers")
    return torch.from_numpy(numbers.copy())


def _tensors(found: Any, names: set[str]) -> Arrays:
    if not isinstance(found, dict):
        raise ValueError(f"it holds a {type(found).__name__}, no dict of tensors")
    tensors = {name: value for name, value in _wanted(found, names).items() if isinstance(value, Tensor)}
    for name, value in tensors.items():
        if tensor_of(name, value).nbytes > value.untyped_storage().nbytes():
            raise ValueError(f"{name} would unpack to {value.nbytes} bytes")
    return tensors


READERS: dict[str, Callable[[Path, set[str]], Arrays]] = {
    ".npz": npz,
    ".pt": _pt,
    ".pth": _pt,
    ".safetensors": _safetensors,
    ".parquet": _parquet,
}


def _one_of(key: str) -> str:
    return ", ".join(NAMES[key])
