# SPDX-License-Identifier: GPL-2.0-or-later
"""The weights of encoders over HTTP: jobs that bring, recognise and check them, and a route to remove them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Literal

from fastapi import APIRouter

from ssl4eo.jobs import Lane
from ssl4eo.service.bodies import JobBody, PathText, Strict

if TYPE_CHECKING:
    from ssl4eo.jobs import Progress

__all__ = ["WeightsDownloadJob", "WeightsImportJob", "WeightsRecogniseJob", "WeightsVerifyJob", "make_weights_router"]


class DownloadParams(Strict):
    """Which encoder, and the address of a mirror that alone is asked."""

    encoder: str
    mirror: str | None = None


class ImportParams(Strict):
    """Which file, and whose weights it holds where it alone does not tell."""

    file: PathText
    encoder: str | None = None


class RecogniseParams(Strict):
    """Which file."""

    file: PathText


class VerifyParams(Strict):
    """Which encoder; all when left out."""

    encoder: str | None = None


class WeightsDownloadJob(JobBody):
    """The weights of an encoder come from the network."""

    lane: ClassVar[Lane] = "network"
    kind: Literal["weights_download"]
    params: DownloadParams

    def run(self, progress: Progress) -> dict[str, Any]:
        """Download, and return what `ssl4eo weights download --json` prints of one encoder."""
        from ssl4eo.encoders.cards import get_card
        from ssl4eo.encoders.weights.download import download

        return download(get_card(self.params.encoder), mirror=self.params.mirror, progress=progress)


class WeightsImportJob(JobBody):
    """A file that came by hand becomes the weights of an encoder."""

    lane: ClassVar[Lane] = "disk"
    kind: Literal["weights_import"]
    params: ImportParams

    def run(self, progress: Progress) -> dict[str, Any]:
        """Import, and return what `ssl4eo weights import --json` prints."""
        from ssl4eo.encoders.weights.importing import import_file

        return import_file(self.params.file, self.params.encoder, progress)


class WeightsRecogniseJob(JobBody):
    """A file that came by hand is looked at: whose weights may it hold."""

    lane: ClassVar[Lane] = "disk"
    kind: Literal["weights_recognise"]
    params: RecogniseParams

    def run(self, progress: Progress) -> dict[str, Any]:
        """Recognise, and return what `ssl4eo weights recognise --json` prints."""
        from ssl4eo.encoders.weights.recognise import recognise

        return {"matches": [match.to_dict() for match in recognise(self.params.file, progress)]}


class WeightsVerifyJob(JobBody):
    """The weights that are here are hashed again."""

    lane: ClassVar[Lane] = "disk"
    kind: Literal["weights_verify"]
    params: VerifyParams

    def run(self, progress: Progress) -> dict[str, Any]:
        """Check, and return what `ssl4eo weights verify --json` prints."""
        from ssl4eo.encoders.weights.upkeep import verify

        return verify(self.params.encoder, progress)


def make_weights_router() -> APIRouter:
    """Return the route that answers at once."""
    router = APIRouter(prefix="/weights")

    @router.delete("/{encoder}")
    def remove_weights(encoder: str) -> dict[str, Any]:
        """Delete the weights of an encoder from this computer."""
        from ssl4eo.encoders.weights.upkeep import remove

        return remove(encoder)

    return router
