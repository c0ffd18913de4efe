"""What a manifest says, and what it must never say."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest

from gateway.errors import ConfigurationFault, StageUnavailable
from gateway.provenance.manifest import (
    SOURCE_TYPE,
    ManifestFacts,
    build_manifest,
    content_urn,
    created_labels,
)

WHEN = datetime(2026, 11, 22, 12, 0, 30, 999, tzinfo=UTC)


def facts(**changes: Any) -> ManifestFacts:
    values: dict[str, Any] = {
        "clip_id": "00c0ffee00c0ffee",
        "title": "Clip 00c0ffee",
        "algorithm": "org.example.cinegate.wm.1",
        "created_at": WHEN,
        "organisation": "Example Studio",
        "product": "Cinegate",
        "product_version": "0.1.0",
        "model_name": "Embedded",
        "model_version": "1.0.0",
        "model_licence": "Apache-2.0",
        "training_data": "Rendered scenes.",
        "commercial_use": "allowed",
        "weights_sha256": {"b": "bb" * 32, "a": "aa" * 32},
        "detector_url": "https://example.org/verify",
    }
    return ManifestFacts(**(values | changes))


def assertion(manifest: dict[str, Any], label: str) -> dict[str, Any]:
    (found,) = [a["data"] for a in manifest["assertions"] if a["label"] == label]
    return dict(found)


def test_the_first_action_says_that_a_model_made_it_and_the_second_that_it_is_marked() -> None:
    actions = assertion(build_manifest(facts()), "c2pa.actions.v2")
    first, second = actions["actions"]
    assert first["action"] == "c2pa.created"
    assert first["digitalSourceType"] == SOURCE_TYPE
    assert first["softwareAgent"] == {"name": "Embedded", "version": "1.0.0"}
    assert first["when"] == "2026-11-22T12:00:30Z"
    assert second["action"] == "c2pa.watermarked.bound"
    assert actions["allActionsIncluded"] is True


def test_the_generator_states_product_and_exact_specification() -> None:
    (generator,) = build_manifest(facts())["claim_generator_info"]
    assert generator == {"name": "Cinegate", "version": "0.1.0", "specVersion": "2.4.0"}


def test_the_soft_binding_carries_the_payload() -> None:
    binding = assertion(build_manifest(facts(layout=3)), "c2pa.soft-binding")
    assert binding["alg"] == "org.example.cinegate.wm.1"
    assert binding["blocks"] == [{"scope": {}, "value": "3*00c0ffee00c0ffee"}]


def test_the_latent_disclosure_names_provider_system_time_and_clip() -> None:
    made = assertion(
        build_manifest(facts(audit_subject="clip:00c0ffee00c0ffee")),
        "org.example.cinegate.latent-disclosure",
    )
    assert made["provider"] == "Example Studio"
    assert (made["system"], made["systemVersion"]) == ("Cinegate", "0.1.0")
    assert made["created"] == "2026-11-22T12:00:30Z"
    assert made["contentIdentifier"] == content_urn(
        "org.example.cinegate.wm.1", "00c0ffee00c0ffee"
    )
    assert made["contentIdentifier"].startswith("urn:uuid:")
    assert made["detector"] == "https://example.org/verify"
    assert made["logSubject"] == "clip:00c0ffee00c0ffee"


def test_the_model_card_travels_with_the_clip() -> None:
    card = assertion(build_manifest(facts()), "org.example.cinegate.model-card")
    assert (card["licence"], card["trainingData"]) == ("Apache-2.0", "Rendered scenes.")
    assert card["commercialUse"] == "allowed"
    assert [weights["name"] for weights in card["weights"]] == ["a", "b"]


def test_metadata_outside_the_allow_list_goes_to_the_gathered_part() -> None:
    manifest = build_manifest(facts())
    assert set(assertion(manifest, "c2pa.metadata")) == {
        "@context",
        "Iptc4xmpExt:DigitalSourceType",
    }
    assert assertion(manifest, "cawg.metadata")["dc:title"] == "Clip 00c0ffee"
    uses = assertion(manifest, "cawg.training-mining")["entries"]
    assert {use["use"] for use in uses.values()} == {"notAllowed"}


def test_every_label_but_the_gathered_ones_is_created_and_has_a_dot() -> None:
    manifest = build_manifest(facts())
    labels = {a["label"] for a in manifest["assertions"]}
    gathered = labels - set(created_labels(manifest))
    assert gathered == {"cawg.training-mining", "cawg.metadata"}
    assert all("." in label for label in labels)
    assert "org.example.cinegate.model-card" in created_labels(manifest)


def test_the_manifest_is_plain_json_and_the_same_for_the_same_facts() -> None:
    first, second = build_manifest(facts()), build_manifest(facts())
    assert first == second == json.loads(json.dumps(first))
    first["assertions"].clear()
    assert second["assertions"]


def test_no_field_has_room_for_a_prompt_a_user_or_a_key() -> None:
    names = set(ManifestFacts.__dataclass_fields__)
    for word in ("prompt", "user", "tenant", "email", "key", "account", "seed"):
        assert not {name for name in names if word in name.replace("prompt_guided", "")}
    with pytest.raises(TypeError):
        facts(prompt="a boat")


def test_a_time_elsewhere_is_written_in_utc() -> None:
    there = WHEN.astimezone(timezone(timedelta(hours=5, minutes=30)))
    assert build_manifest(facts(created_at=there)) == build_manifest(facts())


def test_a_thumbnail_is_named_only_when_there_is_one() -> None:
    assert "thumbnail" not in build_manifest(facts())
    assert build_manifest(facts(thumbnail=b"x"))["thumbnail"]["format"] == "image/jpeg"


@pytest.mark.parametrize(
    "change",
    [
        {"organisation": ""},
        {"model_licence": "   "},
        {"training_data": "x" * 2_001},
        {"product": "Cine\x00gate"},
        {"commercial_use": None},
        {"algorithm": "nodomain"},
        {"detector_url": "javascript:alert(1)"},
        {"weights_sha256": {}},
        {"weights_sha256": {"a": "AA" * 32}},
        {"human_oversight": "none"},
        {"training_uses": {"cawg.ai_training": "perhaps"}},
    ],
)
def test_a_setting_or_card_that_says_too_little_stops_the_manifest(
    change: dict[str, Any],
) -> None:
    with pytest.raises(ConfigurationFault):
        build_manifest(facts(**change))


@pytest.mark.parametrize(
    "change", [{"title": ""}, {"title": "a\u202eb"}, {"created_at": WHEN.replace(tzinfo=None)}]
)
def test_a_clip_without_title_or_time_gets_no_manifest(change: dict[str, Any]) -> None:
    with pytest.raises(StageUnavailable):
        facts(**change)


def test_a_fingerprint_is_a_soft_binding_of_its_own_beside_the_watermarks() -> None:
    manifest = build_manifest(facts(fingerprint=b"CGFP..."))
    bindings = [a["data"] for a in manifest["assertions"] if a["label"] == "c2pa.soft-binding"]
    assert [binding["alg"] for binding in bindings] == [
        "org.example.cinegate.wm.1",
        "org.example.cinegate.fp.1",
    ]
    assert bindings[0] == assertion(build_manifest(facts()), "c2pa.soft-binding")
    assert bindings[1]["blocks"] == [{"scope": {}, "value": "Q0dGUC4uLg=="}]
