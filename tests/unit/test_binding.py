"""The soft-binding value and the prefix of our labels."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import ConfigurationFault, InvalidRequest
from gateway.provenance.binding import (
    Binding,
    bound_clips,
    format_binding,
    owner_prefix,
    parse_binding,
)


def test_a_binding_is_written_as_layout_and_clip() -> None:
    assert format_binding("00c0ffee00c0ffee") == "1*00c0ffee00c0ffee"
    assert parse_binding("7*00c0ffee00c0ffee") == Binding(layout=7, clip_id="00c0ffee00c0ffee")


@given(layout=st.integers(1, 255), number=st.integers(min_value=0, max_value=2**64 - 1))
def test_every_binding_reads_back(layout: int, number: int) -> None:
    text = format_binding(f"{number:016x}", layout=layout)
    assert parse_binding(text) == Binding(layout=layout, clip_id=f"{number:016x}")
    assert str(parse_binding(text)) == text


@pytest.mark.parametrize(
    "text",
    [
        "",
        "1*",
        "1*00c0ffee00c0ffe",
        "1*00c0ffee00c0ffee0",
        "1*00C0FFEE00C0FFEE",
        "0*00c0ffee00c0ffee",
        "01*00c0ffee00c0ffee",
        "256*00c0ffee00c0ffee",
        "-1*00c0ffee00c0ffee",
        "1 *00c0ffee00c0ffee",
        "1*00c0ffee00c0ffee\n",
        "\u0661*00c0ffee00c0ffee",
        "1*\uff10\uff10c0ffee00c0ffee",
    ],
)
def test_anything_near_a_binding_is_refused(text: str) -> None:
    with pytest.raises(InvalidRequest):
        parse_binding(text)


@given(st.text(alphabet="0123456789*abcdefABCDEF \n", max_size=24))
def test_what_is_read_is_exactly_what_would_be_written(text: str) -> None:
    try:
        found = parse_binding(text)
    except InvalidRequest:
        return
    assert str(found) == text


@pytest.mark.parametrize("clip_id", ["", "0" * 15, "0" * 17, "0" * 15 + "G", "0" * 15 + "A"])
def test_a_malformed_clip_id_is_not_written(clip_id: str) -> None:
    with pytest.raises(InvalidRequest):
        format_binding(clip_id)


def test_only_our_algorithm_names_our_clips() -> None:
    found = bound_clips(
        [
            ("com.example.other", "1*1111111111111111"),
            ("org.example.cinegate.wm.1", "1*2222222222222222"),
            ("org.example.cinegate.wm.1", "nonsense"),
        ],
        algorithm="org.example.cinegate.wm.1",
    )
    assert [binding.clip_id for binding in found] == ["2" * 16]


@pytest.mark.parametrize(
    ("algorithm", "prefix"),
    [
        ("org.example.cinegate.wm.1", "org.example.cinegate"),
        ("com.studio.gateway.watermark.12", "com.studio.gateway"),
        ("com.studio.mark", "com.studio.mark"),
    ],
)
def test_labels_live_below_the_algorithms_domain(algorithm: str, prefix: str) -> None:
    assert owner_prefix(algorithm) == prefix
    assert "." in owner_prefix(algorithm)


@pytest.mark.parametrize(
    "algorithm", ["", "wm.1", "com.wm.1", "a_b.c.wm.1", "c2pa.watermark.x", "com..x", "x" * 300]
)
def test_a_name_without_an_own_domain_is_refused(algorithm: str) -> None:
    with pytest.raises(ConfigurationFault):
        owner_prefix(algorithm)
