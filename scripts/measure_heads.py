# SPDX-License-Identifier: GPL-2.0-or-later
"""Few samples per class, many draws: heads and levels compared on real scenes, as in docs/few-shot-heads.md.

    OMP_NUM_THREADS=1 .venv/bin/python scripts/measure_heads.py ../shared/data build/heads [--random] [--scenes NAME]

The scenes are not part of this repository; docs/few-shot-heads.md says which they are.
"""

from __future__ import annotations

import argparse
import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyogrio
import rasterio
import rasterio.features
import shapely
from rasterio.warp import transform_geom
from ssl4eo.bands import S2_BANDS
from ssl4eo.features import FeatureSet, encode
from ssl4eo.labels.heads.linear import RIDGE, Moments, fit_lda, to_levels
from ssl4eo.labels.heads.selection import fit_head
from ssl4eo.labels.training import Training, level_scalings

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray
    from ssl4eo.labels.heads.linear import LinearHead
    from ssl4eo.labels.training import LevelScaling

SHOTS = (2, 5, 10)
# Test pixels per polygon, and pixels per polygon to draw from.
_TEST_PIXELS, _POOL = 5, 30
_NAMED = dict(enumerate(S2_BANDS, start=1))


@dataclasses.dataclass(frozen=True)
class Source:
    """A scene with labels: polygons with a class field, or a label raster cut into squares of `side` pixels."""

    scene: str
    labels: str
    field: str = ""
    side: int = 0
    classes: tuple[int, ...] = ()
    options: dict[str, Any] = dataclasses.field(default_factory=dict)


def _terramesh(tile: str, offset: float, *classes: int) -> Source:
    options = {"bands": _NAMED, "scale": 1e-4, "offset": offset}
    return Source(f"terramesh/S2L1C/{tile}.tif", f"terramesh/LULC/{tile}.tif", "", 12, classes, options)


SOURCES = {
    "havel": Source("havel_l1c/s2l1c_13band_10m.tif", "havel_l1c/osm_landuse.gpkg", "fclass"),
    "aberystwyth": Source("aberystwyth/s2_10band_mosaic.tif", "aberystwyth/training_polygons.gpkg", "class"),
    "spain": Source(
        "sen1floods11/Spain_7370579_S2Hand.tif", "sen1floods11/Spain_7370579_LabelHand.tif", "", 32, (0, 1),
        {"bands": _NAMED, "scale": 1e-4, "offset": 0.0},
    ),
    "terramesh-433D": _terramesh("433D_629L_3_1", -0.1, 1, 2, 4, 5, 9),
    "terramesh-637U": _terramesh("637U_59R_1_3", 0.0, 2, 4, 5, 9),
    "terramesh-282D": _terramesh("282D_485L_3_3", -0.1, 1, 2, 6, 9),
}  # fmt: skip


@dataclasses.dataclass(frozen=True)
class Pool:
    """Labelled pixels: features per level (N, C), class codes, polygon numbers and (N, 2) places.

    The first `base` levels are the pixels and their surroundings.
    """

    features: list[NDArray[np.float64]]
    labels: NDArray[np.intp]
    polygons: NDArray[np.intp]
    places: NDArray[np.float64]
    scalings: list[LevelScaling]
    strides: list[int]
    base: int


def use_random_weights() -> None:
    """Let `encode` use the bundled network as it is before training."""
    import torch
    from ssl4eo.encoders import encoder as module
    from ssl4eo.encoders.cards import get_card
    from timm.models.resnet import BasicBlock, ResNet

    def load(encoder_id: str, device: str = "auto", precision: str = "auto") -> module.Encoder:
        torch.manual_seed(0)
        network = ResNet(BasicBlock, (2, 2, 2, 2), channels=(32, 64, 128, 256), in_chans=13, num_classes=0)
        return module.Encoder(get_card(encoder_id), network, device, precision)

    module.load_encoder = load


def labelled_polygons(source: Source, data: Path, grid: Any) -> tuple[NDArray[np.intp], NDArray[np.intp], list[str]]:
    """Return (H, W) polygon numbers from 1, 0 where none; the class code of each polygon; the class names."""
    shape = (grid.height, grid.width)
    if source.field:
        meta, _, wkb, (values,) = pyogrio.raw.read(data / source.labels, columns=[source.field])
        shapes = [
            (transform_geom(meta["crs"], grid.crs, shapely.geometry.mapping(geometry)), number)
            for number, geometry in enumerate(shapely.from_wkb(wkb), start=1)
        ]
        names = sorted(set(values))
        numbers = rasterio.features.rasterize(shapes, shape, transform=grid.transform, dtype="int32")
        return numbers, np.array([names.index(value) for value in values]), names
    with rasterio.open(data / source.labels) as dataset:
        codes = dataset.read(1)
    square = (np.arange(shape[0])[:, None] // source.side) * 1000 + np.arange(shape[1])[None] // source.side
    numbers, of_polygon = np.zeros(shape, np.intp), []
    for code, value in enumerate(source.classes):
        places, counts = np.unique(square[codes == value], return_counts=True)
        # A square counts as a polygon of each class that fills a sixth of it or more.
        for place in places[counts >= source.side**2 / 6]:
            of_polygon.append(code)
            numbers[(square == place) & (codes == value)] = len(of_polygon)
    return numbers, np.array(of_polygon), [str(value) for value in source.classes]


def read_pool(source: Source, data: Path, folder: Path) -> tuple[Pool, list[str]]:
    """Encode the scene, unless it is there, and read features at pixels of every polygon."""
    if not folder.exists():
        folder.parent.mkdir(parents=True, exist_ok=True)
        encode(data / source.scene, folder, device="cpu", precision="fp32", **source.options)
    features = FeatureSet.open(folder)
    numbers, of_polygon, names = labelled_polygons(source, data, features.grid)
    rng, chosen = np.random.default_rng(0), []
    for number in range(1, len(of_polygon) + 1):
        pixels = np.argwhere(numbers == number)[:, ::-1]
        chosen.append(pixels[rng.permutation(len(pixels))[:_POOL]])
    polygons = np.repeat(np.arange(len(of_polygon)), [len(pixels) for pixels in chosen])
    places = np.concatenate(chosen) + 0.5
    scalings = level_scalings(features)
    values = features.sample(*features.grid.xy(places[:, 0], places[:, 1]))
    kept = np.isfinite(values[0]).all(axis=1)
    scaled = [np.nan_to_num((v - s.mean) * s.gain)[kept] for v, s in zip(values, scalings, strict=True)]
    strides = [level.stride for level in features.levels]
    labels = of_polygon[polygons][kept]
    return Pool(scaled, labels, polygons[kept], places[kept], scalings, strides, features.base), names


def draws(pool: Pool, shots: int, count: int) -> Iterator[tuple[NDArray[np.intp], NDArray[np.intp]]]:
    """Yield indices of training and test pixels: of each class half of the polygons train, the others test."""
    for seed in range(count):
        rng = np.random.default_rng(seed)
        train: list[int] = []
        test: list[int] = []
        for code in np.unique(pool.labels):
            polygons = rng.permutation(np.unique(pool.polygons[pool.labels == code]))
            half = len(polygons) // 2
            drawn = [np.flatnonzero(pool.polygons == polygons[shot % half]) for shot in range(shots)]
            train.extend(rng.choice(pixels) for pixels in drawn)
            for polygon in polygons[half:]:
                test.extend(rng.permutation(np.flatnonzero(pool.polygons == polygon))[:_TEST_PIXELS])
        yield np.array(train), np.array(test)


def training_of(pool: Pool, rows: NDArray[np.intp], levels: int) -> Training:
    """Return single pixels as training samples, with the first `levels` levels."""
    ones = np.ones(len(rows))
    names = tuple(map(str, range(pool.labels.max() + 1)))
    features = tuple(values[rows] for values in pool.features[:levels])
    numbers = np.arange(len(rows))
    return Training(names, features, pool.labels[rows], numbers, ones, ones, pool.places[rows], (), pool.base)


def accuracy(pool: Pool, rows: NDArray[np.intp], head: LinearHead) -> float:
    """Return the balanced accuracy of a head whose scalings are 1 (the pool is scaled already)."""
    logits = head.bias + sum(
        pool.features[i][rows] @ w.T + head.shifts[i] for i, w in enumerate(head.weights) if w is not None
    )
    hit = logits.argmax(axis=1) == pool.labels[rows]
    return float(np.mean([hit[pool.labels[rows] == code].mean() for code in np.unique(pool.labels[rows])]))


def compare(pool: Pool, shots: int, count: int, *, logistic: bool) -> dict[str, NDArray[np.float64]]:
    """Return balanced accuracies per draw, by head and levels, and the chosen scales."""
    base = pool.base
    plain = [dataclasses.replace(s, mean=np.zeros(len(s.mean)), gain=np.ones(len(s.mean))) for s in pool.scalings]
    found: dict[str, list[float]] = {}
    for train, test in draws(pool, shots, count):
        every = training_of(pool, train, len(plain))
        alone = training_of(pool, train, base)
        x = np.concatenate(every.features, axis=1)
        present = np.bincount(every.labels, minlength=len(every.names)).astype(float)
        equal = fit_lda(Moments.of(x, every.labels, every.weights, present))
        heads = {
            "LDA, pixel levels": fit_head(alone, plain[:base], pool.strides[:base], "lda").head,
            "LDA, all levels alike": to_levels(equal, every.names, plain, np.ones(len(plain))),
        }
        weighed = fit_head(every, plain, pool.strides, "lda")
        heads["LDA, levels weighed"] = weighed.head
        if logistic:
            heads["logistic, pixel levels"] = fit_head(alone, plain[:base], pool.strides[:base], "logistic").head
            heads["logistic, levels weighed"] = fit_head(every, plain, pool.strides, "logistic").head
        for name, head in heads.items():
            found.setdefault(name, []).append(accuracy(pool, test, head))
        found.setdefault("scale", []).append(weighed.scales[-1])
    return {name: np.array(values) for name, values in found.items()}


def settings(pool: Pool, shots: int, count: int) -> dict[str, float]:
    """Return mean balanced accuracies of discriminant analysis by strength of the ridge and divisor of deep levels."""
    pixels, deep = pool.features[: pool.base], pool.features[pool.base :]
    deviations = [np.where(v.std(axis=0) > 1e-9, v.std(axis=0), np.inf) for v in deep]
    per_component = [v / (d * np.sqrt(len(d))) for v, d in zip(deep, deviations, strict=True)]
    stacks = {f"pixel levels, ridge {ridge:g}": (pixels, ridge) for ridge in (0.03, 0.1, 0.3, 1, 3)}
    stacks["deep, one divisor per level"] = (deep, RIDGE)
    stacks["deep, one per component"] = (per_component, RIDGE)
    found: dict[str, list[float]] = {name: [] for name in stacks}
    for train, test in draws(pool, shots, count):
        labels = pool.labels[train]
        present = np.bincount(labels).astype(float)
        for name, (levels, ridge) in stacks.items():
            x = np.concatenate(levels, axis=1)
            w, b = fit_lda(Moments.of(x[train], labels, np.ones(len(train)), present), ridge)
            hit = (x[test] @ w.T + b).argmax(axis=1) == pool.labels[test]
            found[name].append(np.mean([hit[pool.labels[test] == code].mean() for code in range(len(present))]))
    return {name: float(np.mean(values)) for name, values in found.items()}


def main() -> None:
    """Measure and print one table row per scene and number of samples."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("build", type=Path, help="where feature sets are kept")
    parser.add_argument("--scenes", nargs="+", choices=list(SOURCES), default=list(SOURCES))
    parser.add_argument("--draws", type=int, default=40)
    parser.add_argument("--random", action="store_true", help="random weights of the same network")
    parser.add_argument("--no-logistic", action="store_true", help="leave the slow head out")
    parser.add_argument("--settings", action="store_true", help="compare ridges and divisors instead")
    arguments = parser.parse_args()
    if arguments.random:
        use_random_weights()
    for scene in arguments.scenes:
        folder = arguments.build / f"{scene}{'-random' if arguments.random else ''}"
        pool, names = read_pool(SOURCES[scene], arguments.data, folder)
        for shots in SHOTS:
            if arguments.settings:
                print(scene, shots, {k: round(v, 3) for k, v in settings(pool, shots, arguments.draws).items()})
                continue
            found = compare(pool, shots, arguments.draws, logistic=not arguments.no_logistic)
            scales = found.pop("scale")
            base = found["LDA, pixel levels"]
            cells = [f"{base.mean():.3f}"]
            for values in list(found.values())[1:]:
                gain = values - base
                error = gain.std(ddof=1) / np.sqrt(len(gain))
                cells.append(f"{values.mean():.3f} ({100 * gain.mean():+.1f} ± {100 * error:.1f})")
            if shots == SHOTS[0]:
                print(f"| scene ({len(names)} classes) | samples | {' | '.join(found)} | deep levels used |")
            print(f"| {scene} | {shots} | {' | '.join(cells)} | {(scales > 0).mean():.0%} |", flush=True)


if __name__ == "__main__":
    main()
