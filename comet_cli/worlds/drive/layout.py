"""What a road picture shows, before it has a look: the road, what stands along it, the light."""

from dataclasses import dataclass

import numpy as np

LANE_WIDTH = 3.3
PAVEMENT = 2.4
GRAVEL = 1.6

MARKS = ("dashed", "solid", "double")
VERGES = ("grass", "pavement", "gravel")
FIELDS = ("meadow", "wheat", "soil")
WEATHERS = ("clear", "cloudy", "overcast", "fog", "rain")
TIMES = ("morning", "noon", "sunset", "dusk")
TREES = ("broadleaf", "poplar", "conifer", "bush")
CARS = ("hatchback", "saloon", "van", "lorry")

CAR_COLOURS = {
    "red": (186, 32, 34),
    "blue": (36, 78, 168),
    "white": (226, 228, 230),
    "black": (38, 40, 46),
    "silver": (150, 156, 164),
    "green": (42, 116, 72),
    "yellow": (232, 182, 36),
}
WALL_COLOURS = {
    "white": (226, 222, 212),
    "cream": (222, 202, 158),
    "brick": (158, 84, 62),
    "grey": (156, 158, 160),
    "rose": (208, 150, 134),
    "blue": (138, 164, 188),
}
ROOF_COLOURS = {"tile": (150, 70, 50), "slate": (78, 82, 94), "brown": (104, 74, 56)}


@dataclass(frozen=True)
class Light:
    """The sun.

    Attributes:
        time: one of TIMES; it sets the sun's height, its colour, and the colours of the sky.
        azimuth: where the sun stands, in degrees within [0, 360): 0 ahead, 90 to the right.
        intensity: of all light; 1 is usual.
    """

    time: str
    azimuth: float
    intensity: float


@dataclass(frozen=True)
class Tree:
    """A tree or bush, at `distance` metres along the road and `lateral` to the right of it."""

    kind: str
    distance: float
    lateral: float
    height: float
    hue: float


@dataclass(frozen=True)
class House:
    """A house with a gabled roof; `floors` are 2.8 metres each, `length` runs along the road."""

    distance: float
    lateral: float
    length: float
    depth: float
    floors: int
    gable: bool
    wall: str
    roof: str


@dataclass(frozen=True)
class Car:
    """A car; lanes count from the left, from 0; -1 and the number of lanes are the verges."""

    kind: str
    colour: str
    lane: int
    distance: float
    oncoming: bool


@dataclass(frozen=True)
class Road:
    """The road under the camera.

    Attributes:
        curve: curvature in 1/m, positive to the right.
        lanes: their number; the left `lanes // 2` are oncoming.
        lane: the camera's, from the left.
        offset: metres of the camera to the right of its lane's middle.
        phase: where dashes begin, in metres.
        marks: one of MARKS, the line between the directions.
        verge: one of VERGES.
        field: one of FIELDS, what lies beyond.
    """

    curve: float
    lanes: int
    lane: int
    offset: float
    phase: float
    marks: str
    verge: str
    field: str

    @property
    def half(self) -> float:
        """Half the road's width."""
        return self.lanes * LANE_WIDTH / 2

    @property
    def middle(self) -> float:
        """Where the directions part, to the right of the road's centre line."""
        return self.lanes // 2 * LANE_WIDTH - self.half

    @property
    def eye(self) -> float:
        """Where the camera is, to the right of the road's centre line."""
        return self.lane_middle(self.lane) + self.offset

    def lane_middle(self, lane: int) -> float:
        """The middle of a lane; cars that are parked on a verge touch the road's border."""
        if lane < 0:
            return -self.half - 1.0
        return self.half + 1.0 if lane >= self.lanes else (lane + 0.5) * LANE_WIDTH - self.half

    def place(self, distance: float, lateral: float) -> tuple[float, float, float]:
        """Where a point of the road is: x to the right, z ahead, and the road's heading there.

        The centre line is a parabola, x = curve z² / 2, as roads are near the camera.
        """
        heading = float(np.arctan(self.curve * distance))
        x = self.curve * distance**2 / 2 - self.eye + lateral * np.cos(heading)
        return float(x), float(distance - lateral * np.sin(heading)), heading

    def coordinates(self, x: np.ndarray, z: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The inverse, close to the road: distance along it, and lateral place."""
        slope = self.curve * z
        lateral = (x + self.eye - slope * z / 2) / np.sqrt(1 + slope * slope)
        return z * (1 + slope * slope / 6), lateral


@dataclass(frozen=True)
class Layout:
    """A picture without a look.

    Attributes:
        road: the road.
        weather: one of WEATHERS.
        light: the sun.
        hills: their height above the horizon, in heights of the picture.
        trees: in any order, like houses and cars.
        houses: those in front of the camera.
        cars: other cars.
        details: a number from which skyline, clouds, textures, rain and noise are drawn.
    """

    road: Road
    weather: str
    light: Light
    hills: float
    trees: tuple[Tree, ...]
    houses: tuple[House, ...]
    cars: tuple[Car, ...]
    details: int
