"""An event's poster, drawn from its slug: the same slug gives the same picture, for ever.

Pure functions over strings. The colours are the picture's own, so they are here and not among
the page's tokens.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Iterator, Sequence

SIZE = 480

# Ground first, then what is drawn on it, from loud to quiet.
PALETTES = (
    ("#0a3a32", "#ffb454", "#f6f3e9", "#e4572e", "#2f8f78"),
    ("#221b3f", "#ff6f91", "#ffd166", "#8e7dff", "#f4efff"),
    ("#f2e8d5", "#d1495b", "#1d3557", "#edae49", "#00798c"),
    ("#12263a", "#06bcc1", "#f4d1ae", "#c5d8d1", "#f45b69"),
    ("#f7d8ba", "#3a2e39", "#d96c06", "#1e555c", "#a11d33"),
    ("#3b0d1f", "#ff9f68", "#ffe2b8", "#d7263d", "#8f5a7c"),
    ("#dfe9e2", "#22577a", "#38a3a5", "#ff7b54", "#143642"),
    ("#102820", "#c9e265", "#f6f3e9", "#4c956c", "#ff8552"),
)


class Dice:
    """Numbers that look random and depend on a text alone."""

    def __init__(self, seed: str) -> None:
        self._numbers = self._stream(seed)

    def below(self, limit: int) -> int:
        return next(self._numbers) % limit

    def pick(self, choices: Sequence[str]) -> str:
        return choices[self.below(len(choices))]

    @staticmethod
    def _stream(seed: str) -> Iterator[int]:
        block = 0
        while True:
            yield from hashlib.sha256(f"{seed}/{block}".encode()).digest()
            block += 1


def draw_poster(kind: str, slug: str) -> str:
    """The SVG of an event's poster. `kind` (a category's slug) chooses the colours, `slug` the rest."""
    dice = Dice(slug)
    ground, *colours = _palette(kind, dice)
    motif = MOTIFS[dice.below(len(MOTIFS))]
    shapes = "".join(motif(dice, colours))
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {SIZE} {SIZE}" '
        f'preserveAspectRatio="xMidYMid slice">'
        f'<path fill="{ground}" d="M0 0h{SIZE}v{SIZE}H0z"/>{shapes}</svg>'
    )


def poster_ground(kind: str, slug: str) -> str:
    """The colour behind that poster, for what stands beside it."""
    return _palette(kind, Dice(slug))[0]


def _palette(kind: str, dice: Dice) -> tuple[str, ...]:
    palettes = Dice(f"palette:{kind}")
    # Two palettes for a kind, so that a page of one category is of one family and not of one colour.
    family = (palettes.below(len(PALETTES)), palettes.below(len(PALETTES)))
    return PALETTES[family[dice.below(2)]]


def _tiles(dice: Dice, colours: Sequence[str]) -> Iterator[str]:
    """Quarter circles, half circles and discs on a grid."""
    side = 120
    for x in range(0, SIZE, side):
        for y in range(0, SIZE, side):
            colour, shape = dice.pick(colours), dice.below(6)
            middle = f"{x + side // 2} {y + side // 2}"
            turn = f'transform="rotate({90 * dice.below(4)} {middle})"'
            if shape < 3:
                yield f'<path {turn} fill="{colour}" d="M{x} {y}h{side}a{side} {side} 0 0 1-{side} {side}z"/>'
            elif shape == 3:
                half = side // 2
                yield f'<path {turn} fill="{colour}" d="M{x} {y}h{side}a{half} {half} 0 0 1-{side} 0z"/>'
            elif shape == 4:
                yield f'<circle cx="{x + side // 2}" cy="{y + side // 2}" r="{side // 3}" fill="{colour}"/>'


def _rings(dice: Dice, colours: Sequence[str]) -> Iterator[str]:
    """Circles within circles, off the middle."""
    x, y = 100 + dice.below(280), 120 + dice.below(240)
    for number, radius in enumerate(range(400, 20, -44)):
        yield f'<circle cx="{x}" cy="{y}" r="{radius}" fill="{colours[number % len(colours)]}"/>'


def _bars(dice: Dice, colours: Sequence[str]) -> Iterator[str]:
    """The levels of a mixing desk."""
    width = 40
    for x in range(10, SIZE, width + 7):
        height = 70 + dice.below(330)
        top = (SIZE - height) // 2
        colour = dice.pick(colours)
        yield f'<rect x="{x}" y="{top}" width="{width}" height="{height}" rx="20" fill="{colour}"/>'


def _waves(dice: Dice, colours: Sequence[str]) -> Iterator[str]:
    """Layers of water, or of sound."""
    yield f'<circle cx="{120 + dice.below(240)}" cy="150" r="{60 + dice.below(50)}" fill="{colours[0]}"/>'
    swell, length = 20 + dice.below(34), 120 + 60 * dice.below(3)
    for number, level in enumerate(range(190, SIZE, 58)):
        shift = -dice.below(length)
        curve = f"q{length // 4} {-swell} {length // 2} 0t{length // 2} 0" * (2 * SIZE // length + 2)
        colour = colours[1:][number % (len(colours) - 1)]
        yield f'<path fill="{colour}" d="M{shift} {level}{curve}V{SIZE}H{shift}z"/>'


def _rays(dice: Dice, colours: Sequence[str]) -> Iterator[str]:
    """Light from one lamp."""
    x, y, count = 60 + dice.below(360), SIZE - dice.below(200), 20 + 2 * dice.below(6)
    step = 2 * math.pi / count
    for number in range(0, count, 2):
        ends = [(x + 900 * math.cos(a), y + 900 * math.sin(a)) for a in (number * step, (number + 1) * step)]
        points = " ".join(f"{px:.0f},{py:.0f}" for px, py in ends)
        yield f'<polygon points="{x},{y} {points}" fill="{colours[number // 2 % 2]}"/>'
    yield f'<circle cx="{x}" cy="{y}" r="{70 + dice.below(50)}" fill="{colours[2]}"/>'


def _dots(dice: Dice, colours: Sequence[str]) -> Iterator[str]:
    """A halftone that swells towards one corner."""
    across, down = dice.below(2), dice.below(2)
    yield f'<circle cx="{SIZE * across}" cy="{SIZE * down}" r="300" fill="{colours[3]}"/>'
    for x in range(24, SIZE, 48):
        for y in range(24, SIZE, 48):
            near = 1 - math.hypot(x - SIZE * across, y - SIZE * down) / (SIZE * 1.45)
            radius, colour = 3 + 20 * max(near, 0), colours[(x + y) // 48 % 2]
            yield f'<circle cx="{x}" cy="{y}" r="{radius:.1f}" fill="{colour}"/>'


def _seats(dice: Dice, colours: Sequence[str]) -> Iterator[str]:
    """Rows of a hall around its stage, a few of them taken."""
    yield f'<rect x="130" y="{SIZE - 50}" width="220" height="80" rx="30" fill="{colours[0]}"/>'
    for row in range(7):
        radius, count = 120 + 54 * row, 9 + 4 * row
        for place in range(count):
            angle = math.pi * (place + 0.5) / count
            x, y = SIZE / 2 - radius * math.cos(angle), SIZE + 20 - radius * math.sin(angle)
            colour = colours[0] if dice.below(5) == 0 else colours[1 + row % 2]
            yield f'<circle cx="{x:.0f}" cy="{y:.0f}" r="16" fill="{colour}"/>'


def _blocks(dice: Dice, colours: Sequence[str]) -> Iterator[str]:
    """Broad stripes aslant, cut by a disc."""
    turn = 25 + 10 * dice.below(12)
    stripes = "".join(
        f'<path fill="{dice.pick(colours)}" d="M-300 {y}h1100v{24 + dice.below(40)}h-1100z"/>'
        for y in range(-260, 760, 74)
    )
    yield f'<g transform="rotate({turn} 240 240)">{stripes}</g>'
    yield f'<circle cx="240" cy="240" r="{90 + dice.below(60)}" fill="{dice.pick(colours)}"/>'


MOTIFS: tuple[Callable[[Dice, Sequence[str]], Iterator[str]], ...] = (
    _tiles,
    _rings,
    _bars,
    _waves,
    _rays,
    _dots,
    _seats,
    _blocks,
)
