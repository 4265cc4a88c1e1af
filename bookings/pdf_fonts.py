"""The fonts of a printed ticket: the site's own, and others for the letters that those have not."""

from __future__ import annotations

import re
import unicodedata
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from fontTools.ttLib import TTFont

if TYPE_CHECKING:
    from fpdf import FPDF

FOLDER = Path(__file__).parent / "fonts"
TEXT, HEADING = "text", "heading"
OWN = [
    (TEXT, "", "Figtree-Regular.ttf"),
    (TEXT, "B", "Figtree-Bold.ttf"),
    (HEADING, "B", "BricolageGrotesque-Bold.ttf"),
]
# From small to big: the last is opened only for letters that none before it has.
OTHERS = [
    ("greek-cyrillic", "NotoSans-Medium.ttf"),
    ("arabic", "NotoSansArabic-Medium.ttf"),
    ("hebrew", "NotoSansHebrew-Medium.ttf"),
    ("japanese", "NotoSansJP-Medium.ttf"),
]
BOX = "\N{WHITE SQUARE}"
LAST_LATIN = "\u024f"
# Marks that choose between forms of a letter, or steer its direction, and have no form of their own.
INVISIBLE = re.compile("[\u00ad\u200b\u200d-\u200f\u202a-\u202e\u2060-\u2069\ufe00-\ufe0f\ufeff]")
SPACES = re.compile(r"[\s\u00a0\u202f]+")


def printable(text: str) -> str:
    """One line of text as it can be set: composed letters, plain spaces, nothing that cannot be seen.

    A letter that no font has becomes an empty box.
    """
    composed = SPACES.sub(" ", unicodedata.normalize("NFC", text))
    seen = [
        letter for letter in INVISIBLE.sub("", composed) if not unicodedata.category(letter).startswith("C")
    ]
    unknown = _missing("".join(seen))
    for _family, file in OTHERS:
        # In this order, so that the big ones are looked into only for letters that are still missing.
        if unknown:
            unknown -= _letters(file)
    return "".join(BOX if ord(letter) in unknown else letter for letter in seen).strip()


def is_right_to_left(text: str) -> bool:
    """As the first letter with a direction says."""
    directions = (unicodedata.bidirectional(letter) for letter in text)
    return next((way != "L" for way in directions if way in {"L", "R", "AL"}), False)


def needs_shaping(text: str) -> bool:
    """Whether letters join, combine or change direction: whatever is not Latin, to be on the safe side."""
    return any(letter > LAST_LATIN and not unicodedata.category(letter).startswith("P") for letter in text)


def add_fonts(pdf: FPDF, texts: str) -> None:
    """Load the site's fonts, and those of the others that `texts` needs: a big one takes its time."""
    for family, style, file in OWN:
        pdf.add_font(family, style=style, fname=FOLDER / file)
    missing = _missing(texts)
    added = []
    for family, file in OTHERS:
        if not missing.isdisjoint(_letters(file)):
            pdf.add_font(family, fname=FOLDER / file)
            added.append(family)
            missing -= _letters(file)
    pdf.set_fallback_fonts(added, exact_match=False)


def _missing(text: str) -> set[int]:
    """The letters that one of the site's own fonts has not."""
    return {ord(letter) for letter in text}.difference(
        frozenset.intersection(*(_letters(file) for _family, _style, file in OWN))
    )


@cache
def _letters(file: str) -> frozenset[int]:
    with TTFont(FOLDER / file, lazy=True) as font:
        return frozenset(font.getBestCmap())
