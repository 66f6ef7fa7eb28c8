"""What all of it stands on: names, structures of tensors, seeds, and which layer holds which weight."""
