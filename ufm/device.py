"""Choice of the torch device."""

from typing import TYPE_CHECKING

from ufm.errors import RequestError, reason_of

if TYPE_CHECKING:
    import torch


def torch_device(name: str) -> "torch.device":
    """The torch device of that name.

    Raises:
        ValueError: if there is no such device here.
    """
    import torch

    try:
        device = torch.device(name)
        torch.zeros(1, dtype=torch.float64, device=device).cpu()
    except (RuntimeError, AssertionError, TypeError, ImportError) as error:  # each back end raises its own
        reason = reason_of(error).split(". ")[0][:160]
        raise RequestError(
            f"`--device` must be a torch device with float64 on this machine, got {name or 'nothing'} ({reason})."
        ) from None
    return device
