"""Pipelines and stages in version 1, where their order can be set."""

from collections.abc import Mapping
from typing import Any, ClassVar

from sandbox.pipedrive.account.account import Account
from sandbox.pipedrive.gateway.call import Call, Result, success
from sandbox.pipedrive.gateway.errors import ApiError
from sandbox.pipedrive.gateway.routes import Route
from sandbox.pipedrive.store.store import Record
from sandbox.pipedrive.v1.common import integer_of, paged
from sandbox.pipedrive.v1.deprecated import convert
from sandbox.pipedrive.v1.deprecated.convert import Convert
from sandbox.pipedrive.v1.deprecated.entity import Entity
from sandbox.pipedrive.v1.objects import Related
from sandbox.pipedrive.v1.rendering import pipeline as show_pipeline
from sandbox.pipedrive.v1.rendering import stage as show_stage
from sandbox.pipedrive.v2.pipelines import Pipelines, Stages


class _Ordered(Entity):
    """Records with a place among their like."""

    has_custom_fields = False
    created_status = 200

    def answer(self, record: Record, status: int = 200) -> Result:
        """Answer with one record; there are no related ones."""
        return success(self.show(record, Related(self.account)), status)

    def terms(self, body: Record, before: Record | None) -> tuple[Record, Record]:
        """Return a body in the terms of version 2, and the place."""
        values, beside = super().terms(body, before)
        if (place := integer_of(body.get("order_nr"), "order_nr")) is not None:
            beside["order_nr"] = place
        return values, beside


class DeprecatedPipelines(_Ordered):
    """`/pipelines`. A pipeline cannot be switched off here; `active` is ignored (assumed)."""

    kind = "pipeline"
    keys: ClassVar[Mapping[str, tuple[str, Convert]]] = {
        "name": ("name", convert.plain),
        "deal_probability": ("is_deal_probability_enabled", convert.flag),
    }

    def show(self, record: Record, related: Related) -> dict[str, Any]:
        """Return a pipeline."""
        del related
        return show_pipeline(record)

    def create(self, call: Call) -> Result:
        """Create a pipeline. The answer does not tell whether it is the selected one (official)."""
        result = super().create(call)
        del result.body["data"]["selected"]
        return result

    def list_all(self, call: Call) -> Result:
        """Answer the list of pipelines in their order; it has no pages."""
        del call
        live = [pipeline for pipeline in self.account.store[self.kind] if not pipeline["is_deleted"]]
        return success([show_pipeline(pipeline) for pipeline in sorted(live, key=_place)] or None)


class DeprecatedStages(_Ordered):
    """`/stages`."""

    kind = "stage"
    keys: ClassVar[Mapping[str, tuple[str, Convert]]] = {
        "name": ("name", convert.plain),
        "pipeline_id": ("pipeline_id", integer_of),
        "deal_probability": ("deal_probability", convert.number),
        "rotten_flag": ("is_deal_rot_enabled", convert.flag),
        "rotten_days": ("days_to_rotten", convert.number),
    }

    def show(self, record: Record, related: Related) -> dict[str, Any]:
        """Return a stage."""
        del related
        return show_stage(record)

    def list_all(self, call: Call) -> Result:
        """Answer the list of stages, pipeline by pipeline."""
        account = self.account
        wanted = integer_of(call.query.get("pipeline_id"), "pipeline_id")
        if wanted is not None and account.live("pipeline", wanted) is None:
            raise ApiError(404, "Pipeline not found", info="Object was not found.")
        pipelines = [item for item in account.store["pipeline"] if not item["is_deleted"] and wanted in (None, item["id"])]
        stages = [stage for pipeline in sorted(pipelines, key=_place) for stage in account.stages_of(pipeline["id"])]
        return paged(call, stages, self._show_listed, ())

    def _show_listed(self, stage: Record) -> dict[str, Any]:
        pipeline = self.account.store["pipeline"].records[stage["pipeline_id"]]
        return show_stage(stage) | {"pipeline_name": pipeline["name"], "pipeline_deal_probability": pipeline["is_deal_probability_enabled"]}


def _place(record: Record) -> tuple[int, int]:
    return record["order_nr"], record["id"]


def routes(account: Account) -> list[Route]:
    """Return the deprecated operations on pipelines and stages."""
    stages = DeprecatedStages(account, Stages(account))
    return [
        *DeprecatedPipelines(account, Pipelines(account)).routes("pipelines", 10),
        *stages.routes("stages", 10),
        Route("DELETE", "/v1/stages", 1, 10, stages.delete_many),
    ]
