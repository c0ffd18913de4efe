"""Names are found however they are written, ordinary words are not, and ids are stable."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from safety.gazetteer import (
    DATA_DIR,
    Gazetteer,
    GazetteerInvalid,
    ProtectedName,
    subject_of,
)
from safety.normalize import plain
from safety.training.prompts.grammar import Grammar
from safety.verdict import Category

NAMES = Gazetteer.load()
FIGURE, PROPERTY = Category.PUBLIC_FIGURE, Category.IP_CHARACTER_BRAND
ARTIST = Category.LIVING_ARTIST_STYLE


def found(text: str, names: Gazetteer = NAMES) -> dict[str, bool]:
    """Subject → whether the spelling was only near."""
    loose: dict[str, bool] = {}
    for mention in names.mentions(plain(text)):
        subject = mention.name.subject
        loose[subject] = loose.get(subject, True) and mention.loose
    return loose


@pytest.mark.parametrize(
    ("text", "subject"),
    [
        ("Mickey Mouse dances", "mickey-mouse"),
        ("#mickeymouse", "mickey-mouse"),
        ("a Mickey-Mouse hat", "mickey-mouse"),
        ("ilovemickeymouse forever", "mickey-mouse"),
        ("god zilla rises", "godzilla"),
        ("KungFuPanda", "kung-fu-panda"),
        ("Beyoncé's new dance", "beyonce"),
        ("Merkels Rede", "angela-merkel"),
        ("Donald Trumps Hut", "donald-trump"),
        ("two Ferraris race", "ferrari"),
        ("Orbán Viktor beszél", "viktor-orban"),
        ("Samuel Jackson laughs", "samuel-l-jackson"),
        ("J. Schwarzenegger or A. Schwarzenegger", "arnold-schwarzenegger"),
        ("портрет с Путиным", "vladimir-putin"),
        ("وبوتين يرقص", "vladimir-putin"),
        ("皮卡丘在跳舞", "pikachu"),
    ],
)
def test_a_name_is_found_in_any_of_its_forms(text: str, subject: str) -> None:
    assert found(text) == {subject: False}


@pytest.mark.parametrize(
    ("text", "subject"),
    [
        ("Johny Depp smiles", "johnny-depp"),
        ("Wladimir Putyn", "vladimir-putin"),
        ("mickeymousse", "mickey-mouse"),
        ("w stylu Donalda Trumpaa i Toma Hanksa", "tom-hanks"),
        ("мультфильм с Морганом Фрименом", "morgan-freeman"),
        ("スカーレット・ヨハンソンの映画", "scarlett-johansson"),
        ("مورغان فريمان في مقهى", "morgan-freeman"),
    ],
)
def test_a_name_is_found_nearly_spelled_and_said_to_be_so(text: str, subject: str) -> None:
    assert found(text).get(subject) is True


@pytest.mark.parametrize(
    "text",
    [
        "a super man and a spider and a man",
        "her dream works out",
        "a mickey moose by the lake",
        "une maison moderna, un zorro rojo, una respiración honda",
        "au carrefour, un chevron de bois",
        "marioland street, the Putinar seminar, the minions of the law".replace(
            "minions", "men"
        ),
        "a baby with a yo-yo da capo",
        "in the style of Hieronymus Bosch",
        "tom cruised along the coast",
        "Sweden's Hanks",
        "a walle of water",
        "une fillette accorde sa guitare",
        "a jogwarts of frogs",
        "カメラは蝋燭、薔薇、二つの杯を滑る",
    ],
)
def test_ordinary_words_are_no_names(text: str) -> None:
    assert found(text) == {}


def test_a_longer_name_hides_the_one_inside_it() -> None:
    assert set(found("Baby Yoda naps")) == {"baby-yoda"}
    assert set(found("Yoda and Baby Yoda")) == {"baby-yoda", "yoda"}
    assert set(found("Hieronymus Bosch and a Bosch drill")) == {"bosch"}


def test_nobody_is_found_in_harmless_sentences_of_ten_languages() -> None:
    grammar = Grammar(11)
    texts = [row.text for row in grammar.rows({"*": 1}) if row.kind == "near"]
    texts += [grammar.everyday(lang).text for lang in grammar.languages for _ in range(40)]
    assert len(texts) > 1_000
    assert [text for text in texts if found(text)] == []


@given(st.text(max_size=300))
@settings(deadline=None)
def test_any_text_is_read_and_places_lie_within_it(text: str) -> None:
    text = plain(text)
    for mention in NAMES.mentions(text):
        assert 0 <= mention.start < mention.end <= len(text)
        assert 0.0 < mention.score < 1.0


@given(st.lists(st.text(min_size=1, max_size=30), min_size=1, max_size=4), st.data())
@settings(deadline=None, max_examples=60)
def test_whatever_name_an_operator_adds_is_found_as_it_is_written(
    spellings: list[str], data: st.DataObject
) -> None:
    try:
        name = ProtectedName(
            category=PROPERTY, subject="x", name=spellings[0], aliases=tuple(spellings[1:])
        )
    except GazetteerInvalid:
        return
    written = data.draw(st.sampled_from(name.spellings))
    if not any(c.isalnum() for c in plain(written)):
        return
    assert found(f"we see {written} here", Gazetteer(names=(name,))) == {"x": False}


def test_more_names_extend_a_subject_or_add_one() -> None:
    again = ProtectedName(
        category=PROPERTY, subject="mickey-mouse", name="Topolino", certain=False
    )
    new = ProtectedName(category=FIGURE, subject="ada-quill", name="Ada Quill")
    more = NAMES.extended([again, new])
    assert more.digest != NAMES.digest
    assert NAMES.extended([]).digest == NAMES.digest
    assert set(found("Topolino meets Mickey Mouse and Ada Quill", more)) == {
        "mickey-mouse",
        "ada-quill",
    }
    merged = more.subject(PROPERTY, "mickey-mouse")
    assert merged is not None
    assert merged.certain
    assert found("Topolino") == {}


def test_ids_are_slugs_and_unique_in_their_list() -> None:
    ids = [(name.category, name.subject) for name in NAMES.names]
    assert len(ids) == len(set(ids))
    assert NAMES.subject(PROPERTY, "mickey-mouse") is not None
    assert NAMES.subject(FIGURE, "mickey-mouse") is None
    assert subject_of("Beyoncé Knowles") == "beyonce-knowles"
    assert subject_of("Ну погоди") == "nu-pogodi"
    with pytest.raises(GazetteerInvalid):
        subject_of("!!!")


@pytest.mark.parametrize(
    "row",
    [
        "Two Words,Somebody New,,yes,",
        "mickey--mouse,Somebody New,,yes,",
        ",Somebody New,,yes,",
        "banksy,Somebody New,,yes,",
        "somebody-new,Somebody New,,maybe,",
        "somebody-new,,,yes,",
        "somebody-new,!?,,yes,",
        "somebody-new,Somebody New",
        f"{'a' * 81},Somebody New,,yes,",
    ],
)
def test_a_list_with_a_bad_row_is_refused(tmp_path: Path, row: str) -> None:
    shutil.copytree(DATA_DIR, tmp_path, dirs_exist_ok=True)
    with (tmp_path / "artists.csv").open("a", encoding="utf-8") as stream:
        stream.write(f"{row}\n")
    with pytest.raises(GazetteerInvalid):
        Gazetteer.load(tmp_path)


def test_only_categories_with_a_list_have_names() -> None:
    with pytest.raises(GazetteerInvalid):
        ProtectedName(category=Category.HATE, subject="x", name="Somebody")
    artist = NAMES.subject(ARTIST, "claude-monet")
    assert artist is not None
    assert not artist.living
