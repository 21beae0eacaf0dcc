"""Whatever is merged in whatever order: nothing live points to what ended, nobody stands twice, and counts stay true."""

from collections import Counter

from hypothesis import given, settings
from hypothesis import strategies as st

from sandbox.pipedrive.account.account import Account, is_open
from sandbox.pipedrive.account.merging import MERGEABLE, MergeError, merge
from sandbox.pipedrive.gateway.app import PipedriveApp
from sandbox.pipedrive.options import Options
from sandbox.pipedrive.store.kinds import KINDS
from sandbox.pipedrive.store.store import Record

_COLUMNS = {"deal": ("deal_id",), "person": ("person_id",), "organization": ("org_id", "organization_id", "rel_owner_org_id", "rel_linked_org_id")}
_STEPS = st.lists(st.tuples(st.sampled_from(MERGEABLE), st.integers(1, 8), st.integers(1, 8)), min_size=1, max_size=12)


def _account() -> Account:
    """An account whose first eight records of each kind are tangled."""
    account = Account(Options(seed=3, limits=False))
    PipedriveApp(account)
    for first in range(1, 9):
        second = first % 8 + 1
        _add(account, "participant", deal_id=first, person_id=second, creator_user_id=1)
        _add(account, "follower", followed=f"deal/{first}", user_id=first % 3 + 1, creator_user_id=1)
        _add(account, "organization_relation", type="related", rel_owner_org_id=first, rel_linked_org_id=second)
        people = [{"person_id": first, "primary": True}, {"person_id": second, "primary": False}]
        activity = {"deal_id": first, "person_id": first, "org_id": second, "lead_id": None, "participants": people}
        times = {"done": False, "due_date": None, "due_time": None}
        _add(account, "activity", **activity, **times)
    return account


def _add(account: Account, kind: str, **values: object) -> None:
    account.store.put(kind, account.new_record(kind, **values))


def _live(account: Account, kind: str) -> list[Record]:
    return [record for record in account.store[kind] if not record["is_deleted"]]


@settings(max_examples=40, deadline=None)
@given(_STEPS)
def test_nothing_live_points_to_a_merged_record(steps: list[tuple[str, int, int]]) -> None:
    account = _account()
    for kind, survivor, merged in steps:
        is_possible = survivor != merged and account.live(kind, survivor) is not None and account.live(kind, merged) is not None
        try:
            assert merge(account, kind, survivor, merged)["id"] == survivor
        except MergeError:
            assert not is_possible
        else:
            assert is_possible
    for target, columns in _COLUMNS.items():
        gone = {record["id"] for record in account.store[target] if record["is_deleted"]}
        pointing = [
            (kind, record["id"], column) for kind in KINDS for record in _live(account, kind) for column in columns if record.get(column) in gone
        ]
        assert not pointing
        assert {follower["followed"] for follower in _live(account, "follower")}.isdisjoint(f"{target}/{record_id}" for record_id in gone)
    taking_part = Counter((participant["deal_id"], participant["person_id"]) for participant in _live(account, "participant"))
    following = Counter((follower["followed"], follower["user_id"]) for follower in _live(account, "follower"))
    assert max([*taking_part.values(), *following.values()]) == 1
    for activity in _live(account, "activity"):
        people = [entry["person_id"] for entry in activity["participants"]]
        assert len(people) == len(set(people))
        assert all(account.live("person", person_id) is not None for person_id in people)
        assert [entry["person_id"] for entry in activity["participants"] if entry["primary"]] == [activity["person_id"]]
    assert all(relation["rel_owner_org_id"] != relation["rel_linked_org_id"] for relation in _live(account, "organization_relation"))
    assert account.open_deals == sum(is_open(deal) for deal in account.store["deal"])
