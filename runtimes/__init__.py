"""Runtimes: one file per engine, all behind `base.Runtime`."""
