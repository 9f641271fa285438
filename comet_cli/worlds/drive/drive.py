"""Roads seen from a car in two looks, the counterpart of KITTI and Virtual KITTI."""

import dataclasses
import math
from abc import abstractmethod
from collections.abc import Iterable
from typing import Any

import numpy as np

from comet_cli.errors import UsageError
from comet_cli.worlds.drive import layout as drive_layout
from comet_cli.worlds.drive import real as drive_real
from comet_cli.worlds.drive import virtual as drive_virtual
from comet_cli.worlds.drive.layout import Car, House, Layout, Light, Road, Tree
from comet_cli.worlds.generator import Generator, Sample, check_object_range

CURVE = 0.02
OFFSET = 0.35
INTENSITY = (0.7, 1.3)
# Chances of the weathers and times, in their order: the sun shines on most pictures.
WEATHERS = (0.35, 0.3, 0.15, 0.1, 0.1)
TIMES = (0.3, 0.3, 0.25, 0.15)
HILLS = 0.07
DISTANCE = (9.0, 70.0)
MOST_CARS = 6
# Metres between cars of a lane, and between the places along the road where things stand.
GAP = 9.0
SLOT = 11.0
SLOTS = 11
# How much further from the road than others the trees behind houses stand.
BEHIND = 16.0
# Heights of trees in metres, least and greatest.
_HEIGHTS = {"broadleaf": (6, 11), "poplar": (8, 14), "conifer": (6, 12), "bush": (1.0, 2.2)}


class Drive(Generator):
    """Factors: the road, weather, light, trees, houses and cars.

    The mask numbers parts: 1 road, 2 lane marks, 3 land, 4 trees, 5 houses, 6 cars; the sky is 0.
    """

    version = 1
    default_size = 64

    def __init__(self, size: int | None = None, objects: tuple[int, int] = (1, 1)):
        """Check the settings.

        Args:
            size: picture size in pixels, 32..512 (default 64).
            objects: (1, 1), since there is always one road.

        Raises:
            UsageError: a size outside these bounds, or more than one object.
        """
        self.size = self.default_size if size is None else size
        self.objects = check_object_range(objects, most=1)
        if not 32 <= self.size <= 512:
            raise UsageError(
                f"--size is {self.size}, expected 32 to 512 pixels for a {self.name} picture"
            )

    @abstractmethod
    def render(self, layout: Layout) -> tuple[np.ndarray, np.ndarray]:
        """The picture (R, R, 3) uint8 and the mask (R, R) uint8 of a layout."""

    def sample(self, rng: np.random.Generator, split: str) -> Sample:
        """Draw a layout and render it; layouts are continuous, so splits differ by their seeds."""
        layout = draw_layout(rng)
        image, mask = self.render(layout)
        factors = dataclasses.asdict(layout)
        for name in ("trees", "houses", "cars"):
            factors[name] = list(factors[name])
        return Sample(image=image, mask=mask, factors=factors)


class DriveReal(Drive):
    """The look of a camera."""

    name = "drive-real"
    summary = "roads from a car, the look of a camera, 64x64, masks of parts"

    def render(self, layout: Layout) -> tuple[np.ndarray, np.ndarray]:
        """Render with textures, soft light, haze and noise."""
        return drive_real.render(layout, self.size)


class DriveVirtual(Drive):
    """The look of a game, of the layouts of `drive-real`."""

    name = "drive-virtual"
    summary = "the roads of drive-real, the look of a game, 64x64, masks of parts"

    def render(self, layout: Layout) -> tuple[np.ndarray, np.ndarray]:
        """Render with flat colours and hard shadows."""
        return drive_virtual.render(layout, self.size)


def draw_layout(rng: np.random.Generator) -> Layout:
    """A layout; road, weather and light are independent of each other."""
    lanes = int(rng.integers(2, 5))
    road = Road(
        curve=_number(rng, -CURVE, CURVE, 5),
        lanes=lanes,
        lane=int(rng.integers(lanes // 2, lanes)),
        offset=_number(rng, -OFFSET, OFFSET),
        phase=_number(rng, 0, 9),
        marks=_pick(rng, drive_layout.MARKS),
        verge=_pick(rng, drive_layout.VERGES),
        field=_pick(rng, drive_layout.FIELDS),
    )
    light = Light(
        time=_pick(rng, drive_layout.TIMES, TIMES),
        azimuth=_number(rng, 0, 360, 1) % 360,
        intensity=_number(rng, *INTENSITY),
    )
    weather = _pick(rng, drive_layout.WEATHERS, WEATHERS)
    hills = _number(rng, 0, HILLS, 4)
    houses: list[House] = []
    trees: list[Tree] = []
    for side in (-1, 1):
        built, wooded = rng.choice((0.0, 0.35, 0.8)), rng.choice((0.1, 0.5, 0.9))
        for slot in range(SLOTS):
            distance = round(7.0 + SLOT * slot + rng.uniform(-1.5, 1.5), 2)
            if slot and rng.random() < built:
                houses.append(_draw_house(rng, road, side, distance + 5))
            elif rng.random() < wooded:
                trees.append(_draw_tree(rng, road, side, distance, 0.0))
            if rng.random() < 0.6 * wooded:
                trees.append(_draw_tree(rng, road, side, distance, BEHIND))
    return Layout(
        road=road,
        weather=weather,
        light=light,
        hills=hills,
        trees=tuple(trees),
        houses=tuple(houses),
        cars=_draw_cars(rng, road),
        details=int(rng.integers(2**31)),
    )


def _number(rng: np.random.Generator, low: float, high: float, digits: int = 2) -> float:
    """A uniform number; what is recorded is exactly what is drawn."""
    return round(float(rng.uniform(low, high)), digits)


def _pick(rng: np.random.Generator, words: Iterable[str], chances: Any = None) -> str:
    """One of some words, with equal chances if none are given."""
    return str(rng.choice(list(words), p=chances))


def _draw_house(rng: np.random.Generator, road: Road, side: int, distance: float) -> House:
    depth = _number(rng, 7, 9)
    return House(
        distance=distance,
        lateral=round(side * (road.half + _number(rng, 3.2, 5.5) + depth / 2), 2),
        length=_number(rng, 7, 9.5),
        depth=depth,
        floors=int(rng.integers(1, 4)),
        gable=bool(rng.random() < 0.4),
        wall=_pick(rng, drive_layout.WALL_COLOURS),
        roof=_pick(rng, drive_layout.ROOF_COLOURS),
    )


def _draw_tree(
    rng: np.random.Generator, road: Road, side: int, distance: float, behind: float
) -> Tree:
    kind = _pick(rng, drive_layout.TREES)
    clear = 3.0 if kind == "broadleaf" else 1.9
    return Tree(
        kind=kind,
        distance=distance,
        lateral=round(side * (road.half + clear + behind + 6 * float(rng.random()) ** 2), 2),
        height=_number(rng, *_HEIGHTS[kind]),
        hue=_number(rng, 0, 1),
    )


def _draw_cars(rng: np.random.Generator, road: Road) -> tuple[Car, ...]:
    """Cars that leave each other room; they park where a verge is firm."""
    lanes = list(range(road.lanes))
    if road.verge != "grass":
        lanes += [-1, road.lanes]
    cars: list[Car] = []
    for _ in range(int(rng.integers(0, MOST_CARS + 1))):
        lane = lanes[rng.integers(len(lanes))]
        near, far = np.log(DISTANCE)
        distance = round(math.exp(rng.uniform(near, far)), 2)
        if all(car.lane != lane or abs(car.distance - distance) > GAP for car in cars):
            kind, colour = _pick(rng, drive_layout.CARS), _pick(rng, drive_layout.CAR_COLOURS)
            cars.append(Car(kind, colour, lane, distance, oncoming=lane < road.lanes // 2))
    return tuple(cars)
