"""The table: every combination of evidence, and what must never come out of it."""

from __future__ import annotations

from dataclasses import replace
from itertools import product
from pathlib import Path

import pytest

from gateway.findings import (
    RULES,
    CredentialsSay,
    Evidence,
    Finding,
    FingerprintSays,
    LogSays,
    WatermarkSays,
    decide,
    rule_for,
    sentence_for,
)
from gateway.meanings import MEANINGS, Technique, exhibit

C, W, L, F, P = CredentialsSay, WatermarkSays, LogSays, Finding, FingerprintSays
EVERY = [
    Evidence(credentials=c, watermark=w, log=log, fingerprint=p, same_clip=same)
    for c, w, log, p, same in product(C, W, L, P, (True, False))
]
NEGATIVE = {F.UNKNOWN, F.MADE_ELSEWHERE, F.RECORDED_NOT_AI}
DOCUMENT = Path(__file__).parents[2] / "docs" / "verify.md"


def evidence_of(c: C, w: W, log: L, p: P = P.NOTHING_LIKE_IT, *, same: bool = True) -> Evidence:
    return Evidence(credentials=c, watermark=w, log=log, fingerprint=p, same_clip=same)


def found(c: C, w: W, log: L, *, same: bool = True) -> Finding:
    return decide(evidence_of(c, w, log, same=same))


@pytest.mark.parametrize(
    ("credentials", "watermark", "log", "finding"),
    [
        (C.OURS, W.FOUND, L.RECORDED, F.MADE_HERE),
        (C.ABSENT, W.FOUND, L.RECORDED, F.MADE_HERE_CREDENTIALS_REMOVED),
        (C.AI, W.NOT_FOUND, L.NOT_ASKED, F.MADE_ELSEWHERE),
        (C.AI_UNRECOGNISED, W.NOT_FOUND, L.NOT_ASKED, F.MADE_ELSEWHERE),
        (C.NOT_AI, W.NOT_FOUND, L.NOT_ASKED, F.RECORDED_NOT_AI),
        (C.ABSENT, W.NOT_FOUND, L.NOT_ASKED, F.UNKNOWN),
        (C.SILENT, W.NOT_FOUND, L.NOT_ASKED, F.UNKNOWN),
        (C.INVALID, W.NOT_FOUND, L.NOT_ASKED, F.EVIDENCE_DISAGREES),
        (C.INVALID, W.FOUND, L.RECORDED, F.EVIDENCE_DISAGREES),
        (C.INVALID, W.FAILED, L.NOT_ASKED, F.EVIDENCE_DISAGREES),
        (C.OURS, W.NOT_FOUND, L.RECORDED, F.EVIDENCE_DISAGREES),
        (C.OURS, W.FOUND, L.NOT_RECORDED, F.EVIDENCE_DISAGREES),
        (C.OURS_ODD, W.FOUND, L.RECORDED, F.EVIDENCE_DISAGREES),
        (C.ABSENT, W.FOUND, L.NOT_RECORDED, F.EVIDENCE_DISAGREES),
        (C.NOT_AI, W.FOUND, L.RECORDED, F.EVIDENCE_DISAGREES),
        (C.AI, W.FOUND, L.RECORDED, F.EVIDENCE_DISAGREES),
        (C.SILENT, W.FOUND, L.RECORDED, F.EVIDENCE_DISAGREES),
        (C.FAILED, W.FOUND, L.RECORDED, F.COULD_NOT_CHECK),
        (C.FAILED, W.NOT_FOUND, L.NOT_ASKED, F.COULD_NOT_CHECK),
        (C.ABSENT, W.FAILED, L.NOT_ASKED, F.COULD_NOT_CHECK),
        (C.AI, W.FAILED, L.NOT_ASKED, F.COULD_NOT_CHECK),
        (C.NOT_AI, W.FAILED, L.NOT_ASKED, F.COULD_NOT_CHECK),
        (C.OURS, W.FAILED, L.RECORDED, F.COULD_NOT_CHECK),
        (C.OURS, W.FOUND, L.FAILED, F.COULD_NOT_CHECK),
        (C.ABSENT, W.FOUND, L.FAILED, F.COULD_NOT_CHECK),
    ],
)
def test_a_case_gets_its_finding(
    credentials: C, watermark: W, log: L, finding: Finding
) -> None:
    assert found(credentials, watermark, log) is finding


def test_credentials_of_another_clip_never_make_a_clip_ours() -> None:
    assert found(C.OURS, W.FOUND, L.RECORDED, same=False) is F.EVIDENCE_DISAGREES


def test_a_failure_leads_only_to_not_checked_or_to_a_contradiction() -> None:
    for evidence in EVERY:
        finding = decide(evidence)
        assert isinstance(finding, Finding)
        silent = (evidence.credentials, evidence.watermark, evidence.log)
        if C.FAILED in silent or W.FAILED in silent or L.FAILED in silent:
            assert finding in {F.COULD_NOT_CHECK, F.EVIDENCE_DISAGREES}, evidence


def test_made_here_needs_every_witness_and_the_others_need_silence() -> None:
    whole = [evidence_of(C.OURS, W.FOUND, L.RECORDED, look) for look in P]
    for evidence in EVERY:
        finding = decide(evidence)
        assert (finding is F.MADE_HERE) == (evidence in whole), evidence
        if finding is F.MADE_HERE_CREDENTIALS_REMOVED:
            assert (evidence.watermark, evidence.log) == (W.FOUND, L.RECORDED), evidence
            assert evidence.credentials is C.ABSENT, evidence
        if finding in NEGATIVE:
            assert evidence.watermark is W.NOT_FOUND, evidence


def test_a_likeness_changes_no_finding() -> None:
    for evidence in EVERY:
        heard = [P.LOOKS_LIKE, P.NOTHING_LIKE_IT, P.TOO_LITTLE_DETAIL]
        assert len({decide(replace(evidence, fingerprint=look)) for look in heard}) == 1


def test_a_likeness_that_could_not_be_looked_for_leaves_no_negative_finding() -> None:
    for evidence in EVERY:
        if evidence.fingerprint is P.FAILED:
            assert decide(evidence) not in NEGATIVE, evidence


def test_a_likeness_is_told_and_is_no_proof() -> None:
    for evidence in EVERY:
        told = "looks like a clip that was made here" in sentence_for(evidence)
        likely = evidence.fingerprint is P.LOOKS_LIKE and decide(evidence) in NEGATIVE
        assert told == likely, evidence
        if told:
            assert "likeness is no proof" in sentence_for(evidence)


def test_every_rule_of_the_table_is_reached() -> None:
    assert {id(rule_for(evidence)) for evidence in EVERY} >= {id(rule) for rule in RULES}
    assert {decide(evidence) for evidence in EVERY} == set(Finding)


def test_no_sentence_gives_a_percentage_or_calls_a_clip_real() -> None:
    texts = [sentence_for(evidence) for evidence in EVERY]
    texts += [text for words in MEANINGS.values() for text in words]
    for text in texts:
        assert "%" not in text
        assert "percent" not in text
        assert "real" not in text.replace("That does not mean it is real.", "").split()
    unknown = [rule.sentence for rule in RULES if rule.finding is F.UNKNOWN]
    assert all(text.endswith("That does not mean it is real.") for text in unknown)


def test_every_result_has_words_and_says_what_it_does_not_mean() -> None:
    for says in (*C, *W, *L, *P):
        item = exhibit(says, {})
        assert item.result
        assert item.meaning.endswith(".")
        assert item.not_meaning.endswith(".")


def test_the_document_explains_every_finding_and_every_result() -> None:
    text = DOCUMENT.read_text(encoding="utf-8")
    for finding in Finding:
        assert f"`{finding}`" in text
    for result in {words[0] for words in MEANINGS.values()} | set(map(str, Technique)):
        assert f"`{result}`" in text
