"""Where nets run: devices by their names, and running out of their memory."""

import torch

from regard.errors import ConfigError
from regard.machine import processor


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


def device_name(device: torch.device) -> str:
    """The product's name, of a processor or a GPU."""
    return torch.cuda.get_device_name(device) if device.type == "cuda" else processor()


# What torch's allocator on a processor says, and oneDNN, which does not tell why: of a primitive
# that it lacks, too, but then a batch of one fails alike.
ALLOCATORS = ("can't allocate memory", "could not create a primitive")


def out_of_memory(error: BaseException) -> bool:
    """Whether it says that memory ran out, on whatever device."""
    text = str(error)
    return isinstance(error, torch.OutOfMemoryError | MemoryError) or any(
        said in text for said in ALLOCATORS
    )
