"""Networks to files: export, parity, timing, model folders."""
