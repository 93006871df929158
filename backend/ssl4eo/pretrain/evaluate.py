# SPDX-License-Identifier: GPL-2.0-or-later
"""Few-shot scores of a frozen encoder on labelled patches, beside random weights and plain band statistics.

The read-out is the same for the encoder and for random weights of the same network, both in inference mode. Random
weights are as timm draws them: BatchNorm passes values through, and the last one of each block starts at 0, so that
only the shortcuts of the blocks act.

- `pooled`: the mean over the last level. `levels`: the means over every level, side by side. `bands`: mean and
  standard deviation of each band's reflectance. `A + B`: both side by side.
- Each block (a level, or the band statistics) is z-scored per column over all patches, labels unseen, and divided by
  the square root of its width, so that every block weighs the same whatever its width.
- kNN: k = min(5, shots), Euclidean, votes weighted by inverse distance. Logistic: multinomial, L2 with C = 100, which
  leaves the few, separable samples nearly unregularised.
- A draw takes `shots` patches of every class for training and tests on all others; every feature set sees the same
  draws.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray

from ssl4eo.encoders.architecture import build_network
from ssl4eo.encoders.encoder import Encoder, load_checkpoint, load_encoder
from ssl4eo.errors import InputError
from ssl4eo.jobs import Progress, no_progress, part
from ssl4eo.pretrain.datasets import read_reflectance

if TYPE_CHECKING:
    from sklearn.base import ClassifierMixin

__all__ = ["evaluate_patches"]

_NEIGHBOURS = 5
_C = 100.0
_RANDOM_SEEDS = 5
_SUFFIXES = (".tif", ".tiff")
# Columns that are constant over the patches stay zero instead of being divided by nothing.
_TINY = 1e-8

_Array = NDArray[np.float64]
# Accuracy per draw, by (features, head, shots).
_Scores = dict[tuple[str, str, int], _Array]


def evaluate_patches(
    folder: str | Path,
    encoder: str | Path | Encoder,
    *,
    shots: Sequence[int] = (1, 5),
    draws: int = 20,
    seed: int = 0,
    bands: Sequence[str] | None = None,
    progress: Progress = no_progress,
) -> dict[str, Any]:
    """Score an encoder on a folder with one sub-folder of image patches per class.

    Args:
        folder: sub-folders named after the classes, 13-band Level-1C GeoTIFFs in them (the layout of EuroSAT).
        encoder: the id of a card, a file of weights, or a loaded encoder.
        shots: training patches per class.
        draws: random draws of training patches for each number of shots.
        seed: of the draws.
        bands: canonical names in the order of the files, where the files do not name their bands (EuroSAT: B8A last).
        progress: told as the patches are read and the draws are scored.

    Returns:
        `{"scores": [{"features", "head", "shots", "mean", "sd"}...], "against_random": [...], ...}`; `sd` is over
        draws (and random networks). `against_random` is the difference to the mean of the random networks on the
        same draw, with `wins`, the share of draws in which it is positive.

    Raises:
        InputError: for a folder without such patches, too few patches in a class, or counts that make no sense.
    """
    if draws < 2 or min(shots, default=0) < 1 or seed < 0:
        raise InputError(f"{draws} draws of {list(shots)} shots make no score; give at least 2 draws and 1 shot.")
    loaded = encoder if isinstance(encoder, Encoder) else _load(encoder)
    files = _list_patches(Path(folder), max(shots))
    classes = sorted(files)
    labels = np.repeat(np.arange(len(classes)), [len(files[name]) for name in classes])
    nets = [loaded, *(_random_like(loaded, number) for number in range(_RANDOM_SEEDS))]
    paths = [path for name in classes for path in files[name]]
    blocks, statistics = _describe(paths, nets, bands, part(progress, 0, 0.4))
    plans = {count: [_split(labels, count, (seed, count, draw)) for draw in range(draws)] for count in shots}
    sets = [{"bands": [statistics]}, *(_feature_sets(levels, statistics) for levels in blocks)]
    scores: list[_Scores] = []
    for i, one in enumerate(sets):
        progress(0.4 + 0.6 * i / len(sets), "Scoring")
        scores.append(_score(one, labels, plans))
    return {
        "folder": str(folder),
        "encoder": loaded.card.id,
        "weights_sha256": loaded.weights_sha256,
        "patches": len(paths),
        "classes": classes,
        "draws": draws,
        "seed": seed,
        "random_networks": _RANDOM_SEEDS,
        **_summary(scores[0], scores[1], scores[2:]),
    }


def _load(encoder: str | Path) -> Encoder:
    if isinstance(encoder, Path) or Path(encoder).suffix == ".pth":
        return load_checkpoint(encoder)
    return load_encoder(encoder, precision="fp32")


def _random_like(encoder: Encoder, seed: int) -> Encoder:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        network = build_network(encoder.card.backbone, len(encoder.card.bands))
    return Encoder(encoder.card, network, str(encoder.device))


def _list_patches(folder: Path, shots: int) -> dict[str, list[Path]]:
    if not folder.is_dir():
        raise InputError(f"{folder} is not a folder; name the one that holds a folder of patches per class.")
    files = {
        sub.name: sorted(path for path in sub.iterdir() if path.suffix.lower() in _SUFFIXES)
        for sub in sorted(folder.iterdir())
        if sub.is_dir()
    }
    files = {name: paths for name, paths in files.items() if paths}
    if len(files) < 2:
        raise InputError(f"{folder} has {len(files)} folders with GeoTIFF patches; at least 2 classes are needed.")
    name = min(files, key=lambda key: len(files[key]))
    if len(files[name]) <= shots:
        raise InputError(
            f"The class {name} has {len(files[name])} patches; {shots} shots need at least {shots + 1}, "
            "so give fewer shots or more patches."
        )
    return files


def _describe(
    paths: Sequence[Path], nets: Sequence[Encoder], bands: Sequence[str] | None, progress: Progress
) -> tuple[list[list[_Array]], _Array]:
    """Return per network the mean of each level (N, C_l), and the band statistics (N, 26)."""
    means: list[list[list[_Array]]] = [[] for _ in nets]
    statistics = []
    for i, path in enumerate(paths):
        progress(i / len(paths), f"Reading patch {i + 1} of {len(paths)}")
        reflectance = read_reflectance(path, bands)
        statistics.append(np.concatenate([reflectance.mean((1, 2)), reflectance.std((1, 2))]).astype(np.float64))
        for rows, net in zip(means, nets, strict=True):
            levels = net.pyramid(net.normalise(torch.from_numpy(reflectance)[None]))
            rows.append([level.mean((2, 3))[0].double().cpu().numpy() for _, level in levels])
    return [[np.stack(level) for level in zip(*rows, strict=True)] for rows in means], np.stack(statistics)


def _feature_sets(levels: list[_Array], statistics: _Array) -> dict[str, list[_Array]]:
    return {
        "pooled": [levels[-1]],
        "levels": levels,
        "pooled + bands": [levels[-1], statistics],
        "levels + bands": [*levels, statistics],
    }


def _split(labels: NDArray[np.int64], shots: int, seed: tuple[int, ...]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    rng = np.random.default_rng(seed)
    train = np.concatenate(
        [rng.choice(np.flatnonzero(labels == label), shots, replace=False) for label in np.unique(labels)]
    )
    return train, np.setdiff1d(np.arange(labels.size), train)


def _score(
    sets: dict[str, list[_Array]],
    labels: NDArray[np.int64],
    plans: dict[int, list[tuple[NDArray[np.int64], NDArray[np.int64]]]],
) -> _Scores:
    from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

    scores: _Scores = {}
    for name, blocks in sets.items():
        features = np.concatenate([_standardise(block) for block in blocks], axis=1)
        for shots, splits in plans.items():
            for head, make in (("knn", _knn), ("logistic", _logistic)):
                # The fits are so small that threads would only wait for each other.
                with threadpool_limits(1):
                    scores[name, head, shots] = np.array(
                        [
                            make(shots).fit(features[train], labels[train]).score(features[test], labels[test])
                            for train, test in splits
                        ]
                    )
    return scores


def _standardise(block: _Array) -> _Array:
    """Give every column mean 0 and sd 1, and the block a mean squared length of 1."""
    deviation = block - block.mean(axis=0)
    spread = deviation.std(axis=0)
    return np.asarray(deviation / np.where(spread > _TINY, spread, 1) / np.sqrt(block.shape[1]))


def _knn(shots: int) -> ClassifierMixin:
    from sklearn.neighbors import KNeighborsClassifier

    return KNeighborsClassifier(min(_NEIGHBOURS, shots), weights="distance")


def _logistic(shots: int) -> ClassifierMixin:  # noqa: ARG001 - the same for any number of shots
    from sklearn.linear_model import LogisticRegression

    return LogisticRegression(C=_C, max_iter=2000)


def _summary(bands: _Scores, encoder: _Scores, random: Sequence[_Scores]) -> dict[str, Any]:
    chance = {key: np.stack([one[key] for one in random]) for key in encoder}
    rows = [_row(("bands", *key[1:]), values) for key, values in bands.items()]
    rows += [_row((f"encoder {key[0]}", *key[1:]), values) for key, values in encoder.items()]
    rows += [_row((f"random {key[0]}", *key[1:]), values) for key, values in chance.items()]
    against = []
    for key, values in encoder.items():
        difference = values - chance[key].mean(axis=0)
        against.append({**_row(key, difference), "wins": round(float((difference > 0).mean()), 4)})
    return {"scores": rows, "against_random": against}


def _row(key: tuple[str, str, int], values: _Array) -> dict[str, Any]:
    features, head, shots = key
    spread = float(values.std(axis=-1, ddof=1).mean())
    return {
        "features": features,
        "head": head,
        "shots": shots,
        "mean": round(float(values.mean()), 4),
        "sd": round(spread, 4),
    }
