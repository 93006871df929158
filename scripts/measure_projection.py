# SPDX-License-Identifier: GPL-2.0-or-later
"""What principal components, 8 bits and bf16 cost in few-shot accuracy. See docs/quality-modes.md.

    OMP_NUM_THREADS=1 .venv/bin/python scripts/measure_projection.py ../shared/data build/projection [--scenes NAME ...]

Accuracies are kept in the second folder, one file per scene; the tables are over all files there.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import numpy as np
from few_shot_scores import accuracies
from few_shot_sites import Level, levels_of, load_site, reduced, scaled
from measure_modes import collect, keep, parser_of, table
from ssl4eo.encoders import load_encoder
from ssl4eo.features.projection import fit_quantiser

if TYPE_CHECKING:
    from few_shot_sites import Site
    from numpy.typing import NDArray

FULL = "full"
_HEADS = {
    "deep": "Deep levels alone",
    "alike": "Pixels and deep levels alike",
    "weighed": "Pixels, deep levels weighed (the head of `classify`)",
}


def in_bytes(level: Level, shape: tuple[int, int]) -> Level:
    """Return a level as it comes back from 8 bits."""
    quantiser = fit_quantiser(level.cells(shape))
    steps = quantiser.apply(level.values).astype(np.float32)
    return dataclasses.replace(level, values=steps * quantiser.scale[:, None, None] + quantiser.offset[:, None, None])


def variants(plain: list[Level], half: list[Level], shape: tuple[int, int]) -> dict[str, list[Level]]:
    """Return the levels in each form, of features in fp32 and in bf16."""
    made = {FULL: plain}
    for components in (128, 64, 32, 16, 8):
        made[f"PCA {components}"] = [reduced(level, shape, components)[0] for level in plain]
    made["PCA 64, 8 bits"] = [in_bytes(level, shape) for level in made["PCA 64"]]
    made["full, 8 bits"] = [in_bytes(level, shape) for level in plain]
    made["bf16"] = half
    made["bf16, PCA 64, 8 bits"] = [in_bytes(reduced(level, shape, 64)[0], shape) for level in half]
    return made


def cosines(plain: NDArray[np.float32], half: NDArray[np.float32]) -> tuple[float, float]:
    """Return the mean cosine of features (n, C) in two precisions, as they are and with the first one's mean off."""
    plain, half = plain.astype(np.float64), half.astype(np.float64)
    mean = plain.mean(axis=0)
    found = []
    for off in (np.zeros_like(mean), mean):
        a, b = plain - off, half - off
        lengths = np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1)
        found.append(float(((a * b).sum(axis=1) / np.maximum(lengths, 1e-12)).mean()))
    return found[0], found[1]


def measure(site: Site, made: dict[str, list[Level]], count: int) -> dict[str, NDArray[np.float64]]:
    """Return accuracies (shots, count) under "VARIANT|HEAD"."""
    found = {}
    for name, levels in made.items():
        deep = [scaled(level, site) for level in levels]
        heads = accuracies(site, deep, max(level.stride for level in levels), count)
        found.update({f"{name}|{head}": values for head, values in heads.items()})
    return found


def facts(made: dict[str, list[Level]], shape: tuple[int, int]) -> dict[str, NDArray[np.float64]]:
    """Return per level the cosines of bf16 with fp32, and the share of the variance that components keep."""
    pairs = zip(made[FULL], made["bf16"], strict=True)

    def variance(level: Level) -> float:
        return float(level.cells(shape).astype(np.float64).var(axis=0).sum())

    shares = {
        f"{name}|share": np.array([variance(a) / variance(b) for a, b in zip(made[name], made[FULL], strict=True)])
        for name in ("PCA 64", "PCA 32", "PCA 16", "PCA 8")
    }
    return {"bf16|cosines": np.array([cosines(a.cells(shape), b.cells(shape)) for a, b in pairs]), **shares}


def main() -> None:
    """Measure what is not kept yet, and print the tables."""
    arguments = parser_of(__doc__.split("\n")[0]).parse_args()
    encoder, half = (load_encoder("moco-resnet18w32-s2", "cpu", precision) for precision in ("fp32", "bf16"))
    for scene in arguments.scenes:
        path = arguments.build / f"{scene}.npz"
        if not path.exists():
            site = load_site(scene, arguments.data, encoder)
            made = variants(levels_of(encoder, site.pixels), levels_of(half, site.pixels), site.shape)
            keep(path, {**measure(site, made, arguments.draws), **facts(made, site.shape)})
    found = collect(arguments.build)
    for head, title in _HEADS.items():
        print(f"\n{title}")
        table(found, head, FULL)
    for name in ("bf16|cosines", "PCA 64|share", "PCA 32|share", "PCA 16|share", "PCA 8|share"):
        print(f"\n{name}, per level, mean and least over scenes")
        values = np.stack([arrays[name] for arrays in found.values()])
        print(values.mean(axis=0).round(5).tolist(), values.min(axis=0).round(5).tolist())


if __name__ == "__main__":
    main()
