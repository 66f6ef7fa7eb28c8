"""How a model is trained, evaluated and asked: steps, batches, meters, processes that share the work."""
