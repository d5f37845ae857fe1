"""Dimensions of a layer: components of Gram matrices, signals moved along them, catalogues and ladders of moved signals."""
