"""`ExtractorService`: requests in, domain calls, answers out."""

from datetime import UTC
from typing import Any, Final

import orjson
from grpc import aio

from services.common.contract import check_migration_id
from services.common.errors import InvalidRequestError
from services.extractor.connector import FindingSeverity, ReadScope
from services.extractor.extraction import ExtractionSpec
from services.extractor.jobs import Extractions
from services.extractor.registry import connector_type
from transload.v1 import extractor_service_pb2 as pb
from transload.v1 import extractor_service_pb2_grpc as pb_grpc

Context = aio.ServicerContext[Any, Any]
_SEVERITIES: Final = {
    FindingSeverity.STOP: pb.SOURCE_FINDING_SEVERITY_STOP,
    FindingSeverity.WARNING: pb.SOURCE_FINDING_SEVERITY_WARNING,
    FindingSeverity.INFO: pb.SOURCE_FINDING_SEVERITY_INFO,
}


class ExtractorServicer(pb_grpc.ExtractorServiceServicer):
    """Implements the contract."""

    def __init__(self, extractions: Extractions) -> None:
        self._extractions = extractions

    async def CheckSource(self, request: pb.CheckSourceRequest, context: Context) -> pb.CheckSourceResponse:  # noqa: ARG002, N802
        """Say whether the credentials can read, and what of the contents a person should know."""
        options = _options(request.options_json, "options_json")
        check = await self._extractions.check(
            connector_type(request.connector), request.connection, options=options, includes_content=request.includes_content
        )
        response = pb.CheckSourceResponse(base_url=check.base_url, is_content_checked=check.findings is not None)
        response.findings.extend(
            pb.SourceFinding(
                code=one.code,
                severity=_SEVERITIES[one.severity],
                message=one.message,
                entity=one.entity,
                path=one.path,
                column=one.column,
                count=one.count,
                samples=one.samples,
                option=one.option,
            )
            for one in check.findings or ()
        )
        return response

    async def DescribeSource(self, request: pb.DescribeSourceRequest, context: Context) -> pb.DescribeSourceResponse:  # noqa: ARG002, N802
        """List the entities that are known before connecting, in the order they are read."""
        entities = connector_type(request.connector).entities
        return pb.DescribeSourceResponse(
            entities=[pb.SourceEntity(name=one.name, source_name=one.source_name, is_reference_data=one.is_reference_data) for one in entities]
        )

    async def StartExtraction(self, request: pb.StartExtractionRequest, context: Context) -> pb.StartExtractionResponse:  # noqa: ARG002, N802
        """Start or go on."""
        spec = spec_from_proto(request.spec)
        return pb.StartExtractionResponse(is_started=await self._extractions.start(spec, connector_type(spec.connector)))

    async def GetExtraction(self, request: pb.GetExtractionRequest, context: Context) -> pb.GetExtractionResponse:  # noqa: ARG002, N802
        """Say where it stands."""
        status = self._extractions.get(request.extraction_id)
        response = pb.GetExtractionResponse(entity=status.entity, source_call_count=status.source_call_count)
        if status.resume_time is not None:
            response.resume_time.FromDatetime(status.resume_time)
        return response

    async def CancelExtraction(self, request: pb.CancelExtractionRequest, context: Context) -> pb.CancelExtractionResponse:  # noqa: ARG002, N802
        """Stop it."""
        await self._extractions.cancel(request.extraction_id)
        return pb.CancelExtractionResponse()


def spec_from_proto(spec: pb.ExtractionSpec) -> ExtractionSpec:
    """Read what shall be extracted.

    Raises:
        InvalidRequestError: A field is missing or malformed; the message names it.
    """
    check_migration_id(spec.migration_id, "spec.migration_id")
    for field in ("extraction_id", "connector", "connection"):
        if not getattr(spec, field):
            raise InvalidRequestError(f"spec.{field} is required")
    if spec.file_bytes_max < 0:
        raise InvalidRequestError("spec.file_bytes_max: is negative")
    if spec.large_file_bytes_max < 0:
        raise InvalidRequestError("spec.large_file_bytes_max: is negative")
    connector_type(spec.connector)  # raises for one that nobody knows
    options = _options(spec.options_json, "spec.options_json")
    return ExtractionSpec(
        migration_id=spec.migration_id,
        extraction_id=spec.extraction_id,
        connector=spec.connector,
        connection=spec.connection,
        scope=ReadScope(
            changed_since=spec.changed_since.ToDatetime(tzinfo=UTC) if spec.HasField("changed_since") else None,
            includes_archived=spec.includes_archived,
            includes_deleted=spec.includes_deleted,
        ),
        entities=frozenset(spec.entities),
        file_bytes_max=spec.file_bytes_max,
        large_file_bytes_max=spec.large_file_bytes_max,
        options=options,
    )


def _options(text: str, field: str) -> dict[str, Any]:
    try:
        options = orjson.loads(text) if text.strip() else {}
    except orjson.JSONDecodeError as error:
        raise InvalidRequestError(f"{field} is not JSON") from error
    if not isinstance(options, dict):
        raise InvalidRequestError(f"{field} is not a JSON object")
    return options
