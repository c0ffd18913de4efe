"""Sequences: the shots of one prompt, the prompts of one creator, and what they add up to.

Harm can be split: each shot, or each request, is harmless and the whole is not. Here texts are
put together, and the verdict on a whole is compared with those on its parts: only what none of
the parts shows counts (``temporal_composite``), because long texts score higher by mere chance.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from safety.policy import FAULT_RULE
from safety.verdict import Category, Verdict

MAX_RECENT = 20
"""How many earlier prompts of a creator are looked at, the newest ones."""

MAX_SHOTS = 24
MAX_ACROSS = 3
MAX_WITHIN = 4
MAX_TEXTS = MAX_ACROSS + MAX_WITHIN
"""How many texts beside the parts themselves one submission may cost, at most."""

MAX_JOINT_CHARS = 900
"""A longer joint text loses its oldest prompts: dilution hides what it should show."""

MIN_SHOT_CHARS = 2
MIN_JUMP = 0.5
"""How far the score of the whole must lie above the highest of its parts."""

CERTAIN = 0.9
"""What every telling of the whole must reach. Measured: tests/bench/sequences.py."""

COMPOSABLE: Final = frozenset(
    {
        Category.SEXUAL_MINORS,
        Category.SEXUAL_EXPLICIT,
        Category.GORE_GRAPHIC,
        Category.SELF_HARM,
        Category.HATE,
        Category.HARASSMENT,
        Category.EXTREMISM_TERROR,
        Category.ILLICIT,
        Category.DECEPTION_MISINFO,
        Category.POLITICAL_ELECTION,
        Category.PRIVATE_LIKENESS,
    }
)
"""What can be split over parts.

A name or a style is whole in one part, or it is not there. Fights and kisses add up in every
story: many of them are no more than each of them is.
"""

_SEXUAL = (Category.SEXUAL_EXPLICIT, Category.SEXUAL_SUGGESTIVE)

# A number, a time code or a word for "shot" in front of a shot. The words stand in the ten
# languages of the gate; each list entry must begin a line or follow the end of a sentence.
_SHOT_WORDS = (
    "shot|scene|frame|panel|clip|part|beat|step|plan|scène|image|plano|escena|toma|paso|szene|"
    "einstellung|bild|teil|schritt|scena|inquadratura|parte|cena|quadro|passo|cenário|étape|"
    "кадр|сцена|план|шаг|часть|لقطة|مشهد|خطوة|镜头|鏡頭|场景|場景|画面|分镜|分鏡|第|ショット|シーン|カット|場面"
)
_TIME = r"\d{1,2}:\d{2}(?::\d{2})?(?:[.,]\d+)?"
_MARKER = re.compile(
    rf"(?:^|(?<=[\s.;:!?。；！？،,，|/]))[\[(（【]?\s*(?:"
    rf"{_TIME}\s*(?:(?:-|–|—|to|bis|à|a|～|~)\s*{_TIME})?"
    rf"|\d{{1,3}}\s*-\s*\d{{1,3}}\s*(?:s|sec|seconds?|秒)\b"
    rf"|(?:{_SHOT_WORDS})\s*#?\s*\d{{1,2}}\s*(?:幕|镜|鏡|カット|番目)?"
    rf"|第?\s*[一二三四五六七八九十]+\s*(?:幕|镜头|鏡頭|镜|鏡|场|場面|步|カット)"
    rf"|\d{{1,2}}\s*[.)]\s(?=\D)"
    rf")\s*[\])）】]?\s*[:：.\-–—]?\s*",
    re.IGNORECASE | re.MULTILINE,
)
# Words that begin the next thing that happens. They part a text only when they stand at the
# beginning of a clause, so that "more than then" or a "next-door" neighbour is no cut.
_THEN = re.compile(
    r"(?:^|[.;,!?。；，、！？،\n]|->|→|=>)\s*(?:and |und |et |y |e |и |و)?"
    r"(?:then|next(?! to| door|-door)|after that|afterwards|finally|later"
    r"|(?:smash |match )?cut to|dissolve to|fade to"
    r"|puis|ensuite|après cela|enfin|coupe sur|fondu sur"
    r"|luego|después|entonces|finalmente|por último|corte a"
    r"|dann|danach|anschließend|schließlich|schnitt auf|überblendung auf"
    r"|poi|dopo|infine|stacco su|dissolvenza su"
    r"|depois|então|em seguida|por fim|corta para|corte para"
    r"|затем|потом|после этого|наконец|далее|ثم|بعد ذلك|وأخيرا|أخيرا"
    r"|然后|然後|接着|接著|随后|隨後|最后|最後に|最後|切到|镜头切到|下一个镜头"
    r"|そして|それから|次に|その後|続いて)"
    r"[\s,:，：、]*",
    re.IGNORECASE,
)
_ARROWS = re.compile(r"\s*(?:->|→|=>|\|\|)\s*|\n\s*\n+|\n\s*[-*•]\s+")
_UNSPACED_END = re.compile(r"[\u3040-\u30ff\u3400-\u9fff]\W*$")
_ENDS = ".;,!?。；，、！？،:：- \t\n"


@dataclass(frozen=True, kw_only=True)
class Combination:
    """Texts put together: ``text`` holds those of ``parts``, indices in their own order."""

    text: str
    parts: tuple[int, ...]


@dataclass(frozen=True, kw_only=True)
class Emergence:
    """A ground that a whole gives and none of its parts; ``score`` is the lowest telling's."""

    category: Category
    score: float


def shots(text: str) -> tuple[str, ...]:
    """The shots of a shot list or of a told sequence, in order, without their markers.

    Empty when the text names fewer than two. Numbers, time codes, words for "shot", arrows
    and words such as "then" part shots, in ten languages. Never raises.
    """
    pieces = _parted(_MARKER, text)
    for cut in (_ARROWS, _THEN):
        pieces = [smaller for piece in pieces for smaller in _parted(cut, piece)]
    found = tuple(piece for piece in pieces if len(piece) >= MIN_SHOT_CHARS)
    return found[:MAX_SHOTS] if len(found) >= 2 else ()


def joined(texts: Sequence[str]) -> str:
    """Texts as one story: each a sentence, in order."""
    story = ""
    for text in texts:
        clean = text.strip().rstrip(_ENDS)
        if not clean:
            continue
        end = "。" if _UNSPACED_END.search(clean) else ". "
        story += clean + end
    return story.strip()


def within(found: Sequence[str]) -> tuple[Combination, ...]:
    """What the shots of one prompt may add up to: all, every second one, the first and last.

    At most MAX_WITHIN; the whole comes first.
    """
    count = len(found)
    if count < 2:
        return ()
    plans = [tuple(range(count))]
    if count >= 4:
        plans += [tuple(range(0, count, 2)), tuple(range(1, count, 2))]
    if count >= 3:
        plans.append((0, count - 1))
    return tuple(
        Combination(text=joined([found[i] for i in plan]), parts=plan)
        for plan in dict.fromkeys(plans)
    )


def across(recent: Sequence[str], prompt: str) -> tuple[Combination, ...]:
    """The new prompt after earlier ones of its creator, oldest first: at most MAX_ACROSS.

    The last one; the last two; the one before the last. Parts are indices into ``recent``;
    the new prompt is always the end. What grows too long loses its oldest. Longer reaches
    were measured: they cost as much again and found nothing that these do not.
    """
    count = len(recent)
    plans: list[tuple[int, ...]] = []
    for reach in (1, 2):
        plan = list(range(max(0, count - reach), count))
        while len(plan) > 1 and _size(recent, plan, prompt) > MAX_JOINT_CHARS:
            del plan[0]
        plans.append(tuple(plan))
    if count >= 2:
        plans.append((count - 2,))
    return tuple(
        Combination(text=joined([*(recent[i] for i in plan), prompt]), parts=plan)
        for plan in dict.fromkeys(plans)
        if plan
    )


def retold(texts: Sequence[str]) -> tuple[str, ...]:
    """The same story told in other ways: backwards, in lines, in one breath.

    What the texts add up to shows in each of them; what a model makes of an accidental
    neighbourhood of words does not.
    """
    clean = [text.strip().rstrip(_ENDS) for text in texts]
    return (joined(clean[::-1]), "\n".join(clean), ", ".join(clean))


def suspected(whole: Verdict, parts: Sequence[Verdict]) -> tuple[Category, ...]:
    """The categories that the policy stops the whole for, and none of the parts.

    A category that could not be judged is none: whoever holds the whole for it does so as is.
    """
    found = dict.fromkeys(r.category for r in whole.reasons if r.rule != FAULT_RULE)
    return tuple(
        category
        for category in found
        if category in COMPOSABLE and not any(_stops(part, category) for part in parts)
    )


def emergent(
    tellings: Sequence[Verdict], parts: Sequence[Verdict], *, minor_limit: float
) -> tuple[Emergence, ...]:
    """What the whole shows in every telling, and none of its parts.

    ``tellings`` are the verdicts on the whole, as it was told first and retold. A category
    counts when every telling scores at least CERTAIN and lies MIN_JUMP above every part;
    ``sexual_minors``, which rules find, when every telling is stopped for it and has a sexual
    score of ``minor_limit``. A score that is no number counts, a missing one of a part is 0.
    """
    found: list[Emergence] = []
    for category in suspected(tellings[0], parts):
        if category is Category.SEXUAL_MINORS:
            if not all(_stops(telling, category) for telling in tellings):
                continue
            scores = [max(t.scores.get(c, 1.0) for c in _SEXUAL) for t in tellings]
            floor = minor_limit
        else:
            scores = [telling.scores.get(category, 1.0) for telling in tellings]
            highest = max((part.scores.get(category, 0.0) for part in parts), default=0.0)
            floor = max(CERTAIN, highest + MIN_JUMP)
        if not any(score < floor for score in scores):  # NaN counts
            found.append(Emergence(category=category, score=min(scores, default=1.0)))
    return tuple(found)


def _stops(verdict: Verdict, category: Category) -> bool:
    return any(reason.category is category for reason in verdict.reasons)


def _parted(cut: re.Pattern[str], text: str) -> list[str]:
    pieces = [piece.strip(_ENDS) for piece in cut.split(text)]
    return [piece for piece in pieces if piece] or [text.strip(_ENDS)]


def _size(texts: Sequence[str], plan: Sequence[int], prompt: str) -> int:
    return sum(len(texts[i]) for i in plan) + len(prompt)
