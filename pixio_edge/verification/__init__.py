"""Verification: every artifact of a bundle that this host can run, against the stored outputs of the float model."""
