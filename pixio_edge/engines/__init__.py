"""TensorRT engines on the device: build, check, choose, cache; torch-free."""
