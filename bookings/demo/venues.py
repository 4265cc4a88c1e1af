"""The demonstration's venues: invented houses in real cities."""

from __future__ import annotations

from dataclasses import dataclass

from bookings.demo import layouts
from bookings.demo.layouts import Layout


@dataclass(frozen=True, kw_only=True)
class Place:
    """A city and what money is worth there: `rate` units of `currency` for a euro, in steps of `step`."""

    city: str
    country: str
    timezone: str
    currency: str = "EUR"
    rate: float = 1.0
    step: float = 0.5


@dataclass(frozen=True, kw_only=True)
class House:
    """A venue. `prices` gives each of its categories a share of the full price.

    `standing` is how many may stand, at the full price; a house without a layout has only that.
    """

    slug: str
    name: str
    address: str
    place: Place
    latitude: float
    longitude: float
    layout: Layout | None = None
    prices: dict[str, float]
    standing: int = 0


BERLIN = Place(city="Berlin", country="DE", timezone="Europe/Berlin")
HAMBURG = Place(city="Hamburg", country="DE", timezone="Europe/Berlin")
LEIPZIG = Place(city="Leipzig", country="DE", timezone="Europe/Berlin")
LONDON = Place(city="London", country="GB", timezone="Europe/London", currency="GBP", rate=0.95, step=0.5)
EDINBURGH = Place(
    city="Edinburgh", country="GB", timezone="Europe/London", currency="GBP", rate=0.8, step=0.5
)
PARIS = Place(city="Paris", country="FR", timezone="Europe/Paris", rate=1.1)
AMSTERDAM = Place(city="Amsterdam", country="NL", timezone="Europe/Amsterdam", rate=1.05)
VIENNA = Place(city="Vienna", country="AT", timezone="Europe/Vienna")
COPENHAGEN = Place(
    city="Copenhagen", country="DK", timezone="Europe/Copenhagen", currency="DKK", rate=8.5, step=5
)
LISBON = Place(city="Lisbon", country="PT", timezone="Europe/Lisbon", rate=0.75)
PRAGUE = Place(city="Prague", country="CZ", timezone="Europe/Prague", currency="CZK", rate=20, step=10)
ZURICH = Place(city="Zurich", country="CH", timezone="Europe/Zurich", currency="CHF", rate=1.5, step=1)
BARCELONA = Place(city="Barcelona", country="ES", timezone="Europe/Madrid", rate=0.9)
NEW_YORK = Place(city="New York", country="US", timezone="America/New_York", currency="USD", rate=1.6, step=1)
TOKYO = Place(city="Tokyo", country="JP", timezone="Asia/Tokyo", currency="JPY", rate=165, step=500)

PLAYHOUSE = {"Front stalls": 1.0, "Stalls": 0.82, "Circle": 0.66, "Balcony": 0.42}
SMALL_THEATRE = {"Front stalls": 1.0, "Stalls": 0.8, "Gallery": 0.55}
CONCERT_HALL = {"Front stalls": 1.0, "Stalls": 0.8, "Balcony": 0.6, "Choir": 0.4}
CABARET = {"Front tables": 1.0, "Tables": 0.75}

HOUSES = [
    House(
        slug="spreebogen-arena-berlin",
        name="Spreebogen Arena",
        address="Am Osthafenkai 12, 10243 Berlin",
        place=BERLIN,
        latitude=52.5031,
        longitude=13.4466,
        layout=layouts.arena,
        prices={
            "Lower ring": 1.25,
            "Lower ring, rear": 0.7,
            "Upper ring": 0.75,
            "Upper ring, rear": 0.5,
        },
        standing=6_008,
    ),
    House(
        slug="zur-laterne-berlin",
        name="Zur Laterne",
        address="Weserstraße 211, 12047 Berlin",
        place=BERLIN,
        latitude=52.4878,
        longitude=13.4325,
        prices={},
        standing=200,
    ),
    House(
        slug="kalkwerk-theater-berlin",
        name="Kalkwerk Theater",
        address="Gerichtstraße 90, 13347 Berlin",
        place=BERLIN,
        latitude=52.5463,
        longitude=13.3660,
        layout=layouts.small_theatre,
        prices=SMALL_THEATRE,
    ),
    House(
        slug="elbdock-halle-hamburg",
        name="Elbdock-Halle",
        address="Hellgrundweg 48, 22525 Hamburg",
        place=HAMBURG,
        latitude=53.5871,
        longitude=9.9043,
        layout=layouts.sports_hall,
        prices={"Ring": 1.0, "Ring, rear": 0.6},
    ),
    House(
        slug="lindensaal-leipzig",
        name="Lindensaal",
        address="Karl-Heine-Straße 140, 04229 Leipzig",
        place=LEIPZIG,
        latitude=51.3318,
        longitude=12.3319,
        layout=layouts.concert_hall,
        prices=CONCERT_HALL,
    ),
    House(
        slug="foundry-theatre-london",
        name="The Foundry Theatre",
        address="17 Bermondsey Wall, London SE16",
        place=LONDON,
        latitude=51.5003,
        longitude=-0.0702,
        layout=layouts.playhouse,
        prices=PLAYHOUSE,
    ),
    House(
        slug="copper-lane-london",
        name="Copper Lane Comedy Cellar",
        address="4 Copper Lane, London EC1",
        place=LONDON,
        latitude=51.5237,
        longitude=-0.1029,
        layout=layouts.comedy_cellar,
        prices=CABARET,
    ),
    House(
        slug="calton-playhouse-edinburgh",
        name="Calton Playhouse",
        address="33 Leith Street, Edinburgh EH1",
        place=EDINBURGH,
        latitude=55.9546,
        longitude=-3.1866,
        layout=layouts.playhouse,
        prices=PLAYHOUSE,
    ),
    House(
        slug="theatre-des-tanneurs-paris",
        name="Théâtre des Tanneurs",
        address="58 rue de Charonne, 75011 Paris",
        place=PARIS,
        latitude=48.8536,
        longitude=2.3787,
        layout=layouts.small_theatre,
        prices=SMALL_THEATRE,
    ),
    House(
        slug="pakhuis-noord-amsterdam",
        name="Pakhuis Noord",
        address="Papaverweg 27, 1032 KE Amsterdam",
        place=AMSTERDAM,
        latitude=52.3972,
        longitude=4.9078,
        layout=layouts.gallery,
        prices={"Gallery": 1.3},
        standing=900,
    ),
    House(
        slug="karolinenoper-vienna",
        name="Karolinenoper",
        address="Karolinengasse 5, 1040 Wien",
        place=VIENNA,
        latitude=48.1907,
        longitude=16.3742,
        layout=layouts.opera_house,
        prices={
            "Front stalls": 1.0,
            "Stalls": 0.85,
            "Boxes": 0.95,
            "First tier": 0.72,
            "Second tier": 0.48,
            "Gallery": 0.22,
        },
    ),
    House(
        slug="havnesalen-copenhagen",
        name="Havnesalen",
        address="Refshalevej 151, 1432 København",
        place=COPENHAGEN,
        latitude=55.6915,
        longitude=12.6166,
        layout=layouts.gallery,
        prices={"Gallery": 1.25},
        standing=700,
    ),
    House(
        slug="teatro-da-ribeira-lisbon",
        name="Teatro da Ribeira",
        address="Rua da Boavista 84, 1200-068 Lisboa",
        place=LISBON,
        latitude=38.7087,
        longitude=-9.1502,
        layout=layouts.small_theatre,
        prices=SMALL_THEATRE,
    ),
    House(
        slug="divadlo-na-ostrove-prague",
        name="Divadlo Na Ostrově",
        address="Janáčkovo nábřeží 59, 150 00 Praha",
        place=PRAGUE,
        latitude=50.0733,
        longitude=14.4089,
        layout=layouts.small_theatre,
        prices=SMALL_THEATRE,
    ),
    House(
        slug="limmatforum-zurich",
        name="Limmatforum",
        address="Hardturmstrasse 130, 8005 Zürich",
        place=ZURICH,
        latitude=47.3924,
        longitude=8.5153,
        layout=layouts.lecture_hall,
        prices={"Auditorium": 1.0},
    ),
    House(
        slug="parc-del-far-barcelona",
        name="Parc del Far",
        address="Passeig de la Mar Bella, 08019 Barcelona",
        place=BARCELONA,
        latitude=41.4046,
        longitude=2.2170,
        prices={},
        standing=8_000,
    ),
    House(
        slug="sala-bruc-barcelona",
        name="Sala Bruc",
        address="Carrer del Bruc 156, 08037 Barcelona",
        place=BARCELONA,
        latitude=41.3990,
        longitude=2.1637,
        layout=layouts.concert_hall,
        prices=CONCERT_HALL,
    ),
    House(
        slug="meridian-room-new-york",
        name="The Meridian Room",
        address="211 West 19th Street, New York, NY 10011",
        place=NEW_YORK,
        latitude=40.7422,
        longitude=-73.9977,
        layout=layouts.jazz_room,
        prices=CABARET,
    ),
    House(
        slug="orchard-street-theatre-new-york",
        name="Orchard Street Theatre",
        address="140 Orchard Street, New York, NY 10002",
        place=NEW_YORK,
        latitude=40.7203,
        longitude=-73.9887,
        layout=layouts.playhouse,
        prices=PLAYHOUSE,
    ),
    House(
        slug="sumire-hall-tokyo",
        name="Sumire Hall",
        address="3-14 Kagurazaka, Shinjuku-ku, Tokyo 162-0825",
        place=TOKYO,
        latitude=35.7013,
        longitude=139.7405,
        layout=layouts.concert_hall,
        prices=CONCERT_HALL,
    ),
]
