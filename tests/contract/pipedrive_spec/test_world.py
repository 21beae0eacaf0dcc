"""The account the requests go to: it has a record of every kind, and each request finds it as it was at first."""

from sandbox.pipedrive.account.export import export_state
from sandbox.pipedrive.store.kinds import KINDS
from tests.openapi.world import World


def test_there_is_a_record_of_every_kind(world: World) -> None:
    assert [kind for kind in KINDS if not world.live(kind)] == []


def test_a_change_is_undone(world: World) -> None:
    before = export_state(world.account)
    person = world.live("person")[0]["id"]
    with world.fresh():
        world.send("POST", "/api/v2/deals", {"title": "One more"})
        world.send("PATCH", f"/api/v2/persons/{person}", {"name": "Someone else"})
        world.send("DELETE", f"/api/v2/products/{world.live('product')[0]['id']}")
        world.send("POST", "/api/v2/dealFields", {"field_name": "x", "field_type": "text"})
        assert export_state(world.account) != before
    assert export_state(world.account) == before
    assert world.send("GET", f"/api/v2/persons/{person}").data["name"] == world.live("person")[0]["name"]
