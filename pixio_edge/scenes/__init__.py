"""Procedural scenes with exact depth: meshes, layouts, and a rasteriser that runs on CPU cores."""
