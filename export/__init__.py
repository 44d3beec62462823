"""ONNX export: torch model to verified artifacts."""
