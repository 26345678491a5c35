"""Learning weights: one loop for networks alone and for supernets, its settings, its checkpoints."""
