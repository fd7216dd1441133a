"""Published ReID models: read from the files that their authors offer, and made embedders of this project.

`families` has the releases, `published` reads a file, `settings` decides size, stride and side information,
`shapes` refuses damaged tensors, `refusals` says what other files are.
"""

from reid_pipeline.models.importers.published import PublishedModel, PublishedPrompts, read_published

__all__ = ["PublishedModel", "PublishedPrompts", "read_published"]
