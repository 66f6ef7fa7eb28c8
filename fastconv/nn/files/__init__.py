"""What goes into files and comes back: weights, states of trainings."""
