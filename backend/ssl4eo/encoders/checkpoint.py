# SPDX-License-Identifier: GPL-2.0-or-later
"""Open a file of weights safely: nothing in it is run, and nothing grows beyond the size of the file."""

from __future__ import annotations

import contextlib
import pickle
import pickletools
import re
import threading
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from ssl4eo.errors import InputError

__all__ = ["is_archive", "read_document", "require_intact"]

_ZIP, _PICKLE = b"PK\x03\x04", b"\x80"
_HEAD = 512
# What torch.jit.save adds to a torch archive: the compiled code and its constants.
_SCRIPT_ENTRY = re.compile(r"(^|/)(code/|constants\.pkl$)")


class _Inert:
    """Stands for a value of a checkpoint that no encoder needs; holds and does nothing."""

    def __init__(self, *_: Any) -> None: ...

    def __setstate__(self, state: Any) -> None: ...


# What the released full checkpoints hold besides tensors and plain containers: the command line of DINO, MAE and
# data2vec (args, an argparse.Namespace: zhu-xlab/SSL4EO-S12@2156913c, pretrain_ssl/pretrain_dino_s2c.py:346 and
# models/mae/util/misc.py:303) and numpy scalars in it or in a scheduler's state, by the names of numpy 1 and 2.
_INERT: list[Callable[..., Any] | tuple[Callable[..., Any], str]] = [
    (_Inert, name)
    for name in (
        "argparse.Namespace",
        "numpy.dtype",
        "numpy.core.multiarray.scalar",
        "numpy._core.multiarray.scalar",
        *(f"numpy.dtypes.{kind}DType" for kind in ("Bool", "Int32", "Int64", "Float32", "Float64")),
    )
]
# By which a pickle has something called.
_CALLS = frozenset({"REDUCE", "BUILD", "INST", "OBJ", "NEWOBJ", "NEWOBJ_EX"})
# torch keeps its list of allowed names per process, as Python does its warnings; two loads that enter and leave them at
# once would disturb each other.
_ALLOWING = threading.Lock()


def read_document(path: Path, *, mapped: bool = True) -> Any:
    """Return what a torch or safetensors file holds: usually nested dictionaries with tensors.

    Args:
        path: the file.
        mapped: leave the tensors of a torch archive in the file until they are read; then copy what is kept.

    Raises:
        InputError: when the file is missing, cut off, no file of weights, or could run code or fill the memory.
    """
    head = _head(path)
    if head.startswith(_ZIP):
        _check_archive(path)
        return _torch_load(path, mapped=mapped)
    if _is_safetensors(head, path.stat().st_size):
        return _safetensors_load(path)
    if head.startswith(_PICKLE):
        return _torch_load(path, mapped=False)
    raise InputError(_what_else(path, head))


def is_archive(path: Path) -> bool:
    """Return whether a file is what torch.save writes since 2020, whose tensors can be mapped."""
    return _head(path).startswith(_ZIP)


def require_intact(path: Path) -> None:
    """Refuse a torch archive whose bytes are not those of its checksums (CRC-32), which reading its tensors ignores.

    Raises:
        InputError: names the first entry that is not.
    """
    if not is_archive(path):
        return
    try:
        with zipfile.ZipFile(path) as archive:
            damaged = archive.testzip()
    # An entry that claims to be encrypted is a RuntimeError, one that ends early an EOFError.
    except (zipfile.BadZipFile, OSError, ValueError, RuntimeError, EOFError) as error:
        raise InputError(f"{path} is not a whole checkpoint file; copy or download it again.") from error
    if damaged is not None:
        raise InputError(
            f"{path} is damaged: {damaged} in it is not what its checksum says; copy or download it again."
        )


def _head(path: Path) -> bytes:
    if path.is_dir():
        raise InputError(f"{path} is a folder; name the file with the weights.")
    try:
        with path.open("rb") as stream:
            head = stream.read(_HEAD)
    except FileNotFoundError as error:
        raise InputError(f"{path} does not exist; check the path of the weights.") from error
    except OSError as error:
        raise InputError(f"{path} cannot be read ({error.strerror}); check its permissions and its disk.") from error
    if not head:
        raise InputError(f"{path} is empty, not a whole checkpoint file; copy or download it again.")
    return head


def _is_safetensors(head: bytes, size: int) -> bool:
    """Tell by the first bytes: the length of the header (8 bytes, little-endian), then the header, a JSON object."""
    return head[8:9] == b"{" and int.from_bytes(head[:8], "little") + 8 <= size


def _what_else(path: Path, head: bytes) -> str:
    text = head.lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if text.startswith((b"<!doctype", b"<html", b"<head", b"<?xml", b"<!--")):
        return (
            f"{path} is a web page and no weights: the server answered with a notice or a sign-in; "
            "open the address in a browser and save the file from there."
        )
    if text.startswith(b"version https://git-lfs"):
        return f"{path} is a Git LFS pointer and no weights; fetch the file itself with `git lfs pull`."
    if head[8:9] == b"{":
        return f"{path} is not a whole safetensors file; copy or download it again."
    return (
        f"{path} holds no weights (it begins with {head[:8]!r}); use a .pth or .safetensors file, "
        "unpacked where it came in an archive."
    )


def _check_archive(path: Path) -> None:
    """Refuse archives that torch.save did not write, before anything in them is read."""
    try:
        with zipfile.ZipFile(path) as archive:
            entries = archive.infolist()
    # NotImplementedError is what zipfile raises for an archive of a version that it does not know.
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError) as error:
        raise InputError(f"{path} is not a whole checkpoint file; copy or download it again.") from error
    if any(_SCRIPT_ENTRY.search(entry.filename) for entry in entries):
        raise InputError(
            f"{path} is a TorchScript program, which would run code of its own; use the file with the plain weights."
        )
    if not any(entry.filename.endswith("data.pkl") for entry in entries):
        raise InputError(f"{path} is a zip archive without a checkpoint's tables; unpack it and use the file in it.")
    unpacked, size = sum(entry.file_size for entry in entries), path.stat().st_size
    # torch.save stores entries as they are, so that whatever grows when unpacked was made to.
    if unpacked > size or any(entry.compress_type != zipfile.ZIP_STORED for entry in entries):
        raise InputError(
            f"{path} is a compressed archive that unpacks from {size} to {unpacked} bytes, which no checkpoint does; "
            "get the weights from their authors' page."
        )


def _torch_load(path: Path, *, mapped: bool) -> Any:
    try:
        with _ALLOWING, torch.serialization.safe_globals(_INERT), warnings.catch_warnings():
            # What follows from it is said in a sentence.
            warnings.filterwarnings("ignore", "Detected pickle protocol", UserWarning)
            return torch.load(str(path), map_location="cpu", weights_only=True, mmap=mapped)
    except pickle.UnpicklingError as error:
        wanted = re.search(r"GLOBAL (\S+)", str(error))
        if wanted is None and _calls(path):
            raise InputError(
                f"{path} was not opened: it asks for code, in a pickle of a protocol above 2, which is not read "
                "here; get the weights from their authors' page, or save them again with protocol 2."
            ) from error
        if wanted is None:
            raise InputError(f"{path} is not a whole checkpoint file; copy or download it again.") from error
        raise InputError(
            f"{path} was not opened: it asks for {wanted[1]}, which could run code; "
            "get the weights from their authors' page."
        ) from error
    # A damaged pickle can ask its reader for anything: the reader fails with whatever that runs into.
    except Exception as error:
        raise InputError(f"{path} is not a whole checkpoint file; copy or download it again.") from error


def _calls(path: Path) -> bool:
    """Return whether a whole pickle, bare or in a torch archive, of a protocol that torch does not read calls code.

    It is read by its instructions; none is run.
    """
    # Of bytes that are no pickle the reader makes any error.
    with contextlib.suppress(Exception):
        if is_archive(path):
            with zipfile.ZipFile(path) as archive:
                name = next(name for name in archive.namelist() if name.endswith("data.pkl"))
                written = archive.read(name)
        else:
            written = path.read_bytes()
        steps = [(step.name, argument) for step, argument, _ in pickletools.genops(written)]
        return ("PROTO", 2) not in steps and any(name in _CALLS for name, _ in steps)
    return False


def _safetensors_load(path: Path) -> dict[str, torch.Tensor]:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        return load_file(path)
    except (SafetensorError, OSError, ValueError, KeyError) as error:
        raise InputError(f"{path} is not a whole safetensors file; copy or download it again.") from error
