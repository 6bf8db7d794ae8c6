"""Training: one loop, exact resume, guidance terms beside the cross-entropy."""
