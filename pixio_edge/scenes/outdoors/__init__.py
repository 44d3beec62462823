"""What outdoor layouts are made of: land, what stands along a way, and where it is seen from."""
