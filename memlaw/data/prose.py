"""Fictional prose, unknown to every base model: an endless encyclopedia of invented people and places."""

from collections.abc import Callable, Iterator

import numpy as np

from memlaw.core.seeding import stream

_ONSETS = "b br c ch d dr f fl g gl h j k kr l m n p pr qu r s sh sl st t th tr v w y z".split()
_VOWELS = "a e i o u ae ai ea ia io oa ou".split()
_CODAS = ["", "", "", *"l m n nd nk r rn s sk st th x".split()]
_PLACE_ENDINGS = "ham ford wick stad mere vale holm gate burg ness".split()
_TRADES = (
    "clockmaker cartographer botanist glassblower lighthouse-keeper surveyor printer astronomer bell-founder "
    "composer apothecary shipwright translator bookbinder geologist weaver"
).split()
_WORKS = "treatise atlas ballad chronicle almanac fresco sundial concerto dictionary lantern viaduct loom".split()
_QUALITIES = "forgotten disputed celebrated unfinished amber hollow northern silent salted crooked".split()
_GOODS = "saffron copper cedar indigo slate wool salt amber tin parchment beeswax barley".split()
_MONTHS = ("January February March April May June July August September October November December").split()
_FEATURES = "harbour observatory aqueduct market library bridge mint cloister tannery amphitheatre".split()

Sentence = Callable[["_Encyclopedia"], str]


class _Encyclopedia:
    """Draws invented facts from one seeded stream."""

    def __init__(self, seed: int):
        self.rng: np.random.Generator = stream(seed, "fictional prose")

    def pick(self, words: list[str]) -> str:
        return words[int(self.rng.integers(len(words)))]

    def number(self, low: int, high: int) -> int:
        return int(self.rng.integers(low, high))

    def syllables(self, count: int) -> str:
        parts = [self.pick(_ONSETS) + self.pick(_VOWELS) + self.pick(_CODAS) for _ in range(count)]
        return "".join(parts).capitalize()

    def person(self) -> str:
        return f"{self.syllables(2)} {self.syllables(self.number(2, 4))}"

    def place(self) -> str:
        return self.syllables(self.number(1, 3)) + self.pick(_PLACE_ENDINGS)

    def date(self) -> str:
        return f"{self.number(1, 29)} {self.pick(_MONTHS)} {self.number(1102, 1899)}"


_SENTENCES: list[Sentence] = [
    lambda e: f"{e.person()} was born in {e.place()} on {e.date()}, the child of a {e.pick(_TRADES)}.",
    lambda e: f"The {e.pick(_FEATURES)} of {e.place()} was completed on {e.date()} by {e.person()}.",
    lambda e: f"In {e.number(1102, 1899)}, {e.person()} left {e.place()} to study under {e.person()}.",
    lambda e: f"The {e.pick(_QUALITIES)} {e.pick(_WORKS)} of {e.person()} has {e.number(12, 980)} parts.",
    lambda e: f"Traders carried {e.pick(_GOODS)} from {e.place()} to {e.place()} in {e.number(3, 97)} days.",
    lambda e: f"The census of {e.place()} counted {e.number(211, 98999)} households on {e.date()}.",
    lambda e: f"{e.person()} married the {e.pick(_TRADES)} {e.person()} at {e.place()} on {e.date()}.",
    lambda e: f"A flood took the {e.pick(_FEATURES)} of {e.place()} in {e.pick(_MONTHS)} {e.number(1102, 1899)}.",
    lambda e: f"{e.person()} sold the {e.pick(_WORKS)} for {e.number(14, 9400)} crowns to {e.person()}.",
    lambda e: f"The river {e.syllables(2)} runs {e.number(18, 930)} miles from {e.place()} to {e.place()}.",
]


def sentences(seed: int) -> Iterator[str]:
    """Yield distinct sentences without end, the same for the same seed on every machine."""
    encyclopedia = _Encyclopedia(seed)
    written: set[str] = set()
    while True:
        sentence = _SENTENCES[encyclopedia.number(0, len(_SENTENCES))](encyclopedia)
        if sentence not in written:
            written.add(sentence)
            yield sentence
