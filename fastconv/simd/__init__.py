"""What CPU kernels are made of: the host's vector units, SIMD intrinsics, the micro-kernel emitter, compilation."""
