"""What the project's data and parameters look like: table columns, parameter models, errors."""
