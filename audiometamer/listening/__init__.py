"""The machinery of any listening test: lists, server, store, pages, rehearsal, answers' tables."""
