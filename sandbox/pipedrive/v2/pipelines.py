"""Pipelines and stages in version 2."""

from typing import Any

from sandbox.pipedrive.account.account import Account
from sandbox.pipedrive.account.schema import Check, Problems, boolean, integer, not_a
from sandbox.pipedrive.gateway.call import Call
from sandbox.pipedrive.gateway.routes import Route
from sandbox.pipedrive.store.store import Record
from sandbox.pipedrive.v2.listing import ListQuery, ListRules
from sandbox.pipedrive.v2.resource import Resource


class Pipelines(Resource):
    """`/pipelines`."""

    kind = "pipeline"
    title = "Pipeline"

    def checks(self, *, is_update: bool) -> dict[str, Check]:
        """Return the keys a body may have."""
        del is_update
        return {"name": self.account.name, "is_deal_probability_enabled": boolean}

    def build(self, call: Call, values: dict[str, Any], problems: Problems) -> Record:
        """Make a pipeline, the last in order and without stages."""
        del call, problems
        last = max((pipeline["order_nr"] for pipeline in self.account.store[self.kind]), default=0)
        return self.account.new_record(
            self.kind, name=values["name"], order_nr=last + 1, is_deal_probability_enabled=values.get("is_deal_probability_enabled", False)
        )

    def render(self, record: Record, query: ListQuery) -> dict[str, Any]:
        """Return a pipeline as the API shows it."""
        del query
        names = ("id", "name", "order_nr", "is_deleted", "is_deal_probability_enabled", "add_time", "update_time")
        return {name: record[name] for name in names}


class Stages(Resource):
    """`/stages`."""

    kind = "stage"
    title = "Stage"
    required = ("name", "pipeline_id")
    rules = ListRules(sorts=("id", "update_time", "add_time", "order_nr"), filters={"pipeline_id": int})

    def checks(self, *, is_update: bool) -> dict[str, Check]:
        """Return the keys a body may have."""
        del is_update
        return {
            "name": self.account.name,
            "pipeline_id": self._pipeline,
            "deal_probability": _percent,
            "is_deal_rot_enabled": boolean,
            "days_to_rotten": integer,
        }

    def _pipeline(self, value: Any, path: str, problems: Problems) -> Any:
        if type(value) is not int:
            problems.add(path, not_a("integer"))
        elif self.account.live("pipeline", value) is None:
            problems.add(path, f"Pipeline {value} not found")
        return value

    def build(self, call: Call, values: dict[str, Any], problems: Problems) -> Record:
        """Make a stage, the last of its pipeline."""
        del call, problems
        last = max((stage["order_nr"] for stage in self.account.stages_of(values["pipeline_id"])), default=0)
        return self.account.new_record(
            self.kind,
            order_nr=last + 1,
            name=values["name"],
            deal_probability=values.get("deal_probability", 100),
            pipeline_id=values["pipeline_id"],
            is_deal_rot_enabled=values.get("is_deal_rot_enabled", False),
            days_to_rotten=values.get("days_to_rotten"),
        )

    def accept(self, record: Record, query: ListQuery) -> bool:
        """Leave out deleted stages and those of deleted pipelines (assumed)."""
        del query
        return not record["is_deleted"] and self.account.live("pipeline", record["pipeline_id"]) is not None

    def render(self, record: Record, query: ListQuery) -> dict[str, Any]:
        """Return a stage as the API shows it."""
        del query
        names = (
            "id", "order_nr", "name", "is_deleted", "deal_probability", "pipeline_id", "is_deal_rot_enabled", "days_to_rotten",
            "add_time", "update_time",
        )  # fmt: skip
        return {name: record[name] for name in names}


def _percent(value: Any, path: str, problems: Problems) -> Any:
    integer(value, path, problems)
    if type(value) is int and not 0 <= value <= 100:
        problems.add(path, "The value must be between 0 and 100")
    return value


def routes(account: Account) -> list[Route]:
    """Return the operations on pipelines and stages."""
    return [*Pipelines(account).routes("pipelines", 5), *Stages(account).routes("stages", 5)]
