"""Tables, figures, rank lists and pages; nothing here reads or writes a file. Names are imported from its modules."""
