"""Hand-designed networks as functions that return a NetSpec, one file for each family, and the blocks they share."""
