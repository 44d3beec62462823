"""Harder images drawn more often, whatever is made ahead and wherever a run was interrupted."""

from __future__ import annotations

import io

import numpy as np
import pytest
import torch
from torch import Tensor

from pixio_edge.errors import InputError
from pixio_edge.training.curation import LAG, LEAST_CHANCE, Curation, acceptance
from pixio_edge.training.pipeline import PREFETCH

EVERY = 5
# The first step that draws by the losses of the steps before the fifth.
INFORMED = EVERY + LAG


def observe(curation: Curation, step: int, losses: dict[int, float]) -> None:
    curation.observe(step, torch.tensor(list(losses)), torch.tensor(list(losses.values())))


def draws(curation: Curation, step: int, count: int = 4000) -> np.ndarray:
    """Share of the draws that each image has."""
    drawn = [curation.draw(step, np.random.default_rng([step, row + 1])) for row in range(count)]
    return np.bincount(drawn, minlength=curation.count) / count


def informed(losses: dict[int, float], count: int) -> Curation:
    curation = Curation(count, EVERY)
    for step in range(EVERY + 1):
        observe(curation, step, losses)
    return curation


def test_image_is_accepted_with_the_probability_of_its_loss() -> None:
    losses = np.array([0.5, 1.7, 0.001, np.nan], dtype=np.float32)

    assert acceptance(losses).tolist() == [0.5, 1.0, LEAST_CHANCE, 1.0]


def test_images_are_drawn_in_proportion_to_their_losses_and_unseen_ones_as_if_it_were_1() -> None:
    curation = informed({0: 0.2, 1: 0.6, 2: 0.2}, count=4)

    # Over 2: the image that was never seen counts 1. Four standard deviations of 4000 draws are 0.03.
    assert draws(curation, INFORMED) == pytest.approx([0.1, 0.3, 0.1, 0.5], abs=0.03)


def test_images_are_drawn_evenly_until_losses_count_and_always_without_curation() -> None:
    curation = informed({0: 0.2, 1: 0.8}, count=2)
    even = Curation(2, every=None)
    observe(even, 0, {0: 0.2, 1: 0.8})

    assert draws(curation, INFORMED - 1) == pytest.approx([0.5, 0.5], abs=0.03)
    assert draws(curation, INFORMED) == pytest.approx([0.2, 0.8], abs=0.03)
    assert draws(even, 1000) == pytest.approx([0.5, 0.5], abs=0.03)


def test_running_loss_is_that_of_a_case_worked_by_hand() -> None:
    curation = Curation(3, EVERY)
    curation.observe(0, torch.tensor([0, 2, 0]), torch.tensor([1.0, 0.4, 0.5]))
    observe(curation, 1, {2: 0.9})

    # 1 + 0.3 (0.5 - 1) and 0.4 + 0.3 (0.9 - 0.4): an image that is twice in a batch counts twice.
    assert curation.losses().tolist() == pytest.approx([0.85, float("nan"), 0.55], nan_ok=True)


def test_draws_of_a_step_are_the_same_before_and_after_later_losses_are_known() -> None:
    curation = informed({0: 0.2, 1: 0.8}, count=2)
    before = draws(curation, INFORMED + EVERY - 1)

    for step in range(EVERY + 1, INFORMED + EVERY - 1):  # until the step itself is trained
        observe(curation, step, {0: 1.0, 1: 0.05})

    assert np.array_equal(draws(curation, INFORMED + EVERY - 1), before)


def test_losses_are_frozen_as_soon_as_the_rows_that_draw_by_them_may_be_made() -> None:
    """The pipeline makes rows of a step once the step `PREFETCH` before it is about to be trained."""
    curation = Curation(2, EVERY)
    for step in range(4 * EVERY):
        draws(curation, step + PREFETCH, count=1)  # raises where losses are not frozen yet, or no longer kept
        draws(curation, step, count=1)
        observe(curation, step, {0: 0.5})


def test_curation_goes_on_from_a_checkpoint_to_the_same_draws() -> None:
    def train(curation: Curation, steps: range) -> list[int]:
        drawn = []
        for step in steps:
            drawn.append(curation.draw(step, np.random.default_rng([7, step, 1])))
            observe(curation, step, {drawn[-1]: 0.1 + 0.7 * drawn[-1]})
        return drawn

    for stop in (EVERY, EVERY + 1, INFORMED, 2 * EVERY, 2 * EVERY + 3):
        unbroken, first, second = (Curation(2, EVERY) for _ in range(3))
        expected = train(unbroken, range(40))
        begun = train(first, range(stop))
        stored = io.BytesIO()
        torch.save(first.state_dict(), stored)
        stored.seek(0)
        second.load_state_dict(torch.load(stored, weights_only=True))

        assert begun + train(second, range(stop, 40)) == expected
        assert np.array_equal(second.losses(), unbroken.losses(), equal_nan=True)


def test_losses_of_all_processes_count() -> None:
    def gather(values: Tensor) -> Tensor:
        return torch.cat([values, values + 1])  # another process, with the next image and a higher loss

    curation = Curation(3, EVERY, gather=gather)
    observe(curation, 0, {1: 0.25})

    assert curation.losses().tolist() == pytest.approx([float("nan"), 0.25, 1.25], nan_ok=True)


def test_curation_is_refused_when_it_would_need_losses_that_are_not_known_yet() -> None:
    with pytest.raises(InputError, match=f"expected at least {LAG}"):
        Curation(2, LAG - 1)


def test_state_is_refused_when_it_is_that_of_other_images() -> None:
    state = Curation(3, EVERY).state_dict()

    with pytest.raises(InputError, match="got 2 images, expected the 3 that the run was started with"):
        Curation(2, EVERY).load_state_dict(state)
