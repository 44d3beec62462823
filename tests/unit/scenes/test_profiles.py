import numpy as np
import pytest

from pixio_edge.scenes.mesh import Look
from pixio_edge.scenes.shapes import box, lathe
from pixio_edge.scenes.shapes.profiles import band, handle, hollow, ring, silhouette, spline, thing
from pixio_edge.scenes.things.stuff import bright, pick, plain

CUP = [(0.03, 0.0), (0.04, 0.05), (0.04, 0.1)]


def test_a_spline_passes_through_its_points():
    knots = np.array([(0.0, 0.0), (1.0, 2.0), (3.0, 1.0), (4.0, 4.0)])

    np.testing.assert_allclose(spline(knots, 10)[::3], knots, atol=1e-12)


def test_a_spline_of_a_line_stays_on_it():
    line = spline([(0.0, 0.0), (1.0, 2.0), (2.0, 4.0)], 9)

    np.testing.assert_allclose(line[:, 1], 2 * line[:, 0], atol=1e-12)


def test_a_silhouette_never_crosses_the_axis():
    assert silhouette([(0.0, 0.0), (1.0, 0.1), (0.0, 0.2), (0.0, 1.0)], 40)[:, 0].min() == 0.0


def test_a_hollow_profile_leaves_walls_and_a_floor():
    profile = hollow(CUP, 0.004)
    outside, inside = profile[:3], profile[3:]

    np.testing.assert_array_equal(outside, CUP)
    assert inside[0].tolist() == pytest.approx([0.036, 0.1])
    assert inside[-1].tolist() == pytest.approx([0.0, 0.004])
    assert inside[:, 1].min() >= 0.004


def test_a_band_lies_just_outside_its_vessel_and_shows_its_picture_once():
    mesh = band(CUP, 0.02, 0.08, slot=2, sides=12)
    radius = np.hypot(mesh.vertices[:, 0], mesh.vertices[:, 1])

    np.testing.assert_allclose(
        radius, np.interp(mesh.vertices[:, 2], (0.0, 0.05, 0.1), (0.03, 0.04, 0.04)) + 8e-4, atol=1e-6
    )
    assert (mesh.vertices[:, 2].min(), mesh.vertices[:, 2].max()) == pytest.approx((0.02, 0.08))
    assert (mesh.uv.min(), mesh.uv.max()) == pytest.approx((0.0, 1.0))
    assert set(mesh.slots.tolist()) == {2}


def test_a_handle_reaches_out_between_its_heights():
    mesh = handle(0.03, 0.02, 0.08, at=0.04, thickness=0.005)

    assert mesh.vertices[:, 0].max() == pytest.approx(0.075, abs=2e-3)
    assert mesh.vertices[:, 2].min() == pytest.approx(0.02, abs=6e-3)
    assert mesh.vertices[:, 2].max() == pytest.approx(0.08, abs=6e-3)


def test_a_ring_is_level_and_as_wide_as_asked():
    mesh = ring(0.1, 0.01, height=0.05, sides=48)

    assert np.hypot(mesh.vertices[:, 0], mesh.vertices[:, 1]).max() == pytest.approx(0.11, abs=2e-3)
    assert np.ptp(mesh.vertices[:, 2]) == pytest.approx(0.02, abs=3e-3)


def test_a_thing_is_set_down_and_keeps_its_looks():
    model = thing([box((1, 1, 1), at=(4, 4, -3)), lathe([(0.1, 0), (0.1, 1)], slot=1)], [Look("wood"), Look("metal")])

    assert model.low[2] == pytest.approx(0.0, abs=1e-6)
    assert [look.use for look in model.looks] == ["wood", "metal"]


def test_drawn_colours_are_colours():
    rng = np.random.default_rng(0)
    looks = [bright(rng) for _ in range(200)] + [plain((0.9, 0.05, 0.5), rng) for _ in range(200)]
    tints = np.array([look.tint for look in looks])

    assert tints.min() >= 0.0
    assert tints.max() <= 1.0
    assert np.ptp(tints[:200], axis=0).min() > 0.4
    assert pick(rng, (looks[0],)) is looks[0]
