"""The files of conf/, read with file and line; layers of parameters, overlays, and cells in the catalog."""
