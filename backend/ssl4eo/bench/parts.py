# SPDX-License-Identifier: GPL-2.0-or-later
"""Where the time of encoding goes, part by part."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from ssl4eo.bench.forward import settle
from ssl4eo.bench.pairs import End
from ssl4eo.bench.timers import Timers

if TYPE_CHECKING:
    from ssl4eo.bench.subject import Subject
    from ssl4eo.encoders.encoder import Encoder
    from ssl4eo.jobs import Progress

__all__ = ["PARTS", "parts_of"]

_NETWORK = "network"
_ENGINE = "ssl4eo.features.engine"
# What each part is, by the functions of the engine that do it and nothing else.
PARTS: dict[str, tuple[str, ...]] = {
    "opening scene and encoder": (
        "ssl4eo.scenes.scene:inspect_raster",
        "ssl4eo.encoders.encoder:load_encoder",
    ),
    "reading and harmonising": ("ssl4eo.scenes.scene:Scene.read", f"{_ENGINE}.reader:Reader._wanted"),
    "pixel levels": (f"{_ENGINE}.reader:Reader._levels",),
    "filling batches": (f"{_ENGINE}.forward:Streams._levels",),
    _NETWORK: ("ssl4eo.encoders.encoder:Encoder.levels",),
    "projecting and rounding": (
        f"{_ENGINE}.work:Work._finish",
        f"{_ENGINE}.work:Work._rounded",
        f"{_ENGINE}.cells:Steps.apply",
    ),
    "blending": (f"{_ENGINE}.collect:Collector.add",),
    "compressing and writing": (
        f"{_ENGINE}.records:Records.write",
        f"{_ENGINE}.assemble:Assembler.advance",
        f"{_ENGINE}.assemble:Assembler.finish",
    ),
    "sampling and PCA": (
        f"{_ENGINE}.sample:_draw",
        f"{_ENGINE}.sample:_thinned",
        "ssl4eo.features.run:Run._fit",
    ),
}


def parts_of(subject: Subject, encoder: Encoder, progress: Progress) -> dict[str, Any]:
    """Encode once with clocks around the engine's functions.

    Returns:
        `seconds` and `cpu` of the whole, and `parts`: per part `wall`, `cpu` (seconds, added over threads) and `calls`.
        What of `cpu` no part has is the math library's own threads, Python between the parts, and the rest of the
        process.
    """
    timers = Timers(lambda: settle(encoder), _NETWORK)
    end = End(subject, lambda *_: progress(0.0, "Taking the time of each part"))
    with timers.around(PARTS):
        cpu = time.process_time()
        seconds = end()
        cpu = time.process_time() - cpu
    return {
        "seconds": seconds,
        "cpu": cpu,
        "parts": [
            {"part": part, "wall": spent.wall, "cpu": spent.cpu, "calls": spent.calls}
            for part, spent in timers.spent.items()
        ],
    }
