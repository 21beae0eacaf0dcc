"""Quota messages to domain values and back."""

from __future__ import annotations

from datetime import UTC

from services.loader.quota.leases import Headers, Priority
from services.loader.quota.tokens import Kept
from transload.v1 import ledger_service_pb2, quota_service_pb2


def headers_to_proto(headers: Headers) -> quota_service_pb2.QuotaHeaders:
    """Writes what an answer said."""
    return quota_service_pb2.QuotaHeaders(
        daily_token_limit=headers.daily_limit,
        daily_token_remaining=headers.daily_remaining,
        window_limit=headers.window_limit,
        window_remaining=headers.window_remaining,
        status=headers.status,
        is_html=headers.is_html,
        retry_after_seconds=headers.retry_after_seconds,
    )


def headers_from_proto(message: quota_service_pb2.QuotaHeaders) -> Headers:
    """Reads `headers_to_proto` back; what was not sent is None."""
    return Headers(
        status=message.status,
        daily_limit=message.daily_token_limit if message.HasField("daily_token_limit") else None,
        daily_remaining=message.daily_token_remaining if message.HasField("daily_token_remaining") else None,
        window_limit=message.window_limit if message.HasField("window_limit") else None,
        window_remaining=message.window_remaining if message.HasField("window_remaining") else None,
        retry_after_seconds=message.retry_after_seconds if message.HasField("retry_after_seconds") else None,
        is_html=message.is_html,
    )


def kept_to_proto(kept: Kept) -> ledger_service_pb2.KeptBudget:
    """Writes what outlives an arbiter."""
    message = ledger_service_pb2.KeptBudget(
        daily_token_limit=kept.limit, is_limit_known=kept.is_limit_known, floor_token_count=kept.floor, is_shared=kept.is_shared
    )
    message.reset_time.FromDatetime(kept.next_reset)
    if kept.exhausted_until is not None:
        message.exhausted_until_time.FromDatetime(kept.exhausted_until)
    return message


def kept_from_proto(message: ledger_service_pb2.KeptBudget) -> Kept:
    """Reads `kept_to_proto` back."""
    return Kept(
        limit=message.daily_token_limit,
        is_limit_known=message.is_limit_known,
        floor=message.floor_token_count,
        next_reset=message.reset_time.ToDatetime(UTC),
        exhausted_until=message.exhausted_until_time.ToDatetime(UTC) if message.HasField("exhausted_until_time") else None,
        is_shared=message.is_shared,
    )


def priority_from_proto(value: quota_service_pb2.QuotaPriority.ValueType) -> Priority:
    """Reads a priority; unset and unknown are bulk."""
    return Priority(value) if value in Priority._value2member_map_ else Priority.BULK


def priority_of_run(run_kind: str) -> Priority:
    """Answers the priority of a run's calls by its kind, as `BeginBatchResponse.run_kind` names it (any case, with or without enum prefix)."""
    kind = run_kind.lower().removeprefix("run_kind_")
    return {
        "rollback": Priority.ROLLBACK,
        "reconcile": Priority.VERIFY,
        "repair": Priority.VERIFY,
        "audit": Priority.VERIFY,
        "schema": Priority.SAMPLE,
        "sample": Priority.SAMPLE,
        "delta": Priority.DELTA,
    }.get(kind, Priority.BULK)
