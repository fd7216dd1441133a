"""Wiring and thin nodes. Nothing here computes; the catalog does all reading and writing."""
