"""The share of a loader's samples that this process measures: every sample once over all processes."""

from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from typing import Any

from torch import Tensor
from torch.utils.data import (
    BatchSampler,
    DataLoader,
    Dataset,
    RandomSampler,
    Sampler,
    SequentialSampler,
    TensorDataset,
    default_collate,
)
from torch.utils.data.distributed import DistributedSampler

from deepnet import distributed
from deepnet.evaluation.watched import LOADER, batches_of
from ufm.arguments import shown
from ufm.errors import check

BATCH = 256
"""The samples of a batch if the loader has no batch size."""


def own_share(loader: Iterable[Any]) -> Iterable[Any]:
    """Batches of every so many-th sample, in the order of the dataset, if the loader goes over all of a dataset.

    The loader itself would draw from the random numbers that the training goes on with, and one for several processes
    repeats samples to fill up shares. Of any other loader it is every so many-th batch, which needs the same order in
    all processes.
    """
    found = _plain_batches(loader) if isinstance(loader, DataLoader) else None
    if found is None or not isinstance(loader, DataLoader):
        return islice(batches_of(loader), distributed.rank(), None, distributed.size())
    dataset, batch_size = found
    own: Any = range(distributed.rank(), len(dataset), distributed.size())
    if type(dataset) is TensorDataset and loader.collate_fn is default_collate:
        return _slices(dataset, own, batch_size)
    return DataLoader(
        dataset,
        batch_size,
        sampler=own,
        collate_fn=loader.collate_fn,
        num_workers=loader.num_workers,
        pin_memory=loader.pin_memory,
        timeout=loader.timeout,
        worker_init_fn=loader.worker_init_fn,
        multiprocessing_context=loader.multiprocessing_context,
    )


def _slices(dataset: TensorDataset, own: range, batch_size: int) -> Iterator[list[Tensor]]:
    """The batches that a loader would put together sample by sample, which takes as long as an MLP's forward pass."""
    for rows in (own[start : start + batch_size] for start in range(0, len(own), batch_size)):
        yield [tensor[rows.start : rows.stop : rows.step] for tensor in dataset.tensors]


def by_split(loader: Any) -> dict[str, Iterable[Any]]:
    """Loaders by name; a single one is named train.

    Raises:
        ValueError: if there is none, or one of them cannot be gone through after every epoch.
    """
    found = dict(loader) if isinstance(loader, Mapping) else {"train": loader}
    by_name = bool(found) and all(isinstance(name, str) for name in found)
    check(by_name, "loader", shown(loader), 'a loader, or several by name, {"train": ..., "val": ...}')
    for each in found.values():
        LOADER.check("loader", each)
        is_spent = isinstance(each, Iterator) and type(each).__module__ in ("builtins", "itertools")
        check(not is_spent, "loader", f"a {type(each).__name__}", "one that can be gone through after every epoch")
    return found


def _plain_batches(loader: DataLoader[Any]) -> tuple[Any, int] | None:
    """Dataset and batch size of a loader that gives each sample of the dataset once; else None."""
    batches: Any = loader.batch_sampler
    while type(batches) is not BatchSampler and hasattr(batches, "batch_sampler"):
        batches = batches.batch_sampler  # accelerate's shares of another one
    is_plain = type(batches) is BatchSampler and isinstance(loader.dataset, Dataset | list)
    if not is_plain or not _is_of_all(batches.sampler, loader.dataset):
        return None
    return loader.dataset, batches.batch_size or BATCH


def _is_of_all(sampler: Sampler[Any] | Iterable[Any], dataset: Any) -> bool:
    if isinstance(sampler, RandomSampler):
        return not sampler.replacement and sampler.num_samples == len(dataset)
    if isinstance(sampler, SequentialSampler):
        return len(sampler.data_source) == len(dataset)
    return isinstance(sampler, DistributedSampler) and len(sampler.dataset) == len(dataset)  # type: ignore[arg-type]
