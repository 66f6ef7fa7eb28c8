"""What `fastconv.cuda.array.Array` is made of: NumPy's functions, element-wise work, reductions, layouts."""
