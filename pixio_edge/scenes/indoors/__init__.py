"""What indoor layouts are made of: rooms, what stands in them, and where they are seen from."""
