"""What kernels are started with: the target that compiles them, streams, memory, other libraries' arrays."""
