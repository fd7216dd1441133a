"""Parameters of the report; in `explain`, 0 leaves a part out."""

from pydantic import Field

from reid_pipeline.schema.base import Parameters


class ExplainParameters(Parameters):
    """How much is sampled for t-SNE, attention maps and similarity maps."""

    identities: int = Field(12, ge=0, le=12, description="identities whose images t-SNE places; 0: no t-SNE of images")
    images: int = Field(20, ge=2, le=50, description="images of each of them, at most")
    texts: int = Field(60, ge=0, le=500, description="identities whose prompts t-SNE places; 0: no t-SNE of texts")
    pictures: int = Field(4, ge=0, le=12, description="images with an attention map; 0: none")
    queries: int = Field(3, ge=0, le=12, description="queries with similarity maps; 0: none")


class ReportParameters(Parameters):
    """What the report shows."""

    queries: int = Field(8, ge=1, description="good and bad queries shown, each")
    top: int = Field(10, ge=1, description="gallery images shown for a query")
    explain: ExplainParameters = ExplainParameters()
