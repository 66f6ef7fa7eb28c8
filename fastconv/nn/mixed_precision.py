"""Mixed precision: layers compute in 16 bits with weights of float32, under Keras's names.

Under "mixed_bfloat16" and "mixed_float16" a layer's input and its weights are converted before it computes, sums are of
float32, and what it makes, which the gradients need, takes half of the memory. Weights, gradients to them and what
optimizers keep stay float32, as do losses, metrics and the statistics of normalisations. float16 has few exponents:
`compile` puts the optimizer behind a `LossScaleOptimizer`, so that small gradients survive.
"""

from .optimizers import LossScaleOptimizer
from .policies import DTypePolicy, dtype_policy, set_dtype_policy

__all__ = [
    "DTypePolicy",
    "LossScaleOptimizer",
    "Policy",
    "dtype_policy",
    "global_policy",
    "set_dtype_policy",
    "set_global_policy",
]

Policy, global_policy, set_global_policy = DTypePolicy, dtype_policy, set_dtype_policy
