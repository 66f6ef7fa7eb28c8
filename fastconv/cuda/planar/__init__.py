"""Kernels for few channels in a group, which tiles of a matrix product would leave idle (twin: cpu/planar)."""
