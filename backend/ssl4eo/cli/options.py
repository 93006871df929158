# SPDX-License-Identifier: GPL-2.0-or-later
"""Values of options that hold more than one number or name, each wrong one answered with a sentence."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from typing import Any, TypeVar

import click

from ssl4eo.encoders.modes import MODES, STANDARD

__all__ = [
    "BANDS",
    "BAND_LIST",
    "BBOX",
    "COLOR",
    "COMPONENTS",
    "WINDOW",
    "device_options",
    "json_option",
    "quality_options",
    "scene_options",
]

_Function = TypeVar("_Function", bound=Callable[..., Any])


class _WindowType(click.ParamType[tuple[int, int, int, int]]):
    name = "col,row,w,h"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[int, int, int, int]:
        if isinstance(value, tuple):
            return value
        parts = [part.strip() for part in str(value).split(",")]
        if len(parts) != 4 or not all(re.fullmatch(r"[+-]?\d+", part) for part in parts):
            self.fail(f"{value!r} is not four whole numbers COL,ROW,W,H in pixels, such as 0,0,512,512.", param, ctx)
        return int(parts[0]), int(parts[1]), int(parts[2]), int(parts[3])


class _BboxType(click.ParamType[tuple[float, float, float, float]]):
    name = "xmin,ymin,xmax,ymax"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[float, float, float, float]:
        if isinstance(value, tuple):
            return value
        try:
            xmin, ymin, xmax, ymax = (float(part) for part in str(value).split(","))
        except ValueError:
            xmin = ymin = xmax = ymax = math.nan
        if not all(map(math.isfinite, (xmin, ymin, xmax, ymax))):
            self.fail(f"{value!r} is not four numbers XMIN,YMIN,XMAX,YMAX in the scene's CRS.", param, ctx)
        return xmin, ymin, xmax, ymax


class _BandsType(click.ParamType[dict[int, str]]):
    name = "1=b02,..."

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> dict[int, str]:
        from ssl4eo.bands import S1_BANDS, S2_BANDS, canonical_band

        if isinstance(value, dict):
            return value
        bands: dict[int, str] = {}
        for pair in str(value).split(","):
            number, equals, text = (part.strip() for part in pair.partition("="))
            if not equals or not re.fullmatch(r"[1-9]\d*", number):
                self.fail(f'{pair!r} is not NUMBER=NAME, counted from 1, as in "1=B02,2=B03".', param, ctx)
            name = canonical_band(text)
            if name is None:
                known = ", ".join((*S2_BANDS, *S1_BANDS))
                self.fail(f"{text!r} is not a band of Sentinel-2 or Sentinel-1; use one of {known}.", param, ctx)
            if int(number) in bands:
                self.fail(f"Band {number} is named twice; name each band once.", param, ctx)
            bands[int(number)] = name
        return bands


class _ColorType(click.ParamType[tuple[str, str]]):
    name = "class=#rrggbb"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, str]:
        if isinstance(value, tuple):
            return value
        label, equals, colour = str(value).rpartition("=")
        if not equals or not label.strip() or not re.fullmatch(r"#[0-9A-Fa-f]{6}", colour.strip()):
            self.fail(f'{value!r} is not CLASS=#RRGGBB, as in "forest=#1b7837".', param, ctx)
        return label.strip(), colour.strip()


class _BandListType(click.ParamType[tuple[str, ...]]):
    name = "b01,b02,..."

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, ...]:
        from ssl4eo.bands import S2_BANDS, canonical_band

        if isinstance(value, tuple):
            return value
        names = []
        for text in str(value).split(","):
            name = canonical_band(text)
            if name not in S2_BANDS:
                self.fail(f"{text!r} is not a Sentinel-2 band; use one of {', '.join(S2_BANDS)}.", param, ctx)
            names.append(name)
        return tuple(names)


class _ComponentsType(click.ParamType[int | str]):
    name = "n|full"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int | str:
        text = str(value).strip()
        if text == "full":
            return text
        if not re.fullmatch(r"0*[1-9]\d{0,8}", text):
            self.fail(f'{value!r} is not a whole number from 1 on, nor "full" for all channels.', param, ctx)
        return int(text)


WINDOW, BBOX, BANDS, BAND_LIST, COLOR = _WindowType(), _BboxType(), _BandsType(), _BandListType(), _ColorType()
COMPONENTS = _ComponentsType()

json_option = click.option("--json", "as_json", is_flag=True, help="Print one JSON object on standard output.")


def scene_options(function: _Function) -> _Function:
    """Add what overrules the file: --bands, --scale, --offset, --nodata, --level, --unit."""
    for option in (
        click.option("--unit", help="dn or reflectance; of radar db, linear or amplitude; overrules the file."),
        click.option("--level", help="L1C or L2A; of radar GRD or RTC; overrules the file."),
        click.option("--nodata", type=float, help='Stored value that means "no data"; overrules the file.'),
        click.option("--offset", type=float, help="Reflectance = (DN + OFFSET) * SCALE; overrules the file."),
        click.option("--scale", type=float, help="Such as 0.0001 for DN / 10000; overrules the file."),
        click.option("--bands", type=BANDS, help='Names of unnamed bands, counted from 1: "1=B02,2=B03,...".'),
    ):
        function = option(function)
    return function


def device_options(function: _Function) -> _Function:
    """Add where and how precisely the network runs."""
    for option in (
        click.option("--precision", default="auto", show_default=True, help="auto, fp32, bf16 or fp16."),
        click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda, cuda:N or mps."),
    ):
        function = option(function)
    return function


def quality_options(function: _Function) -> _Function:
    """Add how much work the network does and what is kept of it: --mode, --components, --projection, --reuse."""
    # 64 is what `encode` takes by itself; it stands here too because its module takes too long to import for a help.
    for option in (
        click.option("--reuse", is_flag=True, help="Also take a set beside OUT_DIR that was made of the same."),
        click.option(
            "--projection", metavar="SET", help="A feature set whose projection is taken, so that classifiers fit both."
        ),
        click.option(
            "--components", type=COMPONENTS, default=64, show_default=True, help='Per level; "full" for all channels.'
        ),
        click.option("--mode", default=STANDARD, show_default=True, help=f"{' or '.join(MODES)}; see `ssl4eo models`."),
    ):
        function = option(function)
    return function
