"""The forms of an export: a plain folder, PsychoPy, BIDS."""
