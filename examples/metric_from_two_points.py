"""Metres from relative depth: two distances that you measured are enough for a scale and a shift.

    python examples/metric_from_two_points.py room.jpg 400,120,1.5 80,300,4.2

Each point is column,row,metres. More points, or a sparse lidar map, make it steadier. Writes a point cloud.
"""

import sys

import numpy as np

from pixio_edge import DepthEstimator, Intrinsics
from pixio_edge.image import read_image

photo, *points = sys.argv[1:]
rgb = read_image(photo)
with DepthEstimator.open() as estimator:
    depth = estimator.predict(rgb)

known_m = np.zeros(depth.size, np.float32)  # 0 where nothing is known
for point in points:
    column, row, metres = point.split(",")
    known_m[int(row), int(column)] = float(metres)

metric = depth.align_to(known_m, known_m > 0)
height, width = metric.size
print(f"the centre is {metric.values[height // 2, width // 2]:.2f} m away")

camera = Intrinsics.from_fov(metric.size, 65)  # better: the intrinsics of your camera
metric.to_point_cloud(camera, rgb=rgb).save_ply("cloud.ply")
