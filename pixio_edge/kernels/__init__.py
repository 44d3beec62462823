"""CUDA kernels of a vision transformer, compiled where they run, and the same functions on the CPU."""
