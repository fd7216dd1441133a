"""What the nodes of a method's pipeline share: whose they are, and the origin of what they make."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd

from reid_pipeline.clustering.settings import ClusteringSettings
from reid_pipeline.engine.stage import Method
from reid_pipeline.schema.addresses import Cells
from reid_pipeline.schema.origin import Origin, require_match
from reid_pipeline.schema.record import OriginatedRecord
from reid_pipeline.schema.report_parameters import ReportParameters


@dataclass(frozen=True)
class CellNodes:
    """Nodes of a method, of which those of training are of one stage. `parameters` are the method's own.

    Nodes of a pipeline that is not the method's have another `namespace`.
    """

    method: Method
    stage: str = ""
    namespace: str = ""

    def _in_force(self, parameters: Any, cells: Cells, split_table: pd.DataFrame) -> Any:
        """Return the parameters with what the data decide of the plans."""
        from reid_pipeline.engine.plan_of_data import resolved_parameters

        return resolved_parameters(self.method, parameters, cells[self.method.name], split_table)

    def _origin(
        self,
        node: str,
        cells: Cells,
        *tables: pd.DataFrame,
        parameters: Any,
        evaluation: Any = None,
        used: Mapping[str, Origin | None] | None = None,
        runtime: Any = None,
    ) -> Origin:
        """Return the origin of what `node` makes from the artefact in `used`, which must be of this run."""
        from reid_pipeline.evaluation.run_card import run_origin

        read = {self.method.name: self._in_force(parameters, cells, tables[0])}
        read |= {} if evaluation is None else {"evaluation": evaluation}
        after = next(iter(used.values())) if used else None
        present = run_origin(node, cells[self.method.name], *tables, parameters=read, runtime=runtime, after=after)
        if self.namespace:
            present = present.replace(made_by=f"{self.namespace}.{node}")
        for name, origin in (used or {}).items():
            require_match(node, name, origin, present)
        return made_from(present, **(used or {}))

    def _with_clustering(self, present: Origin, parameters: Any, clusters: ClusteringSettings) -> Origin:
        """Return the origin with the shared settings of the clustering, where the method has none of its own."""
        if hasattr(parameters, "clustering"):
            return present
        return present.replace(parameters={**present.parameters, "clusters": clusters.model_dump(mode="json")})


def made_from(origin: Origin, **artefacts: Origin | None) -> Origin:
    """Return an origin with the digests of further artefacts that something was made from."""
    digests = {name: each.digest for name, each in artefacts.items() if each is not None and each.digest}
    return origin.replace(made_from={**origin.made_from, **digests})


def with_explain(origin: Origin, report: ReportParameters) -> Origin:
    """Return an origin with the parameters of what a report explains."""
    explain = {"explain": report.explain.model_dump(mode="json")}
    return origin.replace(parameters={**origin.parameters, "report": explain})


def require_all(node: str, records: Iterable[tuple[str, OriginatedRecord | None]], present: Origin) -> None:
    """Refuse a record that is not of the run that uses it; `records` are named as what they are used as."""
    for artefact, record in records:
        if record is not None:
            require_match(node, artefact, record.origin, present)
