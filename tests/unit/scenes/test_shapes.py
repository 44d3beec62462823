import math

import numpy as np
import pytest

from pixio_edge.scenes.mesh import Mesh, merge, transform
from pixio_edge.scenes.shapes import (
    ball,
    box,
    card,
    cylinder,
    displaced,
    extrude,
    grounded,
    lathe,
    leaf_cards,
    moved,
    sheet,
    tube,
)
from pixio_edge.scenes.shapes.outlines import rounded, triangulate
from pixio_edge.scenes.shapes.profiles import hollow

ARROW = [(0, 0), (2, 0), (2, 2), (1, 1), (0, 2)]
VESSEL = hollow([(0.8, 0), (1.0, 1.0), (1.0, 2.0)], 0.1)
CLOSED = {
    "box": box((1, 2, 3), at=(0.5, 1, 2)),
    "bevelled box": box((1, 2, 3), bevel=0.1),
    "cylinder": cylinder(0.5, 2.0, sides=16),
    "cone": cylinder(0.5, 2.0, top_radius=0.0),
    "lathe with a waist": lathe([(1, 0), (0.4, 1), (1.2, 2)]),
    "vessel": lathe(VESSEL),
    "faceted lathe": lathe([(1, 0), (1.2, 1)], sides=6, smooth=False),
    "ball": ball((1, 2, 3), detail=2),
    "tube": tube([(0, 0, 0), (0, 0, 1), (1, 0, 1), (1, 1, 1)], 0.1),
    "concave prism along x": extrude(ARROW, 1.5, axis="x"),
    "concave prism along y": extrude(ARROW, 1.5, axis="y"),
    "clockwise prism along z": extrude(ARROW[::-1], 1.5),
    "displaced ball": displaced(ball((1, 1, 1), detail=3), np.random.default_rng(0), 0.05, 1.0),
    "turned and mirrored box": transform(moved(box((1, 2, 3)), (1, 2, 3), pitch=0.3, yaw=1.0), np.diag([-1.0, 1, 1])),
}


def _corners(mesh: Mesh) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    a, b, c = (mesh.vertices[mesh.triangles[:, i]].astype(np.float64) for i in range(3))
    return a, b, c


def _volume(mesh: Mesh) -> float:
    a, b, c = _corners(mesh)
    return float((a * np.cross(b, c)).sum() / 6)


def _extent(mesh: Mesh) -> np.ndarray:
    return mesh.vertices.max(axis=0) - mesh.vertices.min(axis=0)


@pytest.mark.parametrize("name", CLOSED)
def test_solids_have_no_gaps(name):
    mesh = CLOSED[name]
    _, index = np.unique(np.round(mesh.vertices, 4), axis=0, return_inverse=True)
    faces = index.reshape(-1)[mesh.triangles]
    edges = [(int(f[i]), int(f[(i + 1) % 3])) for f in faces for i in range(3) if f[i] != f[(i + 1) % 3]]

    assert all(edges.count((b, a)) == edges.count((a, b)) for a, b in set(edges))


@pytest.mark.parametrize("name", CLOSED)
def test_normals_point_outwards_with_the_winding(name):
    mesh = CLOSED[name]
    a, b, c = _corners(mesh)
    facing = (np.cross(b - a, c - a)[:, None] * mesh.normals[mesh.triangles]).sum(axis=2)

    assert _volume(mesh) > 0
    assert facing.sum(axis=1).min() > 0


@pytest.mark.parametrize(
    ("mesh", "volume"),
    [
        (box((1, 2, 3)), 6.0),
        (extrude(ARROW, 1.5), 4.5),
        (cylinder(1.0, 2.0, sides=64), 2 * math.pi),
        (cylinder(1.0, 3.0, top_radius=0.0, sides=64), math.pi),
        (ball((1, 2, 3), detail=8), 8 * math.pi),
        (tube([(0, 0, 0), (0, 0, 5)], 1.0, sides=64), 5 * math.pi),
    ],
    ids=["box", "prism", "cylinder", "cone", "ball", "tube"],
)
def test_a_solid_has_the_volume_of_its_formula(mesh, volume):
    assert _volume(mesh) == pytest.approx(volume, rel=0.02)


def test_a_box_has_its_size_and_stands_on_its_place():
    mesh = box((1, 2, 3), at=(5, 6, 7), bevel=0.2)

    np.testing.assert_allclose(mesh.vertices.min(axis=0), (4.5, 5, 7), atol=1e-6)
    np.testing.assert_allclose(mesh.vertices.max(axis=0), (5.5, 7, 10), atol=1e-6)


@pytest.mark.parametrize("bevel", [0.0, 0.1])
def test_fitted_faces_of_a_box_show_the_whole_picture_upright(bevel):
    mesh = box((1, 2, 3), bevel=bevel, fit=True)
    front = mesh.normals[:, 1] < -0.99
    points, uv = mesh.vertices[front], mesh.uv[front]

    np.testing.assert_allclose(uv[:4, 0], points[:4, 0] + 0.5, atol=1e-6)
    np.testing.assert_allclose(uv[:4, 1], 1 - points[:4, 2] / 3, atol=1e-6)


def test_a_fitted_card_shows_its_picture_upright_to_the_front():
    mesh = card(2.0, 1.0, fit=True)

    assert (mesh.normals == (0, -1, 0)).all()
    lower_left = np.flatnonzero((mesh.vertices[:, 0] < 0) & (mesh.vertices[:, 2] == 0))
    np.testing.assert_array_equal(mesh.uv[lower_left], [[0, 1]])


def test_uv_are_metres_along_the_surface():
    mesh = box((1, 2, 3))
    a, b = (mesh.triangles[:, i] for i in range(2))
    lengths = np.linalg.norm(mesh.vertices[a] - mesh.vertices[b], axis=1)

    np.testing.assert_allclose(np.linalg.norm(mesh.uv[a] - mesh.uv[b], axis=1), lengths, rtol=1e-5)


def test_a_smooth_lathe_keeps_sharp_edges_and_rounds_gentle_ones():
    mesh = lathe([(1.0, 0.0), (1.0, 1.0), (0.9, 2.0)], sides=8)
    gentle = mesh.normals[np.isclose(mesh.vertices[:, 2], 1.0)]
    rim = mesh.normals[np.isclose(mesh.vertices[:, 2], 2.0) & (mesh.vertices[:, 0] > 0.89)]

    assert np.ptp(gentle[:, 2]) < 1e-6
    assert rim[:, 2].max() == pytest.approx(1.0)
    assert rim[:, 2].min() < 0.2


def test_the_inside_of_a_vessel_faces_its_axis():
    mesh = lathe(VESSEL)
    inside = np.isclose(np.hypot(mesh.vertices[:, 0], mesh.vertices[:, 1]), 0.9) & (mesh.vertices[:, 2] > 1.5)
    towards = (mesh.normals[:, :2] * mesh.vertices[:, :2]).sum(axis=1)

    assert inside.any()
    assert (towards[inside & (np.abs(mesh.normals[:, 2]) < 0.5)] < 0).all()


@pytest.mark.parametrize(
    "outline", [ARROW, rounded(2.0, 1.0, 0.3).tolist(), [(0, 0), (3, 0), (3, 1), (1, 1), (1, 3), (0, 3)]]
)
def test_triangles_of_an_outline_cover_it_once(outline):
    points = np.asarray(outline, dtype=np.float64)
    following = np.roll(points, -1, axis=0)
    area = (points[:, 0] * following[:, 1] - points[:, 1] * following[:, 0]).sum() / 2
    a, b, c = (points[np.asarray(triangulate(points))[:, i]] for i in range(3))
    parts = ((b - a)[:, 0] * (c - a)[:, 1] - (b - a)[:, 1] * (c - a)[:, 0]) / 2

    assert (parts > 0).all()
    assert parts.sum() == pytest.approx(area)


def test_a_sheet_follows_its_height_and_its_normals_point_up():
    mesh = sheet(2.0, 1.0, rows=8, columns=8, height=lambda x, y: 0.5 * x + 0 * y)

    np.testing.assert_allclose(mesh.vertices[:, 2], 0.5 * mesh.vertices[:, 0], atol=1e-6)
    np.testing.assert_allclose(mesh.normals, np.tile(np.array([-0.5, 0, 1]) / math.hypot(0.5, 1), (81, 1)), atol=1e-5)


def test_displacement_is_as_large_as_asked():
    whole = ball((1, 1, 1), detail=4)
    moves = [displaced(whole, np.random.default_rng(i), 0.1, 1.0).vertices - whole.vertices for i in range(20)]

    assert np.sqrt((np.stack(moves) ** 2).sum(axis=-1).mean()) == pytest.approx(0.1 * math.sqrt(3), rel=0.3)


def test_leaves_lie_at_their_points_and_shade_like_one_crown():
    rng = np.random.default_rng(0)
    points = rng.normal(size=(40, 3))
    mesh = leaf_cards(points, 0.1, rng, centre=(0, 0, 0))

    assert len(mesh.triangles) == 80
    assert np.linalg.norm(mesh.vertices.reshape(40, 4, 3) - points[:, None], axis=2).max() < 0.06
    assert ((mesh.normals.reshape(40, 4, 3) * points[:, None]).sum(axis=2) > 0).all()


def test_moving_turns_a_top_forward_by_pitch_and_to_the_right_by_roll():
    rod = box((0.1, 0.1, 1.0))

    assert moved(rod, pitch=math.pi / 2).vertices[:, 1].min() == pytest.approx(-1.0, abs=1e-6)
    assert moved(rod, roll=math.pi / 2).vertices[:, 0].max() == pytest.approx(1.0, abs=1e-6)
    np.testing.assert_allclose(_extent(moved(rod, yaw=math.pi / 4, scale=(2, 2, 1)))[2], 1.0, atol=1e-6)


def test_a_grounded_mesh_is_centred_on_the_ground():
    mesh = grounded(merge([box((1, 1, 1), at=(3, 4, -2), slot=0), ball((1, 1, 1), at=(5, 5, 5), slot=1)]))

    assert mesh.vertices[:, 2].min() == pytest.approx(0.0, abs=1e-6)
    np.testing.assert_allclose((mesh.vertices.min(axis=0) + mesh.vertices.max(axis=0))[:2], 0.0, atol=1e-5)
    assert set(mesh.slots.tolist()) == {0, 1}
