"""Training: procedural scenes, losses, the supervised loop."""
