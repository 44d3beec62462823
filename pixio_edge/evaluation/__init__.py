"""Datasets and the zero-shot evaluation protocol."""
