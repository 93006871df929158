# SPDX-License-Identifier: GPL-2.0-or-later
"""What every test folder shares: where the repository is, and the real scenes beside it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def repository() -> Path:
    """The root of this checkout."""
    return REPOSITORY


@pytest.fixture(scope="session", autouse=True)
def _own_weights_folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Keep the tests from what the developer downloaded, and from writing beside it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SSL4EO_WEIGHTS", str(tmp_path_factory.mktemp("weights")))
        for name in ("SSL4EO_MIRROR", "HF_ENDPOINT"):
            patch.delenv(name, raising=False)
        yield


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real Sentinel scenes beside the repository; skips where it is absent."""
    folder = REPOSITORY.parent / "shared" / "data"
    if not folder.is_dir():
        pytest.skip(f"the real scenes are not here: {folder} does not exist")
    return folder


@pytest.fixture(scope="session")
def shared_parity() -> Path:
    """The folder of vectors that prove a checkpoint loader right; skips where it is absent."""
    folder = REPOSITORY.parent / "shared" / "parity"
    if not folder.is_dir():
        pytest.skip(f"the parity vectors are not here: {folder} does not exist")
    return folder
