"""Windows of pools as tables, and the gradients of pools."""
