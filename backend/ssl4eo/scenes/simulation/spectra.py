# SPDX-License-Identifier: GPL-2.0-or-later
"""What the simulated land covers look like to Sentinel-2: mean and spread of top-of-atmosphere reflectance.

The figures are statistics of real Sentinel-2 Level-1C pixels of the published, labelled data set EuroSAT
(P. Helber, B. Bischke, A. Dengel, D. Borth, "EuroSAT: A Novel Dataset and Deep Learning Benchmark for Land Use and
Land Cover Classification", IEEE JSTARS 12(7), 2019, doi:10.1109/JSTARS.2019.2918242; contains modified Copernicus
Sentinel data). They were computed over 100 of its 27000 patches, the ten per class in wherobots/GeoTorchAI@d2a6c39,
so they are representative values, not the means of the whole data set. `source` is the EuroSAT class, `rule` says
which of its pixels were taken, with NDVI = (B08 - B04) / (B08 + B04) and bands in DN = reflectance * 10000;
tests/unit/test_simulate_spectra.py computes the table again. Being top-of-atmosphere values, they hold the path
radiance of the atmosphere, which is why B01 and B02 are bright over dark forest and water.
The names of the covers are ours: EuroSAT does not tell crops, tree species or roof materials apart.
"""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["CLASSES", "CLASS_COLOURS", "COVERS", "Cover"]

CLASSES = {
    1: "crop field", 2: "bare field", 3: "meadow", 4: "forest", 5: "water", 6: "settlement", 7: "road",
}  # fmt: skip
# Red, green, blue; chosen to be told apart and to say what they mean.
CLASS_COLOURS = {
    1: (235, 195, 70), 2: (170, 115, 60), 3: (150, 210, 90), 4: (30, 110, 50),
    5: (50, 110, 200), 6: (200, 60, 60), 7: (70, 70, 70),
}  # fmt: skip

# Shares of the variance within a cover that go from parcel to parcel, over kilometres (turbidity of a lake), over a
# hundred metres (moisture, soil depth), and from pixel to pixel (crowns, roofs). The table mixes places and dates all
# over Europe; what is missing to 1 lies between them and not within a scene. Judged by eye against real scenes.
_FARMED, _GROWN = (0.4, 0.05, 0.15, 0.05), (0.2, 0.05, 0.05, 0.35)
_WATER, _BUILT = (0, 0.3, 0.01, 0.01), (0, 0.1, 0.2, 0.5)


@dataclass(frozen=True)
class Cover:
    """One land cover; `mean` and `spread` (standard deviation) in DN, in the order of S2_BANDS."""

    name: str
    source: str
    rule: str
    shares: tuple[float, float, float, float]
    mean: tuple[int, ...]
    spread: tuple[int, ...]


COVERS = (
    Cover(
        "bare soil", "AnnualCrop", "NDVI < 0.2", _FARMED,  # 9230 pixels
        (1495, 1436, 1501, 1921, 2069, 2401, 2709, 2640, 3053, 835, 15, 3438, 2544),
        (164, 264, 359, 606, 673, 800, 933, 942, 1107, 348, 3, 670, 519),
    ),
    Cover(
        "stubble", "AnnualCrop", "0.2 <= NDVI < 0.35", _FARMED,  # 6285 pixels
        (1418, 1345, 1429, 1850, 2113, 2662, 3070, 3029, 3530, 1004, 15, 3203, 2045),
        (155, 240, 338, 648, 702, 766, 892, 919, 1075, 384, 3, 645, 435),
    ),
    Cover(
        "young crop", "AnnualCrop", "0.4 <= NDVI < 0.6", _FARMED,  # 2443 pixels
        (1352, 1166, 1234, 1125, 1579, 2998, 3598, 3419, 3878, 1183, 14, 2360, 1492),
        (139, 143, 208, 258, 326, 489, 569, 552, 600, 293, 2, 387, 330),
    ),
    Cover(
        "full crop", "AnnualCrop", "0.75 <= NDVI", _FARMED,  # 14601 pixels
        (1129, 852, 840, 477, 967, 3237, 4447, 4347, 4725, 1406, 12, 1271, 549),
        (82, 80, 153, 84, 238, 616, 570, 574, 557, 488, 2, 264, 141),
    ),
    Cover(
        "meadow", "Pasture", "0.5 <= NDVI", _FARMED,  # 37102 pixels
        (1206, 930, 900, 595, 1144, 2868, 3539, 3528, 3932, 1314, 13, 1918, 896),
        (161, 132, 115, 157, 176, 441, 632, 703, 660, 406, 2, 408, 242),
    ),
    Cover(
        "dark forest", "Forest", "B08 < 2300", _GROWN,  # 12996 pixels, as conifers are
        (1168, 847, 667, 434, 671, 1614, 2047, 1875, 2318, 520, 8, 1073, 461),
        (27, 36, 58, 71, 130, 203, 282, 269, 353, 194, 1, 242, 141),
    ),
    Cover(
        "bright forest", "Forest", "3000 <= B08", _GROWN,  # 13027 pixels, as broadleaved trees in summer are
        (1108, 809, 699, 403, 763, 2491, 3319, 3364, 3749, 896, 9, 1565, 590),
        (89, 71, 60, 58, 92, 186, 272, 282, 329, 260, 1, 134, 58),
    ),
    Cover(
        "lake", "SeaLake", "NDVI < -0.1", _WATER,  # 32835 pixels
        (1229, 951, 746, 517, 477, 363, 355, 289, 266, 85, 8, 66, 42),
        (191, 221, 294, 297, 302, 214, 224, 189, 176, 34, 2, 51, 44),
    ),
    Cover(
        "river", "River", "NDVI < -0.1", _WATER,  # 5807 pixels
        (1214, 949, 802, 517, 466, 420, 440, 329, 383, 214, 9, 181, 102),
        (59, 117, 190, 101, 93, 125, 157, 59, 173, 104, 2, 113, 60),
    ),
    Cover(
        "roof", "Residential", "NDVI < 0.2", _BUILT,  # 4492 pixels, mixed with what lies around the houses
        (1481, 1364, 1247, 1293, 1303, 1740, 1951, 1701, 2068, 631, 11, 1916, 1488),
        (118, 335, 412, 532, 415, 480, 524, 652, 558, 367, 4, 696, 635),
    ),
    Cover(
        "hall", "Industrial", "NDVI < 0.1, 2000 <= B04", _BUILT,  # 5436 pixels
        (2145, 2650, 2719, 2955, 2705, 2952, 3130, 3084, 3216, 705, 13, 3092, 2585),
        (344, 664, 736, 859, 804, 810, 863, 921, 914, 179, 2, 1149, 1271),
    ),
    Cover(
        "sealed", "Industrial", "NDVI < 0.1, B04 < 1200", _BUILT,  # 4272 pixels
        (1545, 1203, 1006, 943, 1066, 1224, 1313, 1045, 1357, 502, 11, 1395, 1158),
        (133, 129, 145, 177, 193, 234, 264, 213, 288, 172, 2, 287, 263),
    ),
    Cover(
        "garden", "Residential", "0.55 <= NDVI", _BUILT,  # 14265 pixels
        (1298, 944, 859, 598, 1064, 2346, 2852, 2922, 3145, 953, 13, 1777, 968),
        (91, 78, 119, 121, 204, 449, 569, 628, 628, 367, 5, 360, 270),
    ),
    Cover(
        "road", "Highway", "NDVI < 0.15, B11 < 2000", _BUILT,  # 1974 pixels
        (1486, 1367, 1202, 1167, 1151, 1483, 1655, 1360, 1740, 389, 10, 1464, 1038),
        (127, 188, 215, 254, 158, 213, 254, 276, 291, 163, 2, 202, 156),
    ),
)  # fmt: skip
