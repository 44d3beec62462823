"""What a distillation would do from where it is: steps, and how much of the teacher's work is on disk already."""

from __future__ import annotations

import time
from dataclasses import dataclass

import numpy as np
import torch

from pixio_edge.training.distill import check_teacher, open_student
from pixio_edge.training.distill_config import DistillConfig
from pixio_edge.training.photos import open_photos
from pixio_edge.training.teacher import open_teacher
from pixio_edge.training.teacher_cache import TeacherCache

# Images that are looked at, evenly over all: to read every one of millions would take hours.
SAMPLED_IMAGES = 256
# Of these, images that the teacher is asked for.
TAUGHT_IMAGES = 2


@dataclass(frozen=True, slots=True)
class DistillPlan:
    """What a distillation would take.

    Attributes:
        photos: Images found, with those held back.
        steps: Steps in all.
        cached_share: Share of the images whose lesson is in the cache, estimated on a sample.
        lesson_bytes: Size of a lesson, the mean of a few.
        lesson_s: Time of a lesson here.
    """

    photos: int
    steps: int
    cached_share: float
    lesson_bytes: int
    lesson_s: float

    @property
    def cache_bytes(self) -> int:
        """Size of the cache with a lesson on every image."""
        return self.photos * self.lesson_bytes

    @property
    def teaching_s(self) -> float:
        """Time of the lessons that are missing."""
        return self.photos * (1 - self.cached_share) * self.lesson_s


def plan(config: DistillConfig) -> DistillPlan:
    """Open everything a run needs, and ask the teacher for a few images; writes nothing.

    Raises:
        BundleError: A bundle is missing or has no checkpoint.
        CheckFailedError: The teacher gives values that are not finite.
        InputError: Teacher, student or images are missing or damaged.
        LicenceError: Commercial use is insisted on, and the weights forbid it.
    """
    photos = open_photos(config.photos)
    photos.hold_back()
    open_student(config)
    teacher = open_teacher(config.teacher, config.teacher_preset, side=config.teacher_side)
    check_teacher(config, teacher)
    teacher.to(torch.device(config.device))
    tokens = config.feature_weight > 0
    sample = np.unique(np.linspace(0, len(photos) - 1, SAMPLED_IMAGES).round().astype(int)).tolist()
    share = 0.0
    if config.cache is not None:
        cache = TeacherCache(config.cache, teacher, tokens=tokens)
        share = float(np.mean([cache.path_of(photos.sha256_of(index)).is_file() for index in sample]))
    seconds, sizes = 0.0, []
    for index in sample[:: -(-len(sample) // TAUGHT_IMAGES)]:
        rgb = photos.read(index).rgb
        started = time.perf_counter()
        sizes.append(teacher.teach(rgb, tokens=tokens).bytes)
        seconds = time.perf_counter() - started  # the first is slower than all others
    return DistillPlan(len(photos), config.steps, share, round(float(np.mean(sizes))), seconds)
