"""TensorRT: typed ONNX graphs, their rules, and the recipe by which a device builds engines; torch-free."""
