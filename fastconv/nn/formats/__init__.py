"""Files of models: named arrays (.npz, .safetensors), and Keras's own layouts of weights and of whole models."""
