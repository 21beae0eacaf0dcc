"""Custom fields that a plan has no room for are left out of a mapping with everything that fills them."""

from __future__ import annotations

import pytest
import yaml

from transload.cli.fewer_fields import leave_out

MAPPING = """
schema:
  fields:
    deal: {number: {name: Number}, total: {name: Total}, paid: {name: Paid}}
    person: {fax: {name: Fax}}
fragments:
  document: {custom: {number: reference, paid: payments}}
entities:
  order:
    targets:
      - {target: deal, include: [document], custom: {total: total-amount, number: id}}
      - {target: note, fields: {content: text}}
    properties: {paid: {keys: [a]}, hidden: {keys: [b], move: false}}
  contact:
    targets: [{target: person, custom: {fax: fax}}]
"""


def test_the_last_fields_of_the_longest_list_go_with_their_rules() -> None:
    text, left_out = leave_out(MAPPING, 2)
    mapping = yaml.safe_load(text)
    assert left_out == {"deal": 2}
    assert mapping["schema"]["fields"] == {"deal": {"number": {"name": "Number"}}, "person": {"fax": {"name": "Fax"}}}
    assert mapping["fragments"]["document"]["custom"] == {"number": "reference"}
    assert mapping["entities"]["order"]["targets"][0]["custom"] == {"number": "id"}
    assert mapping["entities"]["order"]["properties"] == {"hidden": {"keys": ["b"], "move": False}}
    assert mapping["entities"]["contact"]["targets"] == [{"target": "person", "custom": {"fax": "fax"}}]


def test_more_than_there_are_cannot_be_left_out() -> None:
    with pytest.raises(ValueError, match="fewer than 5"):
        leave_out(MAPPING, 5)
