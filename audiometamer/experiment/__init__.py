"""Listening experiments: from a stimulus set to listeners' answers and their analysis."""
