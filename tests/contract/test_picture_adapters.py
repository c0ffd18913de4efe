"""Picture models from folders: tiny ones with real loading code, and what they must refuse."""

from __future__ import annotations

import json
import shutil
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from pydantic import TypeAdapter
from safetensors.torch import load_file, save_file
from transformers import AutoImageProcessor, AutoModel, AutoProcessor
from transformers import ShieldGemma2ForImageClassification as Shield
from transformers import ViTForImageClassification as Vit

from safety.adapters.faults import ExtraMissing, GuardRefused
from safety.adapters.label_map import SAID_SCORE
from safety.adapters.picture_fit import squared
from safety.adapters.picture_guard import DECIDED_SCORE, weighed
from safety.adapters.picture_model import PictureModel, picture_model
from safety.adapters.picture_settings import PictureModelSettings
from safety.cards import WeightsMissing
from safety.frames import FrameClassifier, FrameGate
from safety.policy import POLICY_PATH, Policy
from safety.verdict import Action, Category
from tests.contract.tiny_pictures import (
    MULTI,
    card_of,
    clip,
    dark,
    image_classifier,
    light,
    noise,
    siglip,
    siglip2,
)
from tests.contract.tiny_vision_guards import (
    LLAVA_TEMPLATE,
    SHIELD_TEMPLATE,
    mllama,
    shield,
    vision_writer,
)

POLICY = Policy.load(POLICY_PATH)
SETTINGS: TypeAdapter[PictureModelSettings] = TypeAdapter(PictureModelSettings)
GORE, HATE, VIOLENCE = Category.GORE_GRAPHIC, Category.HATE, Category.VIOLENCE
EXPLICIT = Category.SEXUAL_EXPLICIT
BIASES = {"fine": 1.0, "gory": 0.0, "crude": 0.5}
EVEN = dict.fromkeys(BIASES, 0.0)
LABELS = {"gory": {"categories": ["gore_graphic"]}, "crude": {"categories": ["hate"]}}
CLASSIFIER = {"kind": "image_classifier", "labels": LABELS}
TEXTS = {"gore_graphic": ["blood", "an open wound"], "hate": ["a burning cross"]}
NEUTRAL = ["a tree", "a dog in the rain"]
ZERO_SHOT = {"kind": "zero_shot", "texts": TEXTS}
LLAMA = {"kind": "vision_guard", "format": "llama_guard"}
JSON = {"kind": "vision_guard", "format": "llava_guard", "prompt": "Is it safe?"}
SHIELD = {"kind": "vision_guard", "format": "shield_gemma_2"}
ASKED = {
    "kind": "vision_guard",
    "format": "yes_no",
    "questions": {"blood": "Is there blood?", "cross": "Is there a cross?"},
    "labels": {"blood": {"categories": ["gore_graphic"]}, "cross": {"categories": ["hate"]}},
}
UNSAFE = {"?": ("safe",), "unsafe": ("\n", "S1")}
RATED = {
    "?": ('{"rating": "', "Safe", '", "category": "NA: None applying", '),
    "Unsafe": ('", "category": "O2: Violence, Harm, or Cruelty", ',),
}


@pytest.fixture(scope="module")
def shelf(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Path]]:
    """One folder of each kind; tests that change one copy it."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    root = tmp_path_factory.mktemp("pictures")
    found = {name: root / name for name in KINDS}
    for folder in found.values():
        folder.mkdir()
    image_classifier(found["vit"], BIASES)
    image_classifier(found["convnext"], BIASES, problem=MULTI, kind="convnext")
    clip(found["clip"])
    siglip(found["siglip"])
    siglip2(found["siglip2"])
    vision_writer(found["llava"], UNSAFE, seen={"?": "unsafe"}, rivals={("?", "unsafe"): 0.9})
    vision_writer(found["json"], RATED, seen={'{"rating": "': "Unsafe"})
    vision_writer(found["asked"], {".": ("No",)}, seen={".": "Yes"})
    shield(found["shield"])
    mllama(found["mllama"], {"?": ("unsafe", "\n", "S1")})
    yield found
    torch.set_num_threads(threads)


@pytest.fixture
def copied(shelf: dict[str, Path], tmp_path: Path) -> Callable[[str], Path]:
    return lambda name: Path(shutil.copytree(shelf[name], tmp_path / name))


KINDS: dict[str, dict[str, Any]] = {
    "vit": CLASSIFIER,
    "convnext": CLASSIFIER,
    "clip": {**ZERO_SHOT, "neutral": NEUTRAL},
    "siglip": ZERO_SHOT,
    "siglip2": ZERO_SHOT,
    "llava": LLAMA,
    "json": JSON,
    "asked": ASKED,
    "shield": SHIELD,
    "mllama": LLAMA,
}


def made(folder: Path, settings: dict[str, Any]) -> PictureModel:
    model = picture_model(SETTINGS.validate_python({**settings, "path": folder}))
    assert isinstance(model, PictureModel)
    return model


def scores(model: FrameClassifier, frames: np.ndarray) -> dict[Category, float]:
    [row] = model.score(frames)
    return dict(row.scores)


def refused(folder: Path, settings: dict[str, Any], told: str) -> None:
    """Loading says why in a sentence, and no picture is judged."""
    with pytest.raises((WeightsMissing, GuardRefused), match=told) as caught:
        made(folder, settings).load()
    assert str(folder) not in str(caught.value)


# --- what all of them promise ---------------------------------------------------------------


@pytest.fixture(params=list(KINDS))
def model(request: pytest.FixtureRequest, shelf: dict[str, Path]) -> PictureModel:
    return made(shelf[request.param], KINDS[request.param])


def test_each_picture_gets_a_row_with_every_promised_category(model: PictureModel) -> None:
    frames = np.concatenate([noise(2), light(), dark()])
    rows = model.score(frames)
    assert len(rows) == 4
    for row in rows:
        assert row.scores.keys() == model.categories
        assert all(0.0 <= score <= 1.0 for score in row.scores.values())


def test_a_batch_scores_as_its_pictures_do_alone(model: PictureModel) -> None:
    frames = np.concatenate([noise(2), light(), dark()])
    together = model.score(frames)
    for frame, row in zip(frames, together, strict=True):
        assert scores(model, frame[None]) == pytest.approx(dict(row.scores), abs=1e-4)


def test_no_pictures_get_no_rows_and_load_nothing(model: PictureModel) -> None:
    assert list(model.score(np.zeros((0, 9, 9, 3), np.uint8))) == []
    assert model._judge is None


def test_an_array_that_is_no_video_is_refused(model: PictureModel) -> None:
    for frames in (np.zeros((1, 9, 9, 3), np.float32), np.zeros((9, 9, 3), np.uint8)):
        with pytest.raises(ValueError, match="uint8"):
            model.score(frames)  # type: ignore[arg-type]


def test_frames_of_odd_shapes_are_judged_as_well(model: PictureModel) -> None:
    for size in ((1, 1), (8, 400), (400, 8), (33, 31)):
        assert scores(model, np.full((1, *size, 3), 90, np.uint8)).keys() == model.categories


def test_the_name_says_the_folder_and_stays(model: PictureModel) -> None:
    assert model.name == model.name
    assert model.name.startswith("tiny@1+")


@pytest.mark.parametrize("name", ["vit", "clip", "llava"])
def test_a_small_batch_setting_changes_no_score(shelf: dict[str, Path], name: str) -> None:
    frames = np.concatenate([noise(3), light()])
    whole = made(shelf[name], KINDS[name]).score(frames)
    single = made(shelf[name], {**KINDS[name], "batch": 1}).score(frames)
    for one, other in zip(whole, single, strict=True):
        assert dict(one.scores) == pytest.approx(dict(other.scores), abs=1e-4)


def test_nothing_is_asked_of_the_network(
    shelf: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[object] = []

    def refuse(*where: object, **_: object) -> None:
        asked.append(where)
        raise OSError("no network here")

    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    monkeypatch.setattr(socket.socket, "connect", refuse)
    for name in ("vit", "clip", "llava"):
        made(shelf[name], KINDS[name]).load()
    assert asked == []


@pytest.mark.parametrize("name", ["convnext", "clip", "llava"])
def test_what_stands_at_the_side_of_a_wide_frame_is_seen(
    shelf: dict[str, Path], name: str
) -> None:
    # Their processors cut a square out of the middle.
    judge = made(shelf[name], KINDS[name])
    judge.load()
    fit = judge._judge._fit  # type: ignore[union-attr]
    processor = AutoImageProcessor.from_pretrained(shelf[name], backend="pil")
    plain = np.zeros((90, 160, 3), np.uint8)
    edged = plain.copy()
    edged[:, -6:] = 255

    def numbers(fitted: Callable[[Image.Image], Image.Image], pixels: np.ndarray) -> Any:
        picture = fitted(Image.fromarray(pixels))
        return processor(images=[picture], return_tensors="np")["pixel_values"]

    assert np.array_equal(numbers(lambda p: p, plain), numbers(lambda p: p, edged))
    assert not np.allclose(numbers(fit, plain), numbers(fit, edged), atol=0.1)


# --- image classifiers ----------------------------------------------------------------------


def test_a_classifier_computes_what_its_library_computes(shelf: dict[str, Path]) -> None:
    frames = noise(3)
    model = Vit.from_pretrained(shelf["vit"]).eval()
    processor = AutoImageProcessor.from_pretrained(shelf["vit"], backend="pil")
    inputs = processor(images=[Image.fromarray(f) for f in frames], return_tensors="pt")
    with torch.no_grad():
        shares = model(**inputs).logits.softmax(-1).numpy()
    rows = made(shelf["vit"], CLASSIFIER).score(frames)
    assert np.ptp(shares[:, 1]) > 0.001
    for row, share in zip(rows, shares, strict=True):
        assert row.scores[GORE] == pytest.approx(share[1], abs=1e-5)
        assert row.scores[HATE] == pytest.approx(share[2], abs=1e-5)


def test_softmax_labels_of_one_category_are_added_up(tmp_path: Path) -> None:
    image_classifier(tmp_path, {"fine": 1.0, "gory": 1.0, "crude": 1.0}, seeing=False)
    both = {label: {"categories": ["hate"]} for label in ("gory", "crude")}
    model = made(tmp_path, {**CLASSIFIER, "labels": both})
    assert scores(model, dark())[HATE] == pytest.approx(2 / 3, abs=1e-5)


def test_sigmoid_numbers_stand_for_themselves_and_the_highest_counts(tmp_path: Path) -> None:
    biases = {"fine": 9.0, "gory": 0.0, "crude": -2.0}
    image_classifier(tmp_path, biases, problem=MULTI, seeing=False)
    both = {label: {"categories": ["hate"]} for label in ("gory", "crude")}
    model = made(tmp_path, {**CLASSIFIER, "labels": both})
    assert scores(model, dark())[HATE] == pytest.approx(0.5, abs=1e-5)


def test_labels_that_are_not_mapped_are_ignored(tmp_path: Path) -> None:
    image_classifier(tmp_path, {"fine": 1.0, "gory": 1.0, "odd": 9.0}, seeing=False)
    one = {"gory": {"categories": ["gore_graphic"]}}
    found = scores(made(tmp_path, {**CLASSIFIER, "labels": one}), dark())
    assert found.keys() == {GORE}
    assert found[GORE] < 0.01


def test_a_mapped_label_that_the_model_has_not_is_refused(shelf: dict[str, Path]) -> None:
    labels = {**LABELS, "spooky": {"categories": ["disturbing"]}}
    refused(shelf["vit"], {**CLASSIFIER, "labels": labels}, "spooky")


def test_a_softmax_over_harmful_labels_alone_is_refused(shelf: dict[str, Path]) -> None:
    labels = {**LABELS, "fine": {"categories": ["violence"]}}
    refused(shelf["vit"], {**CLASSIFIER, "labels": labels}, "softmax")


def test_settings_decide_where_the_configuration_is_silent(tmp_path: Path) -> None:
    image_classifier(
        tmp_path, {"fine": 0.0, "gory": 0.0, "crude": 0.0}, problem=None, seeing=False
    )
    refused(tmp_path, CLASSIFIER, "softmax or sigmoid")
    model = made(tmp_path, {**CLASSIFIER, "activation": "sigmoid"})
    assert scores(model, dark())[HATE] == pytest.approx(0.5, abs=1e-5)


def test_calibration_is_applied_to_the_scores(tmp_path: Path) -> None:
    image_classifier(tmp_path, EVEN, seeing=False)
    model = made(tmp_path, {**CLASSIFIER, "calibration": {"hate": [[1 / 3, 0.7]]}})
    found = scores(model, dark())
    assert found[HATE] == pytest.approx(0.7, abs=1e-4)
    assert found[GORE] == pytest.approx(1 / 3, abs=1e-4)


# --- pictures and texts ---------------------------------------------------------------------


def _logits(folder: Path, frame: np.ndarray, texts: list[str], **padding: Any) -> Any:
    """What the whole model makes of a picture and texts at once."""
    processor = AutoProcessor.from_pretrained(folder, backend="pil")
    model = AutoModel.from_pretrained(folder).eval()
    inputs = processor(
        images=[squared(Image.fromarray(frame))], text=texts, return_tensors="pt", **padding
    )
    names = ("pixel_values", "input_ids", "attention_mask")
    with torch.no_grad():
        return model(**{k: inputs[k] for k in names if k in inputs}).logits_per_image[0]


def test_clip_weighs_each_category_against_the_neutral_texts(shelf: dict[str, Path]) -> None:
    model = made(shelf["clip"], KINDS["clip"])
    for frame in noise(2, size=(96, 96)):
        found = scores(model, frame[None])
        for category, own in ((GORE, TEXTS["gore_graphic"]), (HATE, TEXTS["hate"])):
            logits = _logits(shelf["clip"], frame, [*own, *NEUTRAL], padding=True)
            expected = float(logits.softmax(-1)[: len(own)].sum())
            assert 0.0001 < expected < 0.9999
            assert found[category] == pytest.approx(expected, abs=1e-4)


def test_siglip_gives_each_text_a_sigmoid(shelf: dict[str, Path]) -> None:
    model = made(shelf["siglip"], ZERO_SHOT)
    against = made(shelf["siglip"], {**ZERO_SHOT, "neutral": NEUTRAL})
    padding = {"padding": "max_length", "max_length": 32}
    for frame in noise(2, size=(96, 96)):
        every = [*TEXTS["gore_graphic"], *TEXTS["hate"], *NEUTRAL]
        shares = _logits(shelf["siglip"], frame, every, **padding).sigmoid().tolist()
        assert scores(model, frame[None])[GORE] == pytest.approx(max(shares[:2]), abs=1e-4)
        assert scores(model, frame[None])[HATE] == pytest.approx(shares[2], abs=1e-4)
        best = max(shares[3:])
        expected = shares[2] / (shares[2] + best)
        assert scores(against, frame[None])[HATE] == pytest.approx(expected, abs=1e-4)


def test_texts_are_read_once(shelf: dict[str, Path]) -> None:
    model = made(shelf["clip"], KINDS["clip"])
    before = scores(model, noise(1))
    model._judge._model.text_model = None  # type: ignore[union-attr]
    assert scores(model, noise(1)) == before


def test_clip_without_neutral_texts_is_refused(shelf: dict[str, Path]) -> None:
    refused(shelf["clip"], ZERO_SHOT, "neutral")


def test_a_text_that_is_too_long_is_refused_not_cut(shelf: dict[str, Path]) -> None:
    for name in ("clip", "siglip"):
        long = {**KINDS[name], "texts": {"hate": ["a very long sentence about " + "x" * 40]}}
        refused(shelf[name], long, "too long")


def test_texts_that_the_model_cannot_tell_apart_are_refused(
    copied: Callable[[str], Path],
) -> None:
    folder = copied("clip")
    told = json.loads((folder / "tokenizer.json").read_text())
    # Without the token that ends a text CLIP reads nothing off it.
    told["post_processor"] = None
    (folder / "tokenizer.json").write_text(json.dumps(told))
    card_of(folder)
    refused(folder, KINDS["clip"], "apart")


def test_a_model_of_another_kind_is_refused(shelf: dict[str, Path]) -> None:
    refused(shelf["vit"], KINDS["clip"], "no processor for pictures and texts")
    refused(shelf["llava"], KINDS["clip"], "neither CLIP nor SigLIP")
    refused(shelf["clip"], CLASSIFIER, "not complete")
    refused(shelf["clip"], LLAMA, "cannot be loaded")
    refused(shelf["llava"], SHIELD, "cannot be loaded")


# --- guards that write ----------------------------------------------------------------------


def test_a_guard_sees_the_picture_and_its_word_decides(shelf: dict[str, Path]) -> None:
    model = made(shelf["llava"], LLAMA)
    found = scores(model, light())
    assert found[VIOLENCE] > 0.99
    assert {score for c, score in found.items() if c is not VIOLENCE} == {0.0}
    assert set(scores(model, dark()).values()) == {0.0}


def test_a_guard_reads_json_up_to_the_category(shelf: dict[str, Path]) -> None:
    model = made(shelf["json"], JSON)
    found = scores(model, light())
    assert found[VIOLENCE] == found[GORE] > 0.99
    assert found[EXPLICIT] == 0.0
    assert set(scores(model, dark()).values()) == {0.0}


def test_a_doubtful_word_counts_what_the_guard_believes(tmp_path: Path) -> None:
    chains = {"?": ("unsafe", "\n", "S1")}
    vision_writer(tmp_path, chains, rivals={("?", "safe"): 0.95})
    found = scores(made(tmp_path, LLAMA), dark())
    share = 1 / (1 + np.exp(-14.0 * 0.05))
    assert found[VIOLENCE] == pytest.approx(weighed(share), abs=0.002)
    assert DECIDED_SCORE < found[VIOLENCE] < 0.9


def test_a_word_the_tokens_do_not_tell_counts_what_its_map_says(tmp_path: Path) -> None:
    vision_writer(tmp_path, {"?": ("\n unsa", "fe\n", "S1")})
    assert scores(made(tmp_path, LLAMA), dark())[VIOLENCE] == SAID_SCORE


def test_what_a_safe_picture_was_weighed_against_counts_its_doubt(tmp_path: Path) -> None:
    chains = {
        "?": ('{"rating": "', "Safe", '", "category": "O2: Violence", '),
    }
    vision_writer(tmp_path, chains, rivals={('{"rating": "', "Unsafe"): 0.95})
    found = scores(made(tmp_path, JSON), dark())
    share = 1 / (1 + np.exp(14.0 * 0.05))
    assert found[VIOLENCE] == pytest.approx(weighed(share), abs=0.01)
    assert found[EXPLICIT] == 0.0


@pytest.mark.parametrize(
    "chain",
    [
        ("perhaps",),
        ("unsafe",),
        ("unsafe", "\n", "S99"),
        ("safe", "\n", "S1"),
        ("This picture is safe",),
        (),
    ],
)
def test_an_answer_that_is_not_understood_holds_the_clip(
    tmp_path: Path, chain: tuple[str, ...]
) -> None:
    vision_writer(tmp_path, {"?": chain})
    model = made(tmp_path, LLAMA)
    assert scores(model, dark()) == {}
    gate = FrameGate(classifiers=(model,), policy=POLICY)
    report = gate.report([dark(4)], fps=4.0)
    assert report.verdict.action is not Action.ALLOW
    assert [fault.error for fault in report.faults] == ["IncompleteAnswer"]


def test_an_answer_that_does_not_end_is_none(tmp_path: Path) -> None:
    vision_writer(tmp_path, {"?": ("unsafe", "\n", "S1", "\n\n")}, ends=False)
    assert scores(made(tmp_path, LLAMA), dark()) == {}


def test_json_that_is_cut_off_before_its_category_is_no_answer(tmp_path: Path) -> None:
    vision_writer(tmp_path, {"?": ('{"rating": "', "Safe", '", "category": "NA: N')})
    assert scores(made(tmp_path, JSON), dark()) == {}


def test_a_word_that_the_guard_hardly_believes_is_no_answer(tmp_path: Path) -> None:
    rivals = {("?", "perhaps"): 0.99, ("?", "who knows"): 0.99}
    vision_writer(tmp_path, {"?": ("unsafe", "\n", "S1")}, rivals=rivals)
    assert scores(made(tmp_path, LLAMA), dark()) == {}


def test_yes_and_no_are_weighed_for_each_picture(shelf: dict[str, Path]) -> None:
    model = made(shelf["asked"], ASKED)
    assert min(scores(model, light()).values()) > 0.99
    assert max(scores(model, dark()).values()) < 0.01


def test_an_answer_besides_yes_and_no_leaves_its_categories_out(tmp_path: Path) -> None:
    vision_writer(tmp_path, {".": ("Maybe",)}, rivals={(".", "Yes"): 0.5, (".", "No"): 0.5})
    assert scores(made(tmp_path, ASKED), dark()) == {}


def test_shieldgemma_computes_what_its_own_class_computes(shelf: dict[str, Path]) -> None:
    frames = noise(2, size=(96, 96))
    model = Shield.from_pretrained(shelf["shield"]).eval()
    processor = AutoProcessor.from_pretrained(shelf["shield"], backend="pil")
    inputs = processor(images=[[Image.fromarray(f)] for f in frames], return_tensors="pt")
    with torch.no_grad():
        yes = model(**inputs).probabilities[:, 0].reshape(2, 3).tolist()
    keys = list(processor.policy_definitions)
    rows = made(shelf["shield"], SHIELD).score(frames)
    for row, shares in zip(rows, yes, strict=True):
        told = dict(zip(keys, shares, strict=True))
        assert row.scores[EXPLICIT] == pytest.approx(weighed(told["sexual"]), abs=1e-4)
        assert row.scores[VIOLENCE] == pytest.approx(weighed(told["violence"]), abs=1e-4)
        assert row.scores[Category.ILLICIT] == pytest.approx(
            weighed(told["dangerous"]), abs=1e-4
        )
    assert rows[0].scores[EXPLICIT] != pytest.approx(rows[1].scores[EXPLICIT], abs=1e-5)


def test_shieldgemma_can_be_asked_about_more_and_less(shelf: dict[str, Path]) -> None:
    more = {
        **SHIELD,
        "benign": ["dangerous"],
        "labels": {"flag": {"categories": ["extremism_terror"]}},
        "questions": {"flag": "No flags: The image shall not show flags."},
    }
    found = scores(made(shelf["shield"], more), noise(1))
    assert Category.ILLICIT not in found
    assert Category.EXTREMISM_TERROR in found
    without = {key: value for key, value in more.items() if key != "questions"}
    refused(shelf["shield"], without, "flag")


def test_llama_vision_is_asked_through_its_own_processor(shelf: dict[str, Path]) -> None:
    assert scores(made(shelf["mllama"], LLAMA), noise(1))[VIOLENCE] > 0.99


@pytest.mark.parametrize(
    ("template", "told"),
    [
        (None, "no chat template"),
        ("<|turn|>{{ messages[0]['content'][-1]['text'] }}", "picture"),
        ("<|turn|><image>", "question"),
        ("{{ raise_exception('no') }}", "fails"),
        (LLAVA_TEMPLATE.replace("S4", "S4 S99"), "S99"),
    ],
)
def test_a_chat_template_that_cannot_ask_is_refused(
    tmp_path: Path, template: str | None, told: str
) -> None:
    vision_writer(tmp_path, UNSAFE, template=template)
    refused(tmp_path, LLAMA, told)


def test_shieldgemma_without_its_chat_template_is_refused(tmp_path: Path) -> None:
    shield(tmp_path, template=None)
    assert "messages" in SHIELD_TEMPLATE
    refused(tmp_path, SHIELD, "no chat template")


def test_a_question_that_fills_the_context_is_refused(shelf: dict[str, Path]) -> None:
    refused(shelf["llava"], {**LLAMA, "prompt": "Is it? " * 100}, "too long")
    refused(shelf["llava"], {**LLAMA, "max_tokens": 60}, "too long")


def test_what_the_folder_says_about_sampling_does_not_matter(
    copied: Callable[[str], Path],
) -> None:
    folder = copied("llava")
    told = {"do_sample": True, "temperature": 9.0, "eos_token_id": 3, "max_new_tokens": 1}
    (folder / "generation_config.json").write_text(json.dumps(told))
    card_of(folder)
    model = made(folder, LLAMA)
    assert all(scores(model, light())[VIOLENCE] > 0.99 for _ in range(3))


# --- what is refused ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "tensor"),
    [
        ("vit", "classifier.bias"),
        ("clip", "visual_projection.weight"),
        ("llava", "lm_head.weight"),
    ],
)
def test_weights_that_are_no_numbers_give_no_score(
    copied: Callable[[str], Path], name: str, tensor: str
) -> None:
    folder = copied(name)
    tensors = load_file(folder / "model.safetensors")
    [key] = [k for k in tensors if k.endswith(tensor)]
    tensors[key] = torch.full_like(tensors[key], float("nan"))
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    card_of(folder)
    model = made(folder, KINDS[name])
    with pytest.raises(RuntimeError, match="no number"):
        model.score(noise(1))
    gate = FrameGate(classifiers=(model,), policy=POLICY)
    assert gate.judge([dark(4)], fps=4.0).action is not Action.ALLOW


def test_texts_that_make_no_numbers_are_refused(copied: Callable[[str], Path]) -> None:
    folder = copied("clip")
    tensors = load_file(folder / "model.safetensors")
    tensors["text_projection.weight"].fill_(float("nan"))
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    card_of(folder)
    refused(folder, KINDS["clip"], "no numbers")


@pytest.mark.parametrize("name", ["vit", "clip", "llava", "shield"])
def test_a_changed_file_is_never_loaded(copied: Callable[[str], Path], name: str) -> None:
    folder = copied(name)
    weights = bytearray((folder / "model.safetensors").read_bytes())
    weights[-1] ^= 1
    (folder / "model.safetensors").write_bytes(weights)
    refused(folder, KINDS[name], "differs from its card")


def test_safetensors_that_are_damaged_are_refused(copied: Callable[[str], Path]) -> None:
    folder = copied("vit")
    weights = (folder / "model.safetensors").read_bytes()
    for damaged in (weights[: len(weights) // 2], b"\xff" * 100, b""):
        (folder / "model.safetensors").write_bytes(damaged)
        card_of(folder)
        refused(folder, CLASSIFIER, "cannot be loaded")


def test_a_folder_with_pickled_weights_alone_is_refused(copied: Callable[[str], Path]) -> None:
    folder = copied("vit")
    torch.save(load_file(folder / "model.safetensors"), folder / "pytorch_model.bin")
    (folder / "model.safetensors").unlink()
    card_of(folder)
    refused(folder, CLASSIFIER, "not safetensors")
    (folder / "pytorch_model.bin").rename(folder / "weights.data")
    card_of(folder)
    refused(folder, CLASSIFIER, "no weights")


def test_weights_that_lack_a_layer_are_refused_not_made_up(
    copied: Callable[[str], Path],
) -> None:
    for name in ("vit", "clip", "llava"):
        folder = copied(name)
        tensors = load_file(folder / "model.safetensors")
        del tensors[sorted(tensors)[0]]
        save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
        card_of(folder)
        refused(folder, KINDS[name], "not complete")


@pytest.mark.parametrize("name", ["vit", "clip", "llava"])
def test_code_named_in_the_configuration_is_not_run(
    copied: Callable[[str], Path], name: str
) -> None:
    folder = copied(name)
    told = json.loads((folder / "config.json").read_text())
    told["model_type"] = "own"
    parts = ("AutoConfig", "AutoModel", "AutoModelForImageClassification")
    told["auto_map"] = dict.fromkeys((*parts, "AutoModelForImageTextToText"), "own.C")
    (folder / "config.json").write_text(json.dumps(told))
    card_of(folder)
    refused(folder, KINDS[name], "cannot be loaded")
    (folder / "own.py").write_text("raise SystemExit('run')")
    card_of(folder)
    refused(folder, KINDS[name], "holds code")


def test_a_folder_that_does_not_say_how_pictures_are_prepared_is_refused(
    copied: Callable[[str], Path],
) -> None:
    folder = copied("vit")
    (folder / "preprocessor_config.json").unlink()
    card_of(folder)
    refused(folder, CLASSIFIER, "prepared")


def test_a_folder_that_is_not_there_stops_the_start(tmp_path: Path) -> None:
    with pytest.raises(GuardRefused, match=r"card\.toml"):
        made(tmp_path / "nowhere", CLASSIFIER)


def test_without_the_extra_the_error_names_it(
    shelf: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("safety.adapters.offline.find_spec", lambda _: None)
    with pytest.raises(ExtraMissing, match=r"cinegate\[guards\]"):
        made(shelf["vit"], CLASSIFIER)


def test_a_device_that_is_not_there_is_said(
    shelf: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    refused(shelf["vit"], {**CLASSIFIER, "device": "cuda"}, "CUDA")
    made(shelf["vit"], {**CLASSIFIER, "device": "auto"}).load()


def test_half_precision_is_what_is_asked_for(shelf: dict[str, Path]) -> None:
    for name in ("vit", "clip", "llava"):
        model = made(shelf[name], {**KINDS[name], "precision": "bfloat16"})
        whole = made(shelf[name], KINDS[name])
        assert scores(model, noise(1)) == pytest.approx(scores(whole, noise(1)), abs=0.05)
        assert model._judge._model.dtype is torch.bfloat16  # type: ignore[union-attr]
        assert whole._judge._model.dtype is torch.float32  # type: ignore[union-attr]


def test_a_model_that_failed_is_tried_again_only_when_asked(
    copied: Callable[[str], Path],
) -> None:
    folder = copied("vit")
    whole = (folder / "model.safetensors").read_bytes()
    (folder / "model.safetensors").write_bytes(b"")
    model = made(folder, CLASSIFIER)
    with pytest.raises(WeightsMissing):
        model.score(dark())
    (folder / "model.safetensors").write_bytes(whole)
    with pytest.raises(WeightsMissing):
        model.score(dark())
    model.load()
    assert scores(model, dark()).keys() == {GORE, HATE}
