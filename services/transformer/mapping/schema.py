"""What must exist in Pipedrive before records move."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from services.transformer.mapping.base import Model


class CustomField(Model):
    """A custom field to create in Pipedrive (or to find by name and type)."""

    name: str
    type: str
    options: list[str] = []


class Pipeline(Model):
    """A pipeline with its stages in order."""

    name: str
    stages: dict[str, str] = {}
    """Stage names by stage id."""
    probabilities: dict[str, Annotated[int, Field(ge=0, le=100)]] = {}
    """Percent by stage id. Pipedrive counts with them once any stage of the pipeline has one."""


class ActivityType(Model):
    """An activity type to create."""

    name: str
    icon_key: str = "task"


class Schema(Model):
    """What must exist in Pipedrive before records move."""

    pipelines: dict[str, Pipeline] = {}
    activity_types: dict[str, ActivityType] = {}
    labels: dict[str, list[str]] = {}
    """Label names by target entity."""
    options: dict[str, list[str]] = {}
    """Options of built-in fields: `product.category` to names."""
    fields: dict[str, dict[str, CustomField]] = {}
    """Custom fields by target entity and field id."""
