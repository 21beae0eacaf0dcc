"""The order in which an account is made."""

from sandbox.stel_order.generator.accounts import build_accounts
from sandbox.stel_order.generator.attachments import build_attachments
from sandbox.stel_order.generator.build import Builder, Plan
from sandbox.stel_order.generator.catalogue import build_catalogue
from sandbox.stel_order.generator.defects import build_defects
from sandbox.stel_order.generator.documents import build_documents
from sandbox.stel_order.generator.payments import build_payments
from sandbox.stel_order.generator.reference import build_reference
from sandbox.stel_order.generator.removed import build_removed
from sandbox.stel_order.generator.service import build_agenda, build_assets
from sandbox.stel_order.store import Store


def generate(store: Store, plan: Plan) -> Builder:
    """Fill the store; returns the builder with the list of deliberate defects."""
    builder = Builder(store, plan)
    build_reference(builder)
    build_accounts(builder)
    build_catalogue(builder)
    build_assets(builder)
    build_documents(builder)
    build_payments(builder)
    build_agenda(builder)
    build_attachments(builder)
    build_removed(builder)
    if not plan.is_clean:
        build_defects(builder)
    return builder
