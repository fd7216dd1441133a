"""Any images to vectors by path, with a trained model; what other pipelines do with the vectors begins here."""

from typing import Any

from kedro.pipeline import Pipeline, node, pipeline

from reid_pipeline.schema.embed_parameters import EmbedParameters
from reid_pipeline.schema.embedded_images import EmbeddedImages
from reid_pipeline.schema.errors import UserError
from reid_pipeline.schema.listed_images import ListedImages
from reid_pipeline.schema.origin import Origin
from reid_pipeline.schema.parameters import ComputeParameters, IngestionParameters


def embed_images(
    named_embedder: Any,
    listed_images: ListedImages,
    embedded_parts: Any,
    earlier_embedded_images: Origin | None,
    embed: EmbedParameters,
    ingestion: IngestionParameters,
    compute: ComputeParameters,
) -> tuple[EmbeddedImages, str]:
    """Embed the images that can be decoded, and list the others as CSV."""
    from reid_pipeline.engine.runtime import resolve_runtime
    from reid_pipeline.evaluation.embedding_files import EmbeddingOfFiles
    from reid_pipeline.evaluation.loaded_embedder import LoadedEmbedder

    if embed.identities == "none":
        listed_images = listed_images.without_folder_names()
    model = "" if named_embedder.origin is None else named_embedder.origin.file
    made_with = {"embed": embed.model_dump(mode="json"), "model": model, "images": listed_images.given}
    require_same_images(earlier_embedded_images, made_with)
    runtime = resolve_runtime(compute).for_evaluation(embed.precision)
    embedding = EmbeddingOfFiles(
        LoadedEmbedder(named_embedder, runtime, embed.batch_size), listed_images, embedded_parts
    )
    made, left_out = embedding.run(made_with, skip_unreadable=ingestion.on_unreadable == "skip")
    return made, left_out.to_csv(index=False, lineterminator="\n")


def require_same_images(earlier: Origin | None, made_with: dict[str, Any]) -> None:
    """Refuse to write over embeddings of other images, or by another model's file, that have the same name."""
    for what in ("images", "model"):
        before = None if earlier is None else earlier.parameters.get(what)
        if before and before != made_with[what]:
            raise UserError(
                f"There are embeddings of that name already, with {what} {before}, and these are to have"
                f" {made_with[what]}. Give them a name of their own, --params name=<name>; or remove the earlier ones"
                " from data/07_model_output/embeddings."
            )


def create_pipeline() -> Pipeline:
    """Return model and images -> vectors by path."""
    read = ["named_embedder", "listed_images", "embedded_parts", "earlier_embedded_images"]
    blocks = ["params:embed", "params:ingestion", "params:compute"]
    return pipeline([node(embed_images, [*read, *blocks], ["embedded_images", "left_out_images"], name="embed_images")])
