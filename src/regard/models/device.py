"""Where nets run: devices by their names, and running out of their memory."""

import gc

import torch
from torch import nn

from regard.errors import ConfigError, RunError
from regard.machine import hand_back_memory, processor


def device_of(name: str, where: str = "training.device") -> torch.device:
    """The device of that name; `auto` is the first GPU, else the CPU.

    Args:
        name: `auto`, `cpu`, `cuda` ...
        where: what an error blames.

    Raises:
        ConfigError: this machine has no such device.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.zeros(1, device=device).item()  # of `meta` there is no number
    except (RuntimeError, AssertionError) as error:
        raise ConfigError(
            where,
            expected="a device of this machine",
            found=repr(name),
            remedy="use auto or cpu",
        ) from error
    return device


def take_gpu(number: int) -> None:
    """Let `auto` and `cuda` mean one of several GPUs in this process, by the process's number."""
    count = torch.cuda.device_count()
    if count > 1:
        torch.cuda.set_device(number % count)


def device_name(device: torch.device) -> str:
    """The product's name, of a processor or a GPU."""
    return torch.cuda.get_device_name(device) if device.type == "cuda" else processor()


# What torch's allocator on a processor says, CUDA where its own context has no room, and oneDNN,
# which does not tell why: of a primitive that it lacks, too, but then a batch of one fails alike.
ALLOCATORS = (
    "can't allocate memory",
    "CUDA error: out of memory",
    "could not create a primitive",
)


def out_of_memory(error: BaseException) -> bool:
    """Whether it says that memory ran out, on whatever device."""
    text = str(error)
    return isinstance(error, torch.OutOfMemoryError | MemoryError) or any(
        said in text for said in ALLOCATORS
    )


def lacking(where: str, error: BaseException) -> RunError:
    """What to say where not even one image fits."""
    return RunError(
        where,
        expected="memory for one image",
        found=str(error).strip().partition("\n")[0][:160] or "none",
        remedy="free it, take smaller images or another device",
    )


def put(net: nn.Module, device: torch.device, where: str) -> nn.Module:
    """The net, put on a device.

    Raises:
        RunError: there is no memory for it; `where` is what the error blames.
    """
    try:
        return net.to(device)
    except RuntimeError as error:
        if not out_of_memory(error):
            raise
        raise RunError(
            where,
            expected=f"memory for the net on {device}",
            found=str(error).strip().partition("\n")[0][:160],
            remedy="free it, or take another device: --device cpu",
        ) from error


def release(device: torch.device) -> None:
    """Give back what was freed when memory has run out, before something smaller is tried.

    A failed pass may leave cycles of graph and hooks; CUDA's allocator keeps its cache, and a heap
    on a processor the pieces between those still in use.
    """
    gc.collect()
    if device.type == "cuda":
        torch.cuda.empty_cache()
    else:
        hand_back_memory()
