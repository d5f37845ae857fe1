"""The cochleagram: filterbank, multirate subbands, envelopes, compression."""

from audiometamer.cochleagram.cochleagram import Cochleagram

__all__ = ["Cochleagram"]
