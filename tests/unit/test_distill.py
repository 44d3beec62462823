from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from small_photos import write_photos, write_teacher
from tiny_bundle import write_tiny_bundle
from train_together import train_together

from pixio_edge.cli.export_weights import read_terms
from pixio_edge.errors import BundleError, InputError, LicenceError
from pixio_edge.licences import check_commercial
from pixio_edge.manifest import LicenceEntry
from pixio_edge.models.checkpoints import load_checkpoint, save_checkpoint
from pixio_edge.models.depth_model import DepthModel
from pixio_edge.models.presets import STUDENTS, build_model
from pixio_edge.training import distill as module
from pixio_edge.training.distill import DistillObjective, distill, open_student
from pixio_edge.training.distill_config import DistillConfig
from pixio_edge.training.distill_plan import plan
from pixio_edge.training.photos import open_photos
from pixio_edge.training.run_folder import RunFolder
from pixio_edge.training.supervised import DepthObjective
from pixio_edge.training.teacher import open_teacher
from pixio_edge.training.teacher_cache import Lessons
from pixio_edge.training.train_config import TrainConfig
from pixio_edge.weights.inherited import InheritedTerms, inherit_terms, read_inherited, terms_path, write_inherited
from pixio_edge.weights.terms import licence_of

FREE = LicenceEntry(weights="Apache-2.0", commercial=True, notice="thanks")
# Sums over processes add up in another order; measured up to 4e-6 of a loss.
TOGETHER_TOLERANCE = 2e-4
NONCOMMERCIAL = LicenceEntry(weights="CC-BY-NC-4.0", commercial=False, notice="no trade")


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> DistillConfig:
    folder = tmp_path_factory.mktemp("distill")
    write_photos(folder / "photos")
    write_teacher(folder / "teacher.safetensors")
    return DistillConfig(
        str(folder / "teacher.safetensors"),
        "tiny",
        (str(folder / "photos"),),
        teacher_side=48,
        images=16,
        batch=4,
        stages=((1.0, 48 * 64),),
        warmup=2,
        log_every=1,
        save_every=2,
        bf16=False,
    )


def same_weights(first: torch.nn.Module, second: torch.nn.Module) -> bool:
    ours, theirs = first.state_dict(), second.state_dict()
    return ours.keys() == theirs.keys() and all(torch.equal(ours[name], theirs[name]) for name in ours)


def losses(run: Path, key: str = "loss") -> list[float]:
    return [line[key] for line in RunFolder(run).read_log() if key in line]


def test_student_comes_closer_to_its_teacher(config: DistillConfig, tmp_path: Path) -> None:
    longer = replace(config, images=80, rate=3e-3, save_every=20, augment=False, feature_weight=1.0)

    distill(replace(longer, cache=tmp_path / "cache"), tmp_path / "run")

    log = [line for line in RunFolder(tmp_path / "run").read_log() if "loss" in line]
    first, last = (
        [np.mean([line[name] for line in part]) for name in ("invariant", "gradient", "feature")]
        for part in (log[:5], log[-5:])
    )
    # Measured: invariant plus twice gradient from 7.4 to 5.6, features from .73 to .23.
    assert last[0] + 2 * last[1] < 0.9 * (first[0] + 2 * first[1])
    assert last[2] < 0.5 * first[2]


def test_run_leaves_log_weights_and_values(config: DistillConfig, tmp_path: Path) -> None:
    average = distill(replace(config, feature_weight=0.5, qat_share=0.5), tmp_path / "run")

    log = RunFolder(tmp_path / "run").read_log()
    terms = {"invariant", "gradient", "feature", "anchor", "bound"}
    assert log[0].keys() == {"step", "images", "loss", *terms, "images_per_s", "photos"}
    assert log[0]["photos"] == 7
    assert log[-1].keys() == {"step", "images", "held_back", "held_back_int8"}
    assert log[-1]["held_back"] != log[-1]["held_back_int8"]
    assert same_weights(load_checkpoint(tmp_path / "run" / "model.safetensors"), average)
    assert json.loads((tmp_path / "run" / "config.json").read_text())["teacher"] == config.teacher
    assert not terms_path(tmp_path / "run" / "model.safetensors").exists()  # nothing is known of this teacher


def test_prior_is_logged_beside_labels_alone(config: DistillConfig, tmp_path: Path) -> None:
    distill(replace(config, images=4), tmp_path / "run")

    assert losses(tmp_path / "run", "row_prior")[0] > 0


@pytest.mark.parametrize("extra", [{}, {"feature_weight": 0.5, "qat_share": 0.5}], ids=["labels", "all"])
def test_weights_are_bit_equal_when_a_run_stops_and_goes_on_and_with_or_without_cache(
    extra: dict[str, Any], config: DistillConfig, tmp_path: Path
) -> None:
    config = replace(config, **extra)
    unbroken = distill(config, tmp_path / "unbroken")

    cached = replace(config, cache=tmp_path / "cache")
    for _ in range(4):
        resumed = distill(cached, tmp_path / "run", should_stop=lambda: True)

    assert same_weights(resumed, unbroken)
    assert losses(tmp_path / "run") == losses(tmp_path / "unbroken")
    assert len(losses(tmp_path / "run")) == 4
    assert list((tmp_path / "cache").rglob("*.npz"))


def test_run_is_refused_when_it_goes_on_with_other_weights_of_the_terms(config: DistillConfig, tmp_path: Path) -> None:
    RunFolder(tmp_path / "run").claim(config.lasting_values())

    with pytest.raises(InputError, match="other values for feature_weight"):
        distill(replace(config, feature_weight=0.25), tmp_path / "run")


def test_run_is_refused_when_its_teacher_has_become_another(config: DistillConfig, tmp_path: Path) -> None:
    config = replace(config, teacher=str(write_teacher(tmp_path / "teacher.safetensors")), images=4)
    distill(config, tmp_path / "run")
    torch.manual_seed(78)
    save_checkpoint(tmp_path / "teacher.safetensors", build_model("tiny"))

    with pytest.raises(InputError, match="other values for teacher_sha256"):
        distill(config, tmp_path / "run")


def test_student_rounds_in_the_last_steps_alone(
    config: DistillConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rounded: list[bool] = []
    plain = DistillObjective._run

    def watched(self: DistillObjective, model: DepthModel, image: torch.Tensor, *, rounded: bool) -> Any:
        if self.training and torch.is_grad_enabled():
            seen.append(rounded)
        return plain(self, model, image, rounded=rounded)

    seen = rounded
    monkeypatch.setattr(DistillObjective, "_run", watched)

    distill(replace(config, qat_share=0.25), tmp_path / "run")

    assert rounded == [False, False, False, True]


def test_encoder_alone_is_taught_when_the_label_has_no_weight(config: DistillConfig, tmp_path: Path) -> None:
    student, _ = open_student(config)
    config = replace(config, label_weight=0.0, feature_weight=1.0, min_area=1.0)

    ended = distill(config, tmp_path / "run")

    assert same_weights(ended.head, student.head)
    assert not same_weights(ended.encoder, student.encoder)
    assert losses(tmp_path / "run", "feature") == pytest.approx(losses(tmp_path / "run"))


def test_teacher_without_head_is_refused_when_labels_are_asked_for(
    config: DistillConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    encoder = open_teacher(config.teacher).encoder
    monkeypatch.setattr(module, "open_teacher", lambda *given, **named: module.Teacher(encoder, name="encoder"))

    with pytest.raises(InputError, match="--label-weight 0"):
        distill(config, tmp_path / "run")

    assert not (tmp_path / "run").exists()


def test_student_goes_on_from_a_checkpoint(config: DistillConfig, tmp_path: Path) -> None:
    torch.manual_seed(5)
    begun = build_model("tiny")
    save_checkpoint(tmp_path / "begun.safetensors", begun)

    student, terms = open_student(replace(config, student=str(tmp_path / "begun.safetensors")))

    assert same_weights(student, begun)
    assert all(parameter.requires_grad for parameter in student.parameters())
    assert terms == {str(tmp_path / "begun.safetensors"): None}
    metric = replace(begun.config, head=replace(begun.config.head, max_depth=10.0))
    save_checkpoint(tmp_path / "metric.safetensors", DepthModel(metric))
    with pytest.raises(InputError, match="predicts metric depth"):
        open_student(replace(config, student=str(tmp_path / "metric.safetensors")))


@pytest.mark.parametrize(
    "change",
    [
        {"label_weight": 0.0},
        {"feature_weight": -1.0},
        {"dropped": 1.0},
        {"min_area": 0.0},
        {"qat_share": 1.5},
        {"qat_share": 0.1, "compiled": True},
        {"qat_share": 0.1, "label_weight": 0.0, "feature_weight": 1.0},
        {"images": 0},
    ],
    ids=str,
)
def test_values_are_refused_when_they_cannot_be(change: dict[str, Any], config: DistillConfig) -> None:
    with pytest.raises(InputError):
        replace(config, **change)


def test_cache_may_be_another_one_when_a_run_goes_on(config: DistillConfig, tmp_path: Path) -> None:
    assert replace(config, cache=tmp_path).lasting_values() == config.lasting_values()


def test_two_processes_distil_like_one(config: DistillConfig, tmp_path: Path) -> None:
    config = replace(config, images=8, feature_weight=0.5, average=0.0, cache=tmp_path / "cache")
    alone = distill(config, tmp_path / "alone").state_dict()

    first, second = (each["weights"] for each in train_together(config, tmp_path / "together", count=2, verb=distill))

    # Not close but equal, and nearly as alone; see test_training_processes.py.
    assert all(torch.equal(first[name], second[name]) for name in alone)
    logs = [RunFolder(tmp_path / name).read_log() for name in ("together", "alone")]
    assert len(logs[0]) == len(logs[1]) == 3
    for ours, theirs in zip(*logs, strict=True):
        for key in ("loss", "invariant", "gradient", "feature", "held_back"):
            assert ours.get(key, 0.0) == pytest.approx(theirs.get(key, 0.0), rel=TOGETHER_TOLERANCE)


def test_plan_says_how_large_the_cache_gets_and_how_much_is_there(config: DistillConfig, tmp_path: Path) -> None:
    cached = replace(config, cache=tmp_path / "cache")

    before = plan(cached)
    lessons = Lessons(open_teacher(config.teacher, side=48), tokens=False, folder=cached.cache)
    photos = open_photos(config.photos)
    for index in range(6):
        lessons.on(photos.read(index))
    after = plan(cached)

    assert (before.photos, before.steps, before.cached_share) == (8, 4, 0.0)
    assert before.lesson_bytes == 48 * 64 * 2
    assert before.cache_bytes == 8 * before.lesson_bytes
    assert after.cached_share == 0.75
    assert before.teaching_s == pytest.approx(8 * before.lesson_s)
    assert len(list((tmp_path / "cache").rglob("*.npz"))) == 6


def test_terms_of_a_student_are_the_strictest_of_what_it_was_made_from() -> None:
    teacher, begun = inherit_terms({"t": FREE}), inherit_terms({"t": FREE, "s": NONCOMMERCIAL})

    assert teacher is not None
    assert teacher.licence == LicenceEntry(weights="Apache-2.0", commercial=True, notice="thanks\nMade from t.")
    assert begun is not None
    assert (begun.licence.weights, begun.licence.commercial) == ("CC-BY-NC-4.0", False)
    assert begun.licence.notice == "thanks\nno trade\nMade from t, s."
    unknown = inherit_terms({"t": None, "s": NONCOMMERCIAL})
    assert unknown is not None
    assert not unknown.licence.commercial
    # What is free with something unknown in it is unknown.
    assert inherit_terms({"t": None, "s": FREE}) is None
    assert inherit_terms({"t": None}) is inherit_terms({}) is None


def test_student_of_a_noncommercial_teacher_carries_its_terms_to_export(
    config: DistillConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    taught = write_teacher(tmp_path / "teacher.safetensors")
    write_inherited(taught, InheritedTerms(licence=NONCOMMERCIAL, sources=("elsewhere",)))

    distill(replace(config, teacher=str(taught), images=4), tmp_path / "run")

    weights = tmp_path / "run" / "model.safetensors"
    carried = licence_of(weights)
    assert carried is not None
    assert (carried.weights, carried.commercial) == ("CC-BY-NC-4.0", False)
    assert read_terms(str(weights), None, commercial=None, notice="") == carried
    with pytest.raises(LicenceError, match="--noncommercial"):
        read_terms(str(weights), "Apache-2.0", commercial=True, notice="")
    with pytest.raises(LicenceError):
        check_commercial(carried, what="student", insist=True)
    monkeypatch.setenv("PIXIO_EDGE_REQUIRE_COMMERCIAL", "1")
    with pytest.raises(LicenceError):
        load_checkpoint(weights)
    with pytest.raises(LicenceError):
        distill(replace(config, teacher=str(taught)), tmp_path / "other")


def test_student_that_begins_with_a_noncommercial_encoder_carries_its_terms(tmp_path: Path) -> None:
    begun = write_teacher(tmp_path / "begun.safetensors")
    write_inherited(begun, InheritedTerms(licence=NONCOMMERCIAL, sources=("elsewhere",)))
    objective = DepthObjective(TrainConfig("tiny", tmp_path, tmp_path, images=4, encoder_from=begun))

    objective.save(tmp_path / "model.safetensors", objective.model)

    carried = licence_of(tmp_path / "model.safetensors")
    assert carried is not None
    assert not carried.commercial
    assert str(begun) in carried.notice


def test_damaged_record_of_terms_is_refused(tmp_path: Path) -> None:
    weights = write_teacher(tmp_path / "a.safetensors")
    terms_path(weights).write_text("{}")

    with pytest.raises(InputError, match="not a record of terms"):
        read_inherited(weights)


def test_every_student_can_be_begun(config: DistillConfig) -> None:
    for name in STUDENTS:
        student, terms = open_student(replace(config, student=name))
        assert student.config.head.max_depth is None
        assert terms == {}
    with pytest.raises(InputError):
        open_student(replace(config, student="nowhere.safetensors"))


def test_bundle_without_checkpoint_is_no_student(config: DistillConfig, tmp_path: Path) -> None:
    write_tiny_bundle(tmp_path / "bundle", sizes=((32, 32),))

    with pytest.raises(BundleError, match="has no checkpoint"):
        open_student(replace(config, student=str(tmp_path / "bundle")))
