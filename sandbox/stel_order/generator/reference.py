"""Employees, states, taxes, categories, series: what other records point to."""

from sandbox.stel_order.generator.build import Builder, link, texts

EMPLOYEES = (
    {
        "id": 3,
        "name": "Lucía",
        "surname": "García Ortega",
        "full-name": "Lucía García Ortega",
        "email": "lucia.garcia@example.com",
        "position": "Comercial",
    },
    {"id": 4, "name": "Mateo", "surname": "Ruiz", "full-name": "Mateo Ruiz", "email": "Mateo.Ruiz@Example.com", "position": "Técnico"},
    {"id": 5, "name": "Inés", "surname": "Soto", "email": "ines.soto@example.com", "position": "Administración"},
    {"id": 6, "name": "Tomás", "surname": "Vega Ñíguez", "full-name": "Tomás Vega Ñíguez", "email": "tomas.vega@example.com", "position": "Técnico"},
    {"id": 8, "name": "Jordi", "surname": "Puig", "full-name": "Jordi Puig", "email": "jordi.puig@nowhere.example", "position": "Tècnic"},
    {"id": 11, "name": "Inés", "surname": "Soto (tablet)", "email": "", "user-name": "ines.soto@example.com", "position": None},
)
"""The fourth-last matches nobody in Pipedrive by design (`jordi.puig`), the last one carries its address in `user-name` only."""

DEACTIVATED_EMPLOYEE = {
    "id": 9,
    "name": "Carmen",
    "surname": "Vidal",
    "full-name": "Carmen Vidal",
    "email": "carmen.vidal@example.com",
    "deleted": True,
}
TECHNICIANS = (4, 6, 8)
AGENTS = (3, 5, 6, 11)

STATES = {
    "SALESESTIMATE": ("Pendiente", "Aceptado", "Rechazado", "Cerrada", "En negociación"),
    "SALESORDER": ("Pendiente", "En curso", "Cerrada"),
    "SALESDELIVERYNOTE": ("Pendiente", "Pendiente de facturar", "Facturada"),
    "ORDINARYINVOICE": ("Pendiente", "Cerrada"),
    "REFUNDINVOICE": ("Pendiente", "Cerrada"),
    "WORKESTIMATE": ("Pendiente", "Aceptado", "Rechazado"),
    "WORKORDER": ("Pendiente", "En curso", "Pendiente de facturar", "Facturada", "Cerrada", "En pausa ⏸"),
    "WORKDELIVERYNOTE": ("Pendiente", "Pendiente de facturar", "Facturada"),
}
"""State names by the collection they belong to, in capitals and singular."""

SERIES = {
    "clients": "CLI",
    "potentialClients": "LEA",
    "products": "PRO",
    "services": "SER",
    "assets": "ACT",
    "incidents": "INC",
    "salesEstimates": "COTI",
    "salesOrders": "PDV",
    "salesDeliveryNotes": "ENT-",
    "ordinaryInvoices": "FAC",
    "refundInvoices": "ABT",
    "workEstimates": "PDT",
    "workOrders": "ORT",
    "workDeliveryNotes": "NTT",
}
TAXES = (21, 10, 4, 0)
PAYMENT_OPTIONS = ("Transferencia bancaria", "Tarjeta", "Efectivo", "Recibo domiciliado", "Bizum")
CATEGORY_FIRST_ID = 31
PAYMENT_OPTION_FIRST_ID = 61
WAREHOUSES = ((-2, "Almacén por defecto"), (3, "Furgoneta nº 2"))


def state_ids(kind: str) -> dict[str, int]:
    """Return name → id of the states of one kind."""
    first = 100 + 10 * list(STATES).index(kind)
    return {name: first + position for position, name in enumerate(STATES[kind])}


def tax_id(percent: int) -> int:
    """Return the id of a tax line."""
    return 41 + TAXES.index(percent)


def series_id(collection: str) -> int:
    """Return the id of a collection's numbering series."""
    return 1201 + list(SERIES).index(collection)


def build_reference(builder: Builder) -> None:
    """Make all reference collections."""
    _people(builder)
    for position, name in enumerate(("Particular", "Empresa", "Comunidad", "VIP ⭐")):
        builder.put("accountCategories", {"id": 7 + position, "name": name})
    for kind in STATES:
        for order, (name, state_id) in enumerate(state_ids(kind).items(), start=1):
            builder.put("documentStates", {"id": state_id, "name": name, "type": kind, "color": "#3366CC", "color-text": "#FFFFFF", "order": order})
    for order, name in enumerate(("Pendiente", "Atendida", "Resuelta"), start=1):
        builder.put("incidentStates", {"id": 200 + order, "name": name, "order": order})
    for number, name in ((211, "Avería"), (212, "Consulta"), (213, "E-mail enviado")):
        builder.put("incidentTypes", {"id": number, "name": name})
    for number, name in ((221, "Visita"), (222, "Llamada"), (223, "Mantenimiento preventivo")):
        builder.put("eventTypes", {"id": number, "name": name, "color": "#228833"})
    for percent in TAXES:
        builder.put("taxLines", {"id": tax_id(percent), "name": f"IVA {percent} %", "percentage": percent, "type": "PRIMARY"})
    for position, name in enumerate(texts()["categories"]):
        builder.put("productCategories", {"id": CATEGORY_FIRST_ID + position, "name": name})
    for collection, prefix in SERIES.items():
        builder.put("serialNumbers", {"id": series_id(collection), "name": collection, "prefix": prefix, "type": collection.upper()})
    for position, name in enumerate(PAYMENT_OPTIONS):
        builder.put("paymentOptions", {"id": PAYMENT_OPTION_FIRST_ID + position, "name": name})
    for number, name in ((71, "Al contado"), (72, "30 días"), (73, "30/60 días")):
        builder.put("paymentTerms", {"id": number, "name": name})
    for number, name in ((-2, "Tarifa por defecto"), (81, "Tarifa profesional")):
        builder.put("rates", {"id": number, "name": name})
    for number, name in WAREHOUSES:
        builder.put("warehouses", {"id": number, "name": name})


def _people(builder: Builder) -> None:
    for employee in (*EMPLOYEES, DEACTIVATED_EMPLOYEE):
        builder.put("employees", {"user-name": f"user{employee['id']}", **employee})
        builder.put(
            "calendars",
            {"id": 300 + int(str(employee["id"])), "name": f"Agenda {employee['name']}", **link("owner", "employees", int(str(employee["id"])))},
        )
