"""Kedro dataset classes of the project. Every save writes beside its target and renames: no half files."""
