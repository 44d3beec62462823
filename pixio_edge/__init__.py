"""On-device monocular depth."""
