"""INT8 calibration (ranges, tables, emitters)."""
