"""Reference images: real files of every awkward kind, and a gate that only one way opens."""

from __future__ import annotations

import contextlib
import io
import json
import struct
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import structlog
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image
from sklearn.datasets import load_sample_images
from typer.testing import CliRunner

from gateway.cli.main import app
from gateway.findings import Finding
from gateway.media.limits import PictureLimits, ProcessLimits
from gateway.media.picture import (
    StillPicture,
    decode_picture,
    looks_like_picture,
    parse_answer,
)
from gateway.media.sandbox import Unreadable
from gateway.origins import Origins
from gateway.provenance.credentials import Credentials
from gateway.reference_images import ReferenceGate, ReferenceReport
from gateway.witnesses import Compared
from safety.circumstances import Audience, Circumstances, Grant
from safety.frames import FrameGate
from safety.hash_list import HashList, HashLists
from safety.moderation import Named
from safety.pdq import picture_hash
from safety.pictures import PictureScores
from safety.policy import POLICY_PATH, Policy
from safety.verdict import Action, Category, PictureNote, Stage
from watermark.fingerprint.maker import Onlooker
from watermark.fingerprint.query import Query
from watermark.keys import WatermarkKey
from watermark.payload import Payload
from watermark.reading import nothing
from watermark.spread import SpreadWatermarker

POLICY = Policy.load(POLICY_PATH)
JUDGED = frozenset(c for c, rule in POLICY.rules.items() if rule.frames is not None)
CHINA, FLOWER = load_sample_images().images
LIKENESS, FIGURE = Category.PRIVATE_LIKENESS, Category.PUBLIC_FIGURE
FACE = frozenset({PictureNote.FACE})


# --- the files --------------------------------------------------------------------------


def written(tmp_path: Path, content: bytes) -> Path:
    path = tmp_path / "picture"
    path.write_bytes(content)
    return path


def coded(image: Image.Image, kind: str = "PNG", **options: Any) -> bytes:
    data = io.BytesIO()
    image.save(data, kind, **options)
    return data.getvalue()


def read(tmp_path: Path, content: bytes, **limits: Any) -> StillPicture:
    return decode_picture(written(tmp_path, content), PictureLimits(**limits))


def refused(tmp_path: Path, content: bytes, **limits: Any) -> str:
    with pytest.raises(Unreadable) as refusal:
        read(tmp_path, content, **limits)
    assert str(tmp_path) not in refusal.value.message
    assert refusal.value.status == 422
    return refusal.value.reason


def marked_corner(mode: str = "RGB", size: tuple[int, int] = (120, 80)) -> Image.Image:
    """Dark, with a bright square at the top left."""
    image = Image.new("RGB", size, (40, 40, 40))
    image.paste((250, 250, 250), (0, 0, 30, 30))
    return image.convert(mode)


def chunk(kind: bytes, data: bytes) -> bytes:
    check = zlib.crc32(kind + data)
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", check)


def png(
    width: int, height: int, *, depth: int = 8, colour: int = 2, rows: bytes = b""
) -> bytes:
    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(rows))
        + chunk(b"IEND", b"")
    )


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP"])
def test_each_kind_is_read_as_it_is(tmp_path: Path, kind: str) -> None:
    options = {} if kind == "PNG" else {"quality": 95}
    found = read(tmp_path, coded(Image.fromarray(CHINA), kind, **options))
    assert (found.format, found.mime) == (kind.lower(), f"image/{kind.lower()}")
    assert (found.pixels.dtype, found.pixels.shape) == (np.uint8, CHINA.shape)
    assert np.abs(found.pixels.astype(int) - CHINA).mean() < (0.1 if kind == "PNG" else 6)
    assert looks_like_picture(tmp_path / "picture")


def test_a_turned_photograph_is_given_as_it_is_shown(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # the viewer turns it clockwise by 90 degrees
    for kind in ("JPEG", "PNG", "WEBP"):
        found = read(tmp_path, coded(marked_corner(), kind, exif=exif))
        assert found.shown == (80, 120)
        assert found.pixels[5, -6].min() > 200
        assert found.pixels[5, 5].max() < 90


@pytest.mark.parametrize(
    ("mode", "kind"),
    [
        ("1", "PNG"),
        ("L", "PNG"),
        ("P", "PNG"),
        ("CMYK", "JPEG"),
        ("L", "JPEG"),
        ("I;16", "PNG"),
    ],
)
def test_every_colour_mode_shows_the_same_scene(tmp_path: Path, mode: str, kind: str) -> None:
    if mode == "I;16":
        grey = np.asarray(marked_corner("L")).astype(np.uint16) * 257
        image = Image.fromarray(grey)
    else:
        image = marked_corner(mode)
    found = read(tmp_path, coded(image, kind))
    assert found.pixels[5, 5].min() > 230
    assert found.pixels[-5, -5].max() < 60


def test_sixteen_bits_a_colour_become_eight(tmp_path: Path) -> None:
    row = b"\0" + struct.pack(">HHH", 0x1234, 0x80FF, 0xFFFF) * 64
    found = read(tmp_path, png(64, 64, depth=16, rows=row * 64))
    assert tuple(found.pixels[0, 0]) == (0x12, 0x80, 0xFF)


def test_what_is_see_through_lies_over_grey(tmp_path: Path) -> None:
    image = marked_corner("RGBA")
    image.putalpha(Image.new("L", image.size, 0))
    found = read(tmp_path, coded(image))
    assert (found.pixels == 128).all()
    half = marked_corner("RGBA")
    half.putalpha(128)
    assert abs(int(read(tmp_path, coded(half)).pixels[5, 5, 0]) - 189) <= 1
    palette = marked_corner("P")
    content = coded(palette, transparency=palette.getpixel((5, 5)))
    found = read(tmp_path, content)
    assert tuple(found.pixels[5, 5]) == (128, 128, 128)
    assert found.pixels[-5, -5].max() < 60


def test_a_large_picture_is_shrunk_and_tells_its_own_size(tmp_path: Path) -> None:
    found = read(tmp_path, coded(marked_corner(size=(3000, 1000))), kept_side=300)
    assert (found.pixels.shape, found.shown) == ((100, 300, 3), (3000, 1000))


def test_a_second_picture_inside_a_jpeg_is_passed_over(tmp_path: Path) -> None:
    content = coded(
        marked_corner(), "MPO", save_all=True, append_images=[Image.new("RGB", (120, 80))]
    )
    found = read(tmp_path, content)
    assert (found.format, found.shown) == ("jpeg", (120, 80))
    assert found.pixels[5, 5].min() > 230


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP"])
def test_bytes_after_the_picture_change_nothing(tmp_path: Path, kind: str) -> None:
    content = coded(marked_corner(), kind)
    clean = read(tmp_path, content)
    page = read(tmp_path, content + b"<html><script>1</script>PK\x03\x04" * 50)
    assert np.array_equal(clean.pixels, page.pixels)


@pytest.mark.parametrize("kind", ["PNG", "WEBP", "GIF"])
def test_a_picture_that_moves_is_refused(tmp_path: Path, kind: str) -> None:
    frames = [marked_corner(), Image.new("RGB", (120, 80), (9, 200, 9))]
    content = coded(frames[0], kind, save_all=True, append_images=frames[1:], duration=100)
    assert refused(tmp_path, content) == ("not_picture" if kind == "GIF" else "animated")


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP"])
@pytest.mark.parametrize("share", [0.02, 0.4, 0.95])
def test_a_picture_that_was_cut_off_is_refused(tmp_path: Path, kind: str, share: float) -> None:
    content = coded(Image.fromarray(CHINA), kind)
    assert refused(tmp_path, content[: int(len(content) * share)]) in {"broken", "not_picture"}


BOMBS = {
    "png 50k": png(50_000, 50_000),
    "png wide": png(20_000, 64),
    "png no width": png(0, 80),
    "jpeg 65k": coded(marked_corner(), "JPEG").replace(
        struct.pack(">HH", 80, 120), struct.pack(">HH", 65_000, 65_000), 1
    ),
}


@pytest.mark.parametrize("name", BOMBS)
def test_a_picture_that_claims_to_be_huge_is_refused_before_a_pixel(
    tmp_path: Path, name: str
) -> None:
    reason = refused(tmp_path, BOMBS[name], process=ProcessLimits(cpu_seconds=4))
    assert reason in {"too_large"} if name != "png no width" else {"not_picture", "too_small"}


def test_a_text_that_unpacks_to_much_more_is_refused(tmp_path: Path) -> None:
    squeezed = zlib.compress(b"a" * 4_000_000, 9)
    content = coded(marked_corner())
    header = content[:33]
    bomb = header + chunk(b"zTXt", b"x\0\0" + squeezed) + content[33:]
    assert refused(tmp_path, bomb) in {"broken", "not_picture", "limit"}


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "empty"),
        (b"no picture at all", "not_picture"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "not_picture"),
        (coded(marked_corner(), "BMP"), "not_picture"),
        (coded(marked_corner(), "TIFF"), "not_picture"),
        (coded(Image.new("RGB", (63, 500))), "too_small"),
        (b"\x89PNG\r\n\x1a\n", "not_picture"),
        (b"\xff\xd8\xff\xe0" + b"\0" * 64, "not_picture"),
    ],
)
def test_what_is_no_picture_of_ours_is_refused(
    tmp_path: Path, content: bytes, reason: str
) -> None:
    assert refused(tmp_path, content) == reason


def test_a_file_above_the_limit_is_not_opened(tmp_path: Path) -> None:
    assert refused(tmp_path, coded(marked_corner()), max_bytes=50) == "too_large"
    with pytest.raises(Unreadable):
        decode_picture(tmp_path / "absent")


def test_a_picture_that_takes_too_much_memory_is_refused(tmp_path: Path) -> None:
    tight = ProcessLimits(memory_bytes=400 * 1024**2, output_bytes=16 * 1024**2)
    content = coded(Image.new("RGB", (16_000, 3_000)), compress_level=1)
    assert refused(tmp_path, content, process=tight) in {"limit", "broken"}


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"{}",
        b"[]\n",
        b'{"kind":"picture","format":"png","width":2,"height":2,"shown":[2,2]}\n' + b"x" * 11,
        b'{"kind":"picture","format":"gif","width":2,"height":2,"shown":[2,2]}\n' + b"x" * 12,
        b'{"kind":"picture","format":"png","width":-2,"height":-2,"shown":[2,2]}\n' + b"x" * 12,
        b'{"kind":"picture","format":"png","width":2,"height":2,"shown":2}\n' + b"x" * 12,
        b'{"kind":"picture","format":["png"],"width":2,"height":2,"shown":[2,2]}\n' + b"x" * 12,
        b'{"kind":"fault","reason":"<b>"}\n',
        b'{"kind":"fault","reason":["limit"]}\n',
        b" " * 500 + b"{}\n",
    ],
)
def test_a_child_that_lies_is_not_believed(answer: bytes) -> None:
    with pytest.raises(Unreadable) as refusal:
        parse_answer(answer, PictureLimits())
    assert refusal.value.reason == "broken"


@settings(max_examples=6, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_a_damaged_file_gives_a_picture_or_a_reason(
    tmp_path: Path, data: st.DataObject
) -> None:
    kind = data.draw(st.sampled_from(["PNG", "JPEG", "WEBP"]))
    content = bytearray(coded(marked_corner(), kind))
    for _ in range(data.draw(st.integers(1, 6))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    with contextlib.suppress(Unreadable):
        assert read(tmp_path, bytes(content)).pixels.shape[2] == 3


# --- the gate ---------------------------------------------------------------------------


@dataclass
class Looker:
    """A classifier that says the same of every picture."""

    scores: Mapping[Category, float] = field(default_factory=lambda: dict.fromkeys(JUDGED, 0.0))
    notes: frozenset[PictureNote] = frozenset()
    named: tuple[Named, ...] = ()
    name: str = "looker@1"
    categories: frozenset[Category] = frozenset()

    def score(self, frames: Any) -> Sequence[PictureScores]:
        return [
            PictureScores(scores=self.scores, notes=self.notes, named=self.named)
            for _ in frames
        ]


@dataclass
class Origin:
    finding: Finding | Exception = Finding.UNKNOWN

    def of(self, path: Path, picture: StillPicture) -> Any:
        assert path.is_file()
        if isinstance(self.finding, Exception):
            raise self.finding
        return SimpleNamespace(finding=self.finding)


@dataclass
class Faces:
    count: int | Exception
    whole: bool = True

    def find(self, frame: Any) -> Any:
        if isinstance(self.count, Exception):
            raise self.count
        return SimpleNamespace(faces=[object()] * self.count, whole=self.whole)


def known(category: Category, picture: Any = CHINA) -> HashLists:
    value = bytes(picture_hash(picture).symmetries[0])
    return HashLists([HashList(name="ngo", category=category, version="1", hashes=value)])


@pytest.fixture
def gate(tmp_path: Path) -> ReferenceGate:
    """A gate with nothing against the picture."""
    return ReferenceGate(
        frames=FrameGate(classifiers=(Looker(),), policy=POLICY),
        lists=HashLists,
        origin=Origin(),
        scratch=tmp_path / "work",
        decode=lambda _: StillPicture(pixels=CHINA, format="png", shown=(640, 427)),
    )


def looking(gate: ReferenceGate, *lookers: Looker, **changes: Any) -> ReferenceGate:
    return replace(gate, frames=replace(gate.frames, classifiers=lookers), **changes)


def judged(gate: ReferenceGate, **circumstances: Any) -> ReferenceReport:
    return gate.judge(b"content", circumstances=Circumstances(**circumstances))


def test_a_picture_with_nothing_against_it_is_allowed(gate: ReferenceGate) -> None:
    report = judged(gate)
    assert report.verdict.action is Action.ALLOW
    assert report.verdict.judges == ("looker@1", "hash-lists@none")
    assert report.verdict.stage is Stage.FRAMES
    assert len(report.sha256) == 64
    assert list(gate.scratch.iterdir()) == []


def test_what_the_frame_gate_stops_is_stopped(gate: ReferenceGate) -> None:
    explicit = dict.fromkeys(JUDGED, 0.0) | {Category.SEXUAL_EXPLICIT: 0.99}
    assert judged(looking(gate, Looker(scores=explicit))).verdict.action is Action.BLOCK
    assert judged(looking(gate, Looker(scores={}))).verdict.action is Action.REVIEW
    assert judged(looking(gate)).verdict.action is Action.REVIEW
    nan = dict.fromkeys(JUDGED, float("nan"))
    assert judged(looking(gate, Looker(scores=nan))).verdict.action is Action.BLOCK


@pytest.mark.parametrize("category", list(Category))
def test_a_listed_picture_never_passes_the_public(
    gate: ReferenceGate, category: Category
) -> None:
    report = judged(replace(gate, lists=lambda: known(category)))
    assert report.verdict.action is not Action.ALLOW
    assert report.lists == ("ngo",)
    assert report.verdict.judges[-1].startswith("hash-lists@")
    if category in (Category.SEXUAL_MINORS, Category.EXTREMISM_TERROR):
        assert report.verdict.action is Action.BLOCK
    assert "ngo" not in " ".join(reason.text for reason in report.verdict.reasons)


@pytest.mark.parametrize(
    ("category", "action"),
    [(Category.EXTREMISM_TERROR, Action.BLOCK), (Category.FLASHING_LIGHT, Action.REVIEW)],
    ids=["judges words", "judges neither"],
)
def test_a_list_counts_where_the_policy_judges_no_pictures_for_it(
    gate: ReferenceGate, category: Category, action: Action
) -> None:
    rule = replace(POLICY.rules[category], frames=None)
    policy = replace(POLICY, rules={**POLICY.rules, category: rule})
    deaf = replace(
        gate, frames=replace(gate.frames, policy=policy), lists=lambda: known(category)
    )
    assert judged(deaf).verdict.action is action


def test_nobody_may_release_a_listed_picture_of_a_minor(gate: ReferenceGate) -> None:
    report = judged(
        replace(gate, lists=lambda: known(Category.SEXUAL_MINORS)), audience=Audience.INTERNAL
    )
    assert report.verdict.action is Action.BLOCK
    assert not POLICY.may_release(report.verdict.action, report.verdict.grounds)


def test_a_picture_too_weak_to_compare_is_held_only_beside_lists(gate: ReferenceGate) -> None:
    flat = StillPicture(pixels=np.full_like(CHINA, 90), format="png", shown=(640, 427))
    plain = replace(gate, decode=lambda _: flat)
    assert judged(plain).verdict.action is Action.ALLOW
    assert judged(replace(plain, lists=lambda: known(Category.HATE))).verdict.action is (
        Action.REVIEW
    )
    other = replace(gate, lists=lambda: known(Category.HATE, FLOWER))
    assert judged(other).verdict.action is Action.ALLOW


def test_lists_that_cannot_be_asked_hold_the_picture(gate: ReferenceGate) -> None:
    def broken() -> HashLists:
        raise OSError

    report = judged(replace(gate, lists=broken))
    assert report.verdict.action is Action.REVIEW
    assert report.verdict.judges[-1] == "hash-lists@unavailable"


@pytest.mark.parametrize("finding", [*Finding, RuntimeError("broken")], ids=str)
def test_an_origin_that_is_unclear_holds_the_picture(
    gate: ReferenceGate, finding: Finding | Exception
) -> None:
    report = judged(replace(gate, origin=Origin(finding)))
    unclear = isinstance(finding, Exception) or finding in {
        Finding.COULD_NOT_CHECK,
        Finding.EVIDENCE_DISAGREES,
    }
    assert report.verdict.action is (Action.REVIEW if unclear else Action.ALLOW)


ADA = Named(category=LIKENESS, subject="ada", score=0.95)
BEN = Named(category=LIKENESS, subject="ben", score=0.95)


def test_an_unknown_face_is_held_with_the_rule(gate: ReferenceGate) -> None:
    for faces in (None, Faces(1)):
        report = judged(looking(gate, Looker(notes=FACE), faces=faces))
        assert report.verdict.action is Action.REVIEW
        [reason] = report.verdict.reasons
        assert (reason.category, reason.rule) == (LIKENESS, POLICY.rules[LIKENESS].rule)
        assert reason.text == POLICY.rules[LIKENESS].text


def grants(*people: Named) -> frozenset[Grant]:
    return frozenset(person.grant for person in people)


def unknown_face(report: ReferenceReport) -> bool:
    """Whether our own rule about faces spoke, which gives no time."""
    rule = POLICY.rules[LIKENESS].rule
    return any(r.rule == rule and r.start is None for r in report.verdict.reasons)


def test_a_face_passes_with_the_consent_of_that_person_only(gate: ReferenceGate) -> None:
    with_ada = looking(gate, Looker(notes=FACE, named=(ADA,)), faces=Faces(1))
    allowed = judged(with_ada, audience=Audience.INTERNAL, grants=grants(ADA))
    assert allowed.verdict.action is Action.ALLOW
    assert allowed.people == (ADA,)
    for others in (frozenset(), grants(BEN)):
        stopped = judged(with_ada, audience=Audience.INTERNAL, grants=others)
        assert stopped.verdict.action is not Action.ALLOW
        assert unknown_face(stopped)


@pytest.mark.parametrize(
    "faces", [None, Faces(2), Faces(1, whole=False), Faces(RuntimeError("broken"))], ids=str
)
def test_consent_of_one_does_not_cover_who_else_may_be_there(
    gate: ReferenceGate, faces: Faces | None
) -> None:
    with_ada = looking(gate, Looker(notes=FACE, named=(ADA,)), faces=faces)
    report = judged(with_ada, audience=Audience.INTERNAL, grants=grants(ADA))
    assert report.verdict.action is Action.REVIEW


def test_two_faces_need_two_consents(gate: ReferenceGate) -> None:
    both = looking(gate, Looker(notes=FACE, named=(ADA, BEN, ADA)), faces=Faces(2))
    inside = Audience.INTERNAL
    allowed = judged(both, audience=inside, grants=grants(ADA, BEN))
    assert allowed.verdict.action is Action.ALLOW
    stopped = judged(both, audience=inside, grants=grants(ADA))
    assert stopped.verdict.action is not Action.ALLOW


def test_a_name_that_is_only_written_in_the_picture_is_no_known_face(
    gate: ReferenceGate,
) -> None:
    written_name = Looker(named=(ADA,), name="text@1")
    both = looking(gate, Looker(notes=FACE), written_name, faces=Faces(1))
    report = judged(both, audience=Audience.INTERNAL, grants=grants(ADA))
    assert report.verdict.action is Action.REVIEW
    assert report.people == ()


def test_a_face_that_only_the_finder_sees_is_held_too(gate: ReferenceGate) -> None:
    assert judged(replace(gate, faces=Faces(1))).verdict.action is Action.REVIEW
    assert judged(replace(gate, faces=Faces(0, whole=False))).verdict.action is Action.REVIEW
    assert judged(replace(gate, faces=Faces(0))).verdict.action is Action.ALLOW


def test_a_file_that_cannot_be_decoded_has_no_report(
    tmp_path: Path, gate: ReferenceGate
) -> None:
    with pytest.raises(Unreadable):
        replace(gate, decode=decode_picture).judge(b"no picture")
    assert list(gate.scratch.iterdir()) == []


def test_the_real_bytes_are_decoded_and_judged(gate: ReferenceGate) -> None:
    real = replace(gate, decode=decode_picture, lists=lambda: known(Category.SEXUAL_MINORS))
    mirrored = (
        Image.fromarray(CHINA).transpose(Image.Transpose.FLIP_LEFT_RIGHT).resize((320, 214))
    )
    report = real.judge(coded(mirrored, "WEBP", quality=40))
    assert report.verdict.action is Action.BLOCK
    assert report.picture.format == "webp"


# --- the origin -------------------------------------------------------------------------


class Witnesses:
    """Credentials, register and log that know nothing; what was asked is kept."""

    def __init__(self, credentials: Credentials, reader: Any) -> None:
        self.asked: list[str] = []
        self.origins = Origins(
            credentials=self, watermark=reader, registry=self, log=self,  # type: ignore[arg-type]
            looks=Blank(),
            clock=Circumstances,  # type: ignore[arg-type]
        )  # fmt: skip
        self._credentials = credentials

    def read(self, source: Path, *, mime: str) -> Credentials:
        self.asked.append(mime)
        return self._credentials

    def find(self, clip_id: str) -> None:
        self.asked.append(clip_id)

    def candidates(self) -> list[Payload]:
        return []


class Blank:
    """Nothing was released yet."""

    def onlooker(self) -> Onlooker:
        return Onlooker()

    def compare(self, query: Query) -> Compared:
        detail = query.enough_detail
        return Compared(enough_detail=detail, matches=(), clips=0, released=0)


class NoMark:
    name = "none@1"

    def extract(self, chunks: Iterator[Any], **_: Any) -> Any:
        read = sum(len(part) for part in chunks)
        return nothing(algorithm=self.name, frames_read=read, pilot_score=0.0)


def still(pixels: Any = CHINA, kind: str = "jpeg") -> StillPicture:
    return StillPicture(pixels=pixels, format=kind, shown=(640, 427))


AI = "http://cv.iptc.org/newscodes/digitalsourcetype/trainedAlgorithmicMedia"


@pytest.mark.parametrize(
    ("credentials", "finding"),
    [
        (Credentials(state="absent"), Finding.UNKNOWN),
        (Credentials(state="invalid"), Finding.EVIDENCE_DISAGREES),
        (Credentials(state="unreadable"), Finding.COULD_NOT_CHECK),
        (
            Credentials(state="trusted", signer="Other", digital_source_types=(AI,)),
            Finding.MADE_ELSEWHERE,
        ),
    ],
)
def test_the_origin_of_a_picture_is_found_as_that_of_a_clip(
    tmp_path: Path, credentials: Credentials, finding: Finding
) -> None:
    witnesses = Witnesses(credentials, NoMark())
    report = witnesses.origins.of(written(tmp_path, b"x"), still())
    assert report.finding is finding
    assert witnesses.asked == ["image/jpeg"]


def test_a_still_of_a_clip_of_ours_leads_to_its_number(tmp_path: Path) -> None:
    marker = SpreadWatermarker([WatermarkKey(id="k", secret=b"s" * 32)], "org.example.wm.1")
    clip = np.stack([CHINA[:416]] * 4)
    frames = np.concatenate(
        list(marker.embed(iter([clip]), Payload.from_hex("00c0ffee00c0ffee"), fps=24.0))
    )
    witnesses = Witnesses(Credentials(state="absent"), marker)
    report = witnesses.origins.of(written(tmp_path, b"x"), still(frames[2]))
    assert report.clip_id == "00c0ffee00c0ffee"
    assert report.finding is Finding.EVIDENCE_DISAGREES  # this register does not know it


# --- the command ------------------------------------------------------------------------


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.setenv("CINEGATE_DATA_DIR", str(tmp_path / "data"))
    yield tmp_path
    structlog.reset_defaults()


def run(*arguments: str | Path, code: int = 0) -> str:
    done = CliRunner().invoke(app, [str(argument) for argument in arguments])
    assert done.exit_code == code, (done.output, done.exception)
    return done.output


def test_classify_takes_a_picture(folder: Path) -> None:
    path = folder / "china.png"
    path.write_bytes(coded(Image.fromarray(CHINA).resize((160, 107))))
    told = json.loads(run("classify", path, "--json"))
    assert told["picture"] == {"format": "png", "shown": [160, 107]}
    assert told["origin"] == "unknown"
    assert told["hash_lists"] == []
    assert "hash-lists@none" in told["judges"]


def test_classify_says_why_a_picture_cannot_be_read(folder: Path) -> None:
    path = folder / "china.png"
    path.write_bytes(coded(Image.fromarray(CHINA))[:900])
    told = json.loads(run("classify", path, "--json", code=6))
    assert told["error"]["code"] == "unreadable_clip"
    run("classify", folder / "absent.png", code=6)
