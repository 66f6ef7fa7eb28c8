"""What a model is: its graph of layers, how that is run, and how it is shown."""
