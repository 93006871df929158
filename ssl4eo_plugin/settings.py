# SPDX-License-Identifier: GPL-2.0-or-later
"""What the user chose once and expects to find again, kept in the QGIS settings under `ssl4eo/`."""

from __future__ import annotations

from qgis.core import QgsSettings

__all__ = [
    "BUNDLED_ENCODER",
    "backend_command",
    "device",
    "encoder",
    "mirror",
    "mode",
    "set_backend_command",
    "set_device",
    "set_encoder",
    "set_mirror",
    "set_mode",
]

# The encoder that comes with the backend, so that the first run needs no download.
BUNDLED_ENCODER = "moco-resnet18w32-s2"

_BACKEND_COMMAND = "ssl4eo/backend_command"
_ENCODER = "ssl4eo/encoder"
_DEVICE = "ssl4eo/device"
_MIRROR = "ssl4eo/mirror"
_MODE = "ssl4eo/mode"


def backend_command() -> str | list[str]:
    """Return the command that starts the backend as the user gave it, or "" when it was never given."""
    value = QgsSettings().value(_BACKEND_COMMAND, "")
    # A list of one comes back from the settings file as text, an empty list as None.
    return [str(part) for part in value] if isinstance(value, (list, tuple)) else str(value or "")


def set_backend_command(command: str | list[str]) -> None:
    """Store the command that starts the backend: one line of text, or its parts; "" forgets it."""
    _store(_BACKEND_COMMAND, command)


def encoder() -> str:
    """Return the identifier of the encoder used last."""
    return str(QgsSettings().value(_ENCODER, "") or BUNDLED_ENCODER)


def set_encoder(encoder_id: str) -> None:
    """Remember the encoder used last."""
    _store(_ENCODER, encoder_id)


def device() -> str:
    """Return the device to encode on: `auto`, `cpu`, `cuda`, `cuda:N` or `mps`."""
    return str(QgsSettings().value(_DEVICE, "") or "auto")


def set_device(name: str) -> None:
    """Remember the device to encode on."""
    _store(_DEVICE, name)


def mode() -> str:
    """Return the quality mode to encode in: `fast` or `standard`; not every encoder has each."""
    return str(QgsSettings().value(_MODE, "") or "standard")


def set_mode(name: str) -> None:
    """Remember the quality mode."""
    _store(_MODE, name)


def mirror() -> str:
    """Return the address that weights are downloaded from in place of the published ones, "" for those."""
    return str(QgsSettings().value(_MIRROR, "") or "")


def set_mirror(address: str) -> None:
    """Remember a mirror; "" forgets it."""
    _store(_MIRROR, address.strip())


def _store(key: str, value: str | list[str]) -> None:
    if value:
        QgsSettings().setValue(key, value)
    else:
        QgsSettings().remove(key)
