# SPDX-License-Identifier: GPL-2.0-or-later
"""A scene may be as large as it likes: what an encode holds in memory does not grow with it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from encoder_files import random_encoders
from engine_files import PATCHES, texture
from scene_files import write_raster
from ssl4eo.bench.repeat import repeat_scene

_ENCODE = """
import os, sys
import pytest
from encoder_files import narrow_backbones
from ssl4eo.features import encode
from ssl4eo.features.engine import reader
import ssl4eo.features.engine.work, ssl4eo.encoders.encoder, sklearn.utils.extmath
# Pieces of rows as small beside this scene as they are beside a large one.
reader._PIECE = 200_000
narrow_backbones(pytest.MonkeyPatch())
for side in sys.argv[2:]:
    child = os.fork()
    if not child:
        # Each in a process of its own, which begins with what was loaded here.
        result = encode(f"{sys.argv[1]}/{side}.vrt", f"{sys.argv[1]}/{side}", encoder="dino-vits16-s2", mode="fast",
                        components=8, device="cpu", precision="fp32")
        print(result["peak_memory_mb"], flush=True)
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
"""


def test_memory_does_not_grow_with_the_scene(tmp_path: Path) -> None:
    source = write_raster(tmp_path / "s.tif", texture(448, 448), scale="0.0001", level="L1C")
    sides = (896, 1792)
    for side in sides:
        repeat_scene(source, tmp_path / f"{side}.vrt", side)
    with random_encoders(tmp_path / "encoders", (PATCHES,)):
        done = subprocess.run(
            [sys.executable, "-c", _ENCODE, str(tmp_path), *map(str, sides)],
            capture_output=True, text=True, check=False, cwd=Path(__file__).parent,
        )  # fmt: skip
    assert done.returncode == 0, done.stderr
    small, large = map(float, done.stdout.split())
    # The pixels of the larger scene alone take 167 MB, those of a row of windows 21 MB.
    assert large - small < 100
    assert large < 1500
