"""Our manifests under the C2PA conformance rubrics (programme 0.2, specification 2.4).

The rubrics' own expressions are run by ``json_formula``. Its verdicts on all the cases below
were compared once with Adobe's json-formula 2.0.0 (JavaScript): the same in 28 × 31 verdicts.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import c2pa
import pytest
import yaml

from gateway.provenance.manifest import SPEC_VERSION
from gateway.provenance.trust import context_settings
from tests.contract.json_formula import Formula
from tests.contract.provenance_kit import Workshop, workshop

pytestmark = pytest.mark.socket
RUBRICS = Path(__file__).parents[1] / "data" / "rubric"
CONFORMANCE = "asset-rubric-conformance0.2-spec2.4.yml"


class Rubric:
    """A rubric file: named traits, each true or false of a document."""

    def __init__(self, name: str) -> None:
        head, self._traits = yaml.safe_load_all((RUBRICS / name).read_text(encoding="utf-8"))
        variables = {**head.get("variables", {}), "$expected_spec_version": SPEC_VERSION}
        self._formula = Formula(variables, head.get("expressions", {}))

    def judge(self, document: Any) -> dict[str, bool]:
        verdicts = {}
        for trait in self._traits:
            result = self._formula.search(trait["expression"], document)
            negative = trait.get("failIfMatched") or trait.get("warnIfMatched")
            verdicts[trait["id"].split(":")[1]] = not result if negative else result is True
        return verdicts


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workshop]:
    with workshop(tmp_path_factory.mktemp("shop")) as opened:
        yield opened


@pytest.fixture(scope="module")
def rubric() -> Rubric:
    return Rubric(CONFORMANCE)


@pytest.fixture(scope="module")
def report(shop: Workshop) -> dict[str, Any]:
    """The crJSON of a clip that we signed."""
    settings = context_settings(
        claim_anchors=shop.pki.anchors_pem, stamp_anchors=shop.pki.tsa_anchors_pem
    )
    with (
        c2pa.Context.from_json(settings) as context,
        shop.signed("rubric").open("rb") as clip,
        c2pa.Reader("video/mp4", clip, context=context) as reader,
    ):
        found: dict[str, Any] = json.loads(reader.crjson())
    return found


def test_a_signed_clip_has_all_traits_of_the_conformance_rubric(
    rubric: Rubric, report: dict[str, Any]
) -> None:
    verdicts = rubric.judge(report)
    assert len(verdicts) == 31
    assert [trait for trait, held in verdicts.items() if not held] == []


def test_a_signed_clip_is_well_formed_valid_and_trusted(report: dict[str, Any]) -> None:
    verdicts = Rubric("asset-rubric-integrity.yml").judge(report)
    assert len(verdicts) == 6
    assert all(verdicts.values())


def test_a_signed_clip_signals_fully_generated_media_and_nothing_ambiguous(
    report: dict[str, Any],
) -> None:
    verdicts = Rubric("asset-rubric-signals-local.yml").judge(report["manifests"][0])
    assert {trait for trait, held in verdicts.items() if held} == {
        "signal_fullyGenAIMedia",
        "signal_nonEditorial",  # the watermark
    }


Manifest = dict[str, Any]


def _actions(manifest: Manifest) -> dict[str, Any]:
    found: dict[str, Any] = manifest["assertions"]["c2pa.actions.v2"]
    return found


def _add_action(**action: Any) -> Callable[[Manifest], object]:
    return lambda manifest: _actions(manifest)["actions"].append(action)


def _add_assertion(label: str, /, **content: Any) -> Callable[[Manifest], object]:
    return lambda manifest: manifest["assertions"].update({label: content})


def _generator(manifest: Manifest) -> dict[str, Any]:
    found: dict[str, Any] = manifest["claim.v2"]["claim_generator_info"]
    return found


def _two_kinds_of_tiff_hash(manifest: Manifest) -> None:
    _add_assertion("c2pa.hash.boxes")(manifest)
    _add_assertion("c2pa.asset-type.v2", **{"dc:format": "image/tiff"})(manifest)


SPOILED: dict[str, tuple[Callable[[Manifest], object], set[str]]] = {
    "creation without a source type": (
        lambda m: _actions(m)["actions"][0].pop("digitalSourceType"),
        {"mandatory_dst_for_created_action"},
    ),
    "actions without a word on completeness": (
        lambda m: _actions(m).pop("allActionsIncluded"),
        {"mandatory_all_actions_included"},
    ),
    "another version": (
        lambda m: _generator(m).update(specVersion="2.2.0"),
        {"mandatory_spec_version"},
    ),
    "no version": (lambda m: _generator(m).pop("specVersion"), {"mandatory_spec_version"}),
    "a version that is a number": (
        lambda m: _generator(m).update(specVersion=2),
        {"mandatory_spec_version"},
    ),
    "an edit without a source type": (
        _add_action(action="c2pa.edited"),
        {"mandatory_dst_for_perceptible_transformations"},
    ),
    "an opening with a source type and no ingredient": (
        _add_action(action="c2pa.opened", digitalSourceType="x"),
        {"no_dst_for_opened_action", "opened_action_ingredient_reference"},
    ),
    "a deprecated action": (
        _add_action(action="c2pa.watermarked"),
        {"no_deprecated_actions"},
    ),
    "an unknown standard action": (
        _add_action(action="c2pa.conjured", digitalSourceType="x"),
        {"no_unsupported_actions"},
    ),
    "a custom action without a domain": (
        _add_action(action="foo", parameters={"bar": 1, "description": "x"}),
        {
            "no_unrecognized_custom_actions",
            "no_unrecognized_custom_action_parameters",
            "discouraged_legacy_action_parameters",
        },
    ),
    "a label without a dot": (_add_assertion("foo"), {"no_unrecognized_custom_assertions"}),
    "an unknown standard label": (
        _add_assertion("c2pa.foo__1"),
        {"no_unsupported_assertions"},
    ),
    "a deprecated label": (_add_assertion("stds.x"), {"no_deprecated_assertions"}),
    "an old manifest name": (
        lambda m: m.update(label="urn:uuid:1"),
        {"active_manifest_urn"},
    ),
    "no validation": (
        lambda m: m.pop("validationResults"),
        {
            "well_formed_data_present",
            "well_formed_success",
            "valid_data_present",
            "valid_success",
        },
    ),
    "failures": (
        lambda m: m["validationResults"].update(
            failure=[{"code": "assertion.bmffHash.mismatch"}, {"code": "claim.missing"}]
        ),
        {"well_formed_success", "valid_success"},
    ),
    "an ingredient of no kind": (
        _add_assertion(
            "c2pa.ingredient.v3",
            relationship="foo",
            activeManifest={"url": "x"},
            digitalSourceType="x",
        ),
        {
            "ingredient_v3_mandatory_validation_results",
            "ingredient_relationship_values",
            "ingredient_v3_choice",
        },
    ),
    "an ingredient with results of nothing": (
        _add_assertion(
            "c2pa.ingredient.v3", relationship="inputTo", validationResults={"a": 1}
        ),
        {"ingredient_v3_no_active_manifest"},
    ),
    "creation not first": (
        lambda m: _actions(m)["actions"].reverse(),
        {"inception_action_position"},
    ),
    "actions only gathered": (
        lambda m: m["claim.v2"].update(created_assertions=[]),
        {"inception_action_position"},
    ),
    "an address in a hash": (
        lambda m: m["assertions"]["c2pa.hash.bmff.v3"].update(url="x"),
        {"no_url_in_hashes"},
    ),
    "a box hash of a TIFF": (_two_kinds_of_tiff_hash, {"no_box_hash_for_tiff"}),
    "a reference to a hash": (
        _add_assertion("c2pa.external-reference", label="c2pa.hash.data", url="x"),
        {"forbidden_labels_in_external_references"},
    ),
    "a version in the claim": (
        lambda m: m["claim.v2"].update(specVersion="2.4"),
        {"no_deprecated_claim_fields"},
    ),
    "ratings of a human entry": (
        _add_assertion("a.b", reviewRatings=[1], dataSource={"type": "humanEntry.anonymous"}),
        {"review_ratings_datasource"},
    ),
    "only opened, and incomplete": (
        lambda m: _actions(m).update(
            actions=[{"action": "c2pa.opened"}], allActionsIncluded=False
        ),
        {"all_actions_included_opened", "opened_action_ingredient_reference"},
    ),
    "an original in neither place": (
        _add_assertion("a.c", type="exif.originalPreservationImage", parameters={}),
        {"alternative_content_representation_choice"},
    ),
}


@pytest.mark.parametrize("case", SPOILED)
def test_the_rubric_notices(rubric: Rubric, report: dict[str, Any], case: str) -> None:
    spoil, expected = SPOILED[case]
    document = copy.deepcopy(report)
    spoil(document["manifests"][0])
    assert {trait for trait, held in rubric.judge(document).items() if not held} == expected


def test_every_trait_of_the_rubric_can_fail(rubric: Rubric, report: dict[str, Any]) -> None:
    provoked = set().union(*(expected for _, expected in SPOILED.values()))
    assert set(rubric.judge(report)) == provoked
