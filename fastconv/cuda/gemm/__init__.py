"""Matrix products, gathered or plain, on cores and tensor cores: the kernels of im2col and of products."""
