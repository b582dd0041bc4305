"""Models: the zoo, safe loading, their layers, and the tap that reads activations and gradients."""
