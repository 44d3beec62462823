"""Torch modules: Pixio encoder, DPT head, presets."""
