"""The frame loop of an application: frames in, depth out, one session, steady memory.

python examples/camera_loop.py            # first camera
python examples/camera_loop.py drive.mp4
"""

import sys

import numpy as np

from pixio_edge import DepthEstimator
from pixio_edge.video import VideoReader

source = sys.argv[1] if len(sys.argv) > 1 else "0"
with DepthEstimator.open(threads=2) as estimator, VideoReader(source) as frames:
    for index, depth in enumerate(estimator.stream(frames)):
        middle = depth.values[:, depth.size[1] // 3 : -(depth.size[1] // 3)]
        is_near = float(np.percentile(middle, 95)) > float(np.percentile(depth.values, 99))
        if index % 30 == 0 and depth.timing is not None:
            print(f"frame {index}: {depth.timing.total_ms:.1f} ms{', something near ahead' if is_near else ''}")
