"""`MigrationService`: RPC in, one decision of the domain, RPC out. A module for each part of the contract stands in `migration_service`."""

from services.ledger.migration_service.audits import Audits
from services.ledger.migration_service.lifecycle import Lifecycle
from services.ledger.migration_service.loading import Loading
from services.ledger.migration_service.mappings import Mappings
from services.ledger.migration_service.reconciling import Reconciling
from services.ledger.migration_service.records import Records
from services.ledger.migration_service.reviewing import Reviewing
from services.ledger.migration_service.rolling_back import RollingBack
from services.ledger.migration_service.trail import Trail
from transload.v1 import migration_service_pb2_grpc


class MigrationServicer(
    Lifecycle,
    Audits,
    Mappings,
    Loading,
    Reconciling,
    RollingBack,
    Reviewing,
    Records,
    Trail,
    migration_service_pb2_grpc.MigrationServiceServicer,
):
    """`MigrationService` on a repository and the ports of the other services."""
