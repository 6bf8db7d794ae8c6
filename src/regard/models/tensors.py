"""Files of tensors from anyone: nothing is run, and memory is bounded by their bytes."""

import zipfile
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor

# Tensors of a file; the largest nets of timm have some 2,000. A hostile header has millions.
MOST = 50_000


def read_safetensors(path: Path) -> dict[str, Tensor]:
    """The tensors of a .safetensors file.

    Raises:
        OSError: there is no such file.
        SafetensorError: it is damaged.
        ValueError: it has more tensors than any net.
    """
    with safe_open(path, "pt") as file:
        names = file.keys()
        if len(names) > MOST:
            raise ValueError(f"{len(names):,} tensors")
        return {name: file.get_tensor(name) for name in names}


def write_safetensors(path: Path, tensors: Mapping[str, Tensor]) -> None:
    """Write a .safetensors file that whoever may read the folder's other files may read."""
    path.touch()
    mode = path.stat().st_mode
    save_file(dict(tensors), path)
    path.chmod(mode)  # the library makes a file of this user alone


def read_pickled(path: Path) -> object:
    """What `torch.save` wrote, its pickle read by torch's unpickler of tensors alone.

    Raises:
        ValueError: it is packed, and would take more memory than it has bytes.
        Exception: of many kinds, at what is no file of tensors.
    """
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as parts:
            size = sum(part.file_size for part in parts.infolist())
        if size > path.stat().st_size:  # torch.save packs nothing
            raise ValueError(f"{size:,} bytes packed into {path.stat().st_size:,}")
    return torch.load(path, map_location="cpu", weights_only=True)


def refuse_other_kinds(state: Mapping[str, Tensor], own: Mapping[str, Tensor]) -> None:
    """See that tensors are plain numbers in memory, of the kind that the net's are.

    Copying would make ones of bits that were no floats, or lose what a real number cannot hold.

    Raises:
        ValueError: names the first that is not.
    """
    for name, value in state.items():
        if name not in own:
            continue
        plain = value.layout == torch.strided and value.device.type == "cpu"
        if not plain or value.is_quantized or value.is_complex():
            raise ValueError(f"{name} with {value.dtype} of the layout {value.layout}")
        if value.is_floating_point() != own[name].is_floating_point():
            raise ValueError(f"{name} with {value.dtype} in place of {own[name].dtype}")
