"""How good predictions are, and whether one model really is better than another."""
