"""Kernels for CUDA GPUs: twins of ``fastconv.cpu`` with the same entry points, taking device arrays.

Nothing here is imported until a CUDA array or ``device="cuda"`` comes. ``backend`` is the one door to numba-cuda,
``launch`` compiles and starts kernels; the rest are kernels, made by factories that return plain functions, so that
tests can run their logic without a GPU.
"""
