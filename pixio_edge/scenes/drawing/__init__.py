"""From a scene to an image: rasteriser, light and camera, as compiled kernels."""
