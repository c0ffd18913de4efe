"""The entry: what a leaf may hold, and that there is one way to write it."""

from __future__ import annotations

import datetime as dt
import hashlib
import hmac
import json
from typing import Any

import pytest
import rfc8785
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.audit import canonical
from gateway.audit.entry import (
    MAX_LEAF_BYTES,
    WITHHELD,
    EntryFault,
    Event,
    EventKind,
    leaf,
    personal_half,
    read,
)

NOON = dt.datetime(2026, 11, 22, 12, 0, tzinfo=dt.UTC)
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)
WHOLE = st.integers(min_value=-canonical.MAX_INTEGER, max_value=canonical.MAX_INTEGER)
SCALARS = st.one_of(st.none(), st.booleans(), WHOLE, TEXTS)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.one_of(
        st.lists(inner, max_size=4), st.dictionaries(TEXTS, inner, max_size=4)
    ),
    max_leaves=20,
)


def event(**changes: Any) -> Event:
    plain: dict[str, Any] = {
        "id": "video_1:mark:video.marked",
        "kind": EventKind.VIDEO_MARKED,
        "subject": "video_1",
        "tenant": "tnt_1",
        "facts": {"clip_id": "00ff", "frames": 96, "certain": True, "judges": ("a@1", "b@2")},
    }
    return Event(**{**plain, **changes})


@settings(max_examples=300)
@given(value=VALUES)
def test_canonical_json_is_that_of_an_independent_implementation(value: Any) -> None:
    assert canonical.dumps(value) == rfc8785.dumps(value)
    assert canonical.loads(canonical.dumps(value)) == value


def test_names_are_sorted_by_utf_16_units() -> None:
    # RFC 8785 §3.2.3: U+1F600 is D83D DE00 and comes before U+FB33.
    value = {"\ufb33": 1, "\U0001f600": 2, "a": 3}
    assert canonical.dumps(value) == rfc8785.dumps(value)
    assert canonical.dumps(value) == '{"a":3,"\U0001f600":2,"\ufb33":1}'.encode()


@pytest.mark.parametrize(
    "written",
    [
        b"",
        b"{",
        b'{"a":1.0}',
        b'{"a":1e3}',
        b'{"a":NaN}',
        b'{"a": 1}',
        b'{"a":1}\n',
        b'{"b":1,"a":2}',
        b'{"a":1,"a":1}',
        b'{"a":-0}',
        b'{"a":9007199254740992}',
        b'{"a":"\\u0041"}',
        b'{"a":"\\/"}',
        b'{"a":"\\ud800"}',
        b'{"a":"\xff"}',
        b"\xef\xbb\xbf{}",
        b"[" * 100_000,
    ],
)
def test_anything_but_the_canonical_bytes_is_refused(written: bytes) -> None:
    with pytest.raises(ValueError):
        canonical.loads(written)


@pytest.mark.parametrize(
    "value", [1.5, float("nan"), 2**53, -(2**53), {1: "a"}, b"x", "\ud800", {"a": {2}}]
)
def test_a_value_without_an_exact_form_is_refused(value: Any) -> None:
    with pytest.raises(ValueError):
        canonical.dumps(value)


def test_a_leaf_says_what_happened_and_when() -> None:
    written = leaf(event(), dt.datetime.fromisoformat("2026-11-22T13:30:00.5+01:00"))
    assert json.loads(written) == {
        "v": 1,
        "id": "video_1:mark:video.marked",
        "kind": "video.marked",
        "subject": "video_1",
        "tenant": "tnt_1",
        "time": "2026-11-22T12:30:00.500000Z",
        "facts": {"clip_id": "00ff", "frames": 96, "certain": True, "judges": ["a@1", "b@2"]},
        "personal": None,
    }
    assert written == rfc8785.dumps(json.loads(written))
    assert read(written).facts["frames"] == 96


def test_a_leaf_without_a_time_zone_is_refused() -> None:
    with pytest.raises(EntryFault):
        leaf(event(), NOON.replace(tzinfo=None))


def test_the_personal_half_leaves_nothing_but_a_commitment() -> None:
    private = event(personal={"prompt": "a red fox in the snow", "name": "Ada"})
    half = personal_half(private)
    assert half is not None
    written = leaf(private, NOON, commitment=half.commitment)
    assert b"fox" not in written
    assert b"Ada" not in written
    record = rfc8785.dumps({"prompt": "a red fox in the snow", "name": "Ada"})
    assert half.record == record
    expected = hmac.new(half.record_key, record, hashlib.sha256).hexdigest()
    assert read(written).personal == expected


def test_equal_personal_halves_cannot_be_told_to_be_equal() -> None:
    private = event(personal={"prompt": "the same"})
    first, second = personal_half(private), personal_half(private)
    assert first is not None
    assert second is not None
    assert first.commitment != second.commitment
    assert len(first.record_key) == 32


@pytest.mark.parametrize("commitment", [None, "00" * 32])
def test_a_commitment_and_its_half_belong_together(commitment: str | None) -> None:
    personal = {"prompt": "x"} if commitment is None else None
    with pytest.raises(EntryFault):
        leaf(event(personal=personal), NOON, commitment=commitment)


@pytest.mark.parametrize("name", sorted(WITHHELD))
def test_a_fact_about_a_person_is_refused(name: str) -> None:
    with pytest.raises(EntryFault):
        event(facts={name: "x"})


@pytest.mark.parametrize(
    "changes",
    [
        {"kind": "video.exploded"},
        {"kind": "marked"},
        {"id": "video_2:mark:video.marked"},
        {"id": "video_1"},
        {"id": "video_1:"},
        {"id": "video_1:" + "x" * 200},
        {"id": "video_1:a b"},
        {"subject": "", "id": ":a"},
        {"subject": "a:b", "id": "a:b:c"},
        {"tenant": "Ada Lovelace"},
        {"tenant": ""},
        {"facts": {"Clip": "x"}},
        {"facts": {"clip_id": 0.5}},
        {"facts": {"clip_id": float("nan")}},
        {"facts": {"clip_id": 2**53}},
        {"facts": {"clip_id": {"a": "b"}}},
        {"facts": {"clip_id": b"x"}},
        {"facts": {"clip_id": [["x"]]}},
        {"facts": {"clip_id": "x" * 1_025}},
        {"facts": {"clip_id": ["x"] * 257}},
        {"facts": {f"fact_{n}": n for n in range(65)}},
        {"facts": [("clip_id", "x")]},
    ],
)
def test_an_event_of_another_form_is_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(EntryFault):
        event(**changes)


def test_a_leaf_has_a_largest_size() -> None:
    heavy = event(facts={f"fact_{n}": "x" * 1_000 for n in range(20)})
    with pytest.raises(EntryFault):
        leaf(heavy, NOON)


@pytest.mark.parametrize(
    "changes",
    [
        {"v": 2},
        {"v": True},
        {"v": "1"},
        {"id": 5},
        {"time": "2026-11-22T12:00:00Z"},
        {"time": None},
        {"personal": "AB" * 32},
        {"personal": 5},
        {"facts": None},
        {"facts": {"prompt": "x"}},
        {"more": 1},
    ],
)
def test_a_leaf_of_another_form_is_refused(changes: dict[str, Any]) -> None:
    value = {**json.loads(leaf(event(), NOON)), **changes}
    with pytest.raises(EntryFault):
        read(canonical.dumps(value))


def test_a_leaf_that_lacks_a_field_is_refused() -> None:
    value = json.loads(leaf(event(), NOON))
    for name in value:
        with pytest.raises(EntryFault):
            read(canonical.dumps({k: v for k, v in value.items() if k != name}))


def test_a_kind_of_a_newer_release_can_be_read() -> None:
    value = {**json.loads(leaf(event(), NOON)), "kind": "video.framed"}
    assert read(canonical.dumps(value)).kind == "video.framed"


def test_kinds_are_nouns_and_past_tenses() -> None:
    for kind in EventKind:
        noun, _, verb = kind.partition(".")
        assert noun.replace("_", "").isalpha()
        assert verb.endswith("d") or kind in IRREGULAR


IRREGULAR = {EventKind.VERDICT_GIVEN, EventKind.CASE_TAKEN, EventKind.VIDEO_WITHDRAWN}


@settings(max_examples=300)
@given(junk=st.binary(max_size=200))
def test_junk_is_refused_in_one_way(junk: bytes) -> None:
    with pytest.raises(EntryFault):
        read(junk)


def test_a_leaf_over_the_limit_is_refused_before_it_is_parsed() -> None:
    with pytest.raises(EntryFault, match="at most"):
        read(b" " * (MAX_LEAF_BYTES + 1))
