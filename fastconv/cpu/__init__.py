"""Kernels for the CPU. They take arrays and plain integers, always with three spatial axes (D, H, W)."""
