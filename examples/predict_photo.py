"""Depth of one photo: a picture to look at, the values, and what ran.

python examples/predict_photo.py photo.jpg
"""

import sys

from pixio_edge import DepthEstimator

with DepthEstimator.open() as estimator:
    depth = estimator.predict(sys.argv[1])

depth.save("depth.color.png")  # for the eye
depth.save("depth.png")  # 16 bits, with the linear map back to the values
depth.save("depth.npy")  # float32
height, width = depth.size
print(f"{height}x{width} {depth.kind}, nearest {depth.values.max():.3f}, farthest {depth.values.min():.3f}")
print(depth.source, depth.timing)
