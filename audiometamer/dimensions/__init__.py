"""Dimensions of what a layer hears: components of Gram matrices, moving a signal along them, catalogues, ladders."""
