"""How torch tells that memory runs out, and how it is given back."""

from __future__ import annotations

import traceback

import torch


def is_out_of_memory(error: BaseException) -> bool:
    """Tells whether torch ran out of memory; on a CPU it says so in words only."""
    return isinstance(error, torch.OutOfMemoryError) or (
        isinstance(error, RuntimeError) and "allocate memory" in str(error)
    )


def release(error: BaseException) -> None:
    """Lets go of the tensors that an error's frames hold, which fill the memory it tells of."""
    traceback.clear_frames(error.__traceback__)
