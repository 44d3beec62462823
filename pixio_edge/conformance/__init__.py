"""Conformance: what a program in another language needs to prove that it computes the depth of a bundle."""
