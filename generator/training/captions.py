"""Writes captions for scenes: many wordings, four languages, attributes sometimes left out."""

from __future__ import annotations

import random
import re
from dataclasses import dataclass

from generator.training.captions_nouns import COLOUR_WORDS, NOUNS
from generator.training.captions_words import LANGUAGES, MOTION_WORDS, OPENINGS, PLACES
from generator.world import ATTRIBUTES, Scene

# How often each language, and each attribute's omission, is drawn.
LANGUAGE_WEIGHTS = (0.55, 0.15, 0.15, 0.15)
DROP_RATE = {"object": 0.04, "colour": 0.10, "motion": 0.12, "background": 0.08}
BARE_BACKGROUND_RATE = 0.04
GENDERS = {"m": 0, "f": 1, "n": 2}


@dataclass(frozen=True, kw_only=True)
class Caption:
    """A text and what it says: one label per attribute, 0 for "not said", else index + 1."""

    text: str
    language: str
    labels: tuple[int, int, int, int]


def caption(scene: Scene, rng: random.Random, *, complete: bool = False) -> Caption:
    """Words a scene; `complete` keeps every attribute, else some are left out.

    Left-out objects are replaced by a word the model does not know ("a thing", "a teapot"), so
    that the text head learns to answer "not said" instead of guessing.
    """
    language = rng.choices(LANGUAGES, LANGUAGE_WEIGHTS)[0]
    said = {name: complete or rng.random() >= rate for name, rate in DROP_RATE.items()}
    if not complete and rng.random() < BARE_BACKGROUND_RATE:
        said = {"object": False, "colour": False, "motion": False, "background": True}
        text = rng.choice(PLACES[language][scene.background])
    else:
        text = _sentence(scene, said, language, rng)
    if rng.random() < 0.5:
        text = text[0].upper() + text[1:]
    if rng.random() < 0.3:
        text += "."
    labels = tuple(
        (ATTRIBUTES[name].index(getattr(scene, name)) + 1) if said[name] else 0
        for name in ATTRIBUTES
    )
    return Caption(text=text, language=language, labels=labels)  # type: ignore[arg-type]


def _sentence(scene: Scene, said: dict[str, bool], language: str, rng: random.Random) -> str:
    nouns = NOUNS[language][scene.object if said["object"] else ""]
    # Where people wear the colour there is a mark; without a colour nothing is worn.
    fitting = [noun for noun in nouns if ("{" in noun[1]) == said["colour"]]
    article, noun, gender = rng.choice(fitting or nouns)
    colour = ""
    if said["colour"]:
        forms = rng.choice(COLOUR_WORDS[language][scene.colour])
        colour = forms[GENDERS[gender]]
    thing = _coloured(noun, colour, language)
    if language == "en":
        article = rng.choice(("the", "a"))
    subject = f"{article} {thing}" if rng.random() < 0.9 else thing
    if language == "en":
        subject = re.sub(r"\ba (?=[aeio]|um)", "an ", subject)
    motion = rng.choice(MOTION_WORDS[language][scene.motion]) if said["motion"] else ""
    place = rng.choice(PLACES[language][scene.background]) if said["background"] else ""
    order = rng.random()
    if place and order < 0.2:
        return f"{place}, {subject} {motion}".strip()
    if place and motion and order < 0.4:
        return f"{subject} {place} {motion}"
    text = " ".join(part for part in (subject, motion, place) if part)
    if rng.random() < 0.15:
        text = rng.choice(OPENINGS[language]) + text
    return text


def _coloured(noun: str, colour: str, language: str) -> str:
    """The noun with its colour: at its mark, or where the language puts adjectives.

    The mark `{}` takes the colour as it is, `{n}` in the German dative.
    """
    if "{" in noun:
        dative = colour.removesuffix("er").removesuffix("es")
        dative = dative if dative.endswith(("a", "e")) else dative + "e"
        dative = dative + "n" if dative.endswith("e") else dative
        for mark, form in (("{n}", dative if colour else ""), ("{}", colour)):
            noun = noun.replace(mark, form)
        return " ".join(noun.split())
    if not colour:
        return noun
    return f"{noun} {colour}" if language in ("fr", "es") else f"{colour} {noun}"
