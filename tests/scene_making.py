"""Scenes that tests build by hand, with nothing in them but what the test is about."""

from __future__ import annotations

import torch

from pixio_edge.training.geometry import Camera, Light, PackedScenes, Scene, Surface, pack_scenes

PLAIN = Surface(0, 0, 0)
SUN = Light(None, (0.0, 0.0, 1.0), 1.0, 0.5)


def scene_seen_from(camera: Camera) -> Scene:
    return Scene(camera, SUN)


def pack(*scenes: Scene) -> PackedScenes:
    return pack_scenes(scenes, torch.device("cpu"))
