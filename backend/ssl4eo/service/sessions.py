# SPDX-License-Identifier: GPL-2.0-or-later
"""The routes of the live map: open a session, send samples, ask for views.

They are plain functions, which FastAPI runs in its thread pool; jobs have threads of their own, and no view waits for
one. Views are raw bytes with a header: JSON would take longer than the map.
"""

from __future__ import annotations

import json
from contextlib import contextmanager
from functools import cache
from typing import TYPE_CHECKING, Annotated, Any, Literal

from fastapi import APIRouter, HTTPException, Query, Response
from pydantic import Field

from ssl4eo.errors import InputError
from ssl4eo.service.bodies import PathText, Strict

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from ssl4eo.labels.live import Registry

__all__ = ["VIEW_HEADER", "make_sessions_router"]

# What the bytes of a view are: bbox, width, height, revision and planes, in JSON.
VIEW_HEADER = "X-Ssl4eo-View"
# More samples than anybody clicks; a table of labels belongs into a file.
_MOST_SAMPLES = 20_000

# A coordinate beyond any map's, in any unit: what is larger overflows on the way to a pixel.
Coordinate = Annotated[float, Field(ge=-1e12, le=1e12)]
Edge = Annotated[float | None, Query(ge=-1e12, le=1e12)]


class OpenBody(Strict):
    """The body of `POST /sessions`."""

    features: PathText


class SampleBody(Strict):
    """A labelled place; `wkt` is in the CRS that is sent with it."""

    id: str
    class_: str = Field(alias="class")
    wkt: str


class SamplesBody(Strict):
    """The body of `PUT /sessions/{id}/samples`: the whole set; `classes` are names in the order of the class list."""

    crs: str = Field(min_length=1)
    samples: list[SampleBody] = Field(max_length=_MOST_SAMPLES)
    classes: list[str] = Field(default_factory=list, max_length=1000)
    head: str = "auto"
    balance: Literal["equal", "samples"] = "equal"


class ViewBody(Strict):
    """The body of `POST /sessions/{id}/view`; `bbox` is xmin, ymin, xmax, ymax in the scene's CRS."""

    layer: str = "classes"
    bbox: Annotated[list[float], Field(min_length=4, max_length=4)]
    width: int
    height: int
    revision: int | None = None
    none_beyond: float | None = None
    hidden: list[str] = Field(default_factory=list)
    class_: str | None = Field(default=None, alias="class")


class PlaceBody(Strict):
    """A place in the scene's CRS."""

    x: Coordinate
    y: Coordinate


def make_sessions_router() -> APIRouter:
    """Return the routes, with sessions of their own."""

    @cache
    def registry() -> Registry:
        # scikit-learn takes a second to import, and the service must answer at once.
        from ssl4eo.labels.live import Registry

        return Registry()

    router = APIRouter(prefix="/sessions")
    _add_sessions(router, registry)
    _add_map(router, registry)
    _add_guidance(router, registry)
    return router


def _add_sessions(router: APIRouter, registry: Callable[[], Registry]) -> None:
    @router.post("", status_code=201)
    def open_session(body: OpenBody) -> dict[str, Any]:
        """Open a session on a feature set."""
        with _told():
            name = registry().add(body.features)
            return _described(registry(), name)

    @router.get("/{session_id}")
    def session_state(session_id: str) -> dict[str, Any]:
        """Say what a session is opened on, and what was learnt from its last samples."""
        with _told():
            return _described(registry(), session_id)

    @router.delete("/{session_id}", status_code=204)
    def close_session(session_id: str) -> None:
        """Close a session."""
        with _told():
            registry().close(session_id)


def _add_map(router: APIRouter, registry: Callable[[], Registry]) -> None:
    @router.put("/{session_id}/samples")
    def put_samples(session_id: str, body: SamplesBody) -> dict[str, Any]:
        """Learn from a whole set of samples."""
        from ssl4eo.labels.live import Sample, Wish

        with _told():
            samples = tuple(Sample(sample.id, sample.class_, sample.wkt) for sample in body.samples)
            wish = Wish(body.crs, samples, tuple(body.classes), body.head, body.balance)
            return registry().get(session_id).set_samples(wish)

    @router.post("/{session_id}/view", response_class=Response)
    def view(session_id: str, body: ViewBody) -> Response:
        """Draw a box of the map: planes of bytes one after the other, described in a header."""
        with _told():
            found = (
                registry()
                .get(session_id)
                .view(
                    body.layer,
                    body.bbox,
                    body.width,
                    body.height,
                    revision=body.revision,
                    none_beyond=body.none_beyond,
                    hidden=body.hidden,
                    name=body.class_,
                )
            )
        about = {
            "bbox": found.bbox,
            "width": body.width,
            "height": body.height,
            "revision": found.revision,
            "planes": [{"name": name, "dtype": str(plane.dtype)} for name, plane in found.planes],
        }
        content = b"".join(plane.tobytes() for _, plane in found.planes)
        return Response(content, media_type="application/octet-stream", headers={VIEW_HEADER: json.dumps(about)})

    @router.post("/{session_id}/probe")
    def probe(session_id: str, body: PlaceBody) -> dict[str, Any]:
        """Say what the map holds under a place."""
        with _told():
            return registry().get(session_id).probe(body.x, body.y)


def _add_guidance(router: APIRouter, registry: Callable[[], Registry]) -> None:
    @router.get("/{session_id}/suggestions")
    def suggestions(
        session_id: str,
        count: int = 5,
        xmin: Edge = None,
        ymin: Edge = None,
        xmax: Edge = None,
        ymax: Edge = None,
    ) -> dict[str, Any]:
        """Say where the next sample helps most, in a box of the scene's CRS or in all of the scene."""
        edges = [edge for edge in (xmin, ymin, xmax, ymax) if edge is not None]
        if len(edges) not in (0, 4):
            raise InputError(
                f"A box has four edges, and {len(edges)} are given; send xmin, ymin, xmax and ymax, or none."
            )
        with _told():
            box = (edges[0], edges[1], edges[2], edges[3]) if edges else None
            return registry().get(session_id).suggestions(count, box)

    @router.post("/{session_id}/grow")
    def grow(session_id: str, body: PlaceBody) -> dict[str, Any]:
        """Return the patch of pixels like the one under a place."""
        with _told():
            return registry().get(session_id).grow(body.x, body.y)


def _described(registry: Registry, name: str) -> dict[str, Any]:
    session = registry.get(name)
    learnt = session.learnt
    return {"id": name, **session.describe(), "revision": learnt.revision, "state": learnt.state or None}


@contextmanager
def _told() -> Iterator[None]:
    """Give what is wrong with a session or a view its status; other errors get theirs from the application."""
    from ssl4eo.labels.live import SessionGone, StaleView, UnknownSession, ViewError

    try:
        yield
    except (UnknownSession, SessionGone) as error:
        raise HTTPException(404, str(error)) from error
    except StaleView as error:
        raise HTTPException(409, str(error)) from error
    except ViewError as error:
        raise HTTPException(422, str(error)) from error
