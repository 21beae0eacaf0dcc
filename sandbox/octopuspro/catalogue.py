"""Services, their questions and answers, automations, and the definitions of custom fields."""

from datetime import timedelta
from decimal import Decimal

from sandbox.octopuspro import words
from sandbox.octopuspro.account import FIRST_DAY, Builder
from sandbox.octopuspro.fields import FIELDS


def build_catalogue(builder: Builder) -> None:
    """Make everything that is set up rather than done."""
    for index, (name, description, category, minutes, price, pricing, area) in enumerate(words.SERVICES):
        builder.put(
            "services",
            {
                "Service ID": builder.id("services", 301),
                "Service name": name,
                "Description": description,
                "Category": category,
                "Duration": minutes,
                "Price": Decimal(price),
                "Pricing type": pricing,
                "Tax": Decimal(10) if index % 2 == 0 else Decimal(0),
                "Service area": area,
                "Active": index < len(words.SERVICES) - 1,
            },
        )
    services = builder.account.tables["services"]
    for order, (service, question, answer) in enumerate(words.FAQS, start=1):
        row = {
            "FAQ ID": builder.id("faqs", 901),
            "Service ID": services[service]["Service ID"],
            "Question": question,
            "Answer": answer,
            "Order": order,
        }
        builder.put("faqs", row)
    for name, trigger, conditions, actions, is_active in words.AUTOMATIONS:
        row = {"Automation ID": builder.id("automations", 41), "Automation name": name, "Trigger": trigger, "Conditions": conditions}
        builder.put("automations", row | {"Actions": actions, "Active": is_active, "Created": FIRST_DAY - timedelta(days=30)})
    for field in FIELDS:
        row = {"Field ID": str(field.id), "Label": field.label, "Object": field.object, "Type": field.type}
        builder.put("custom_fields", row | {"Options": " | ".join(field.options), "Required": field.id == 31, "Visible to": field.visible_to})
