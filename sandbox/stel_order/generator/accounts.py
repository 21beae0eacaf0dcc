"""Clients, leads, their addresses and contacts."""

from random import Random
from typing import Any

from sandbox.stel_order.generator.build import Builder, Party, link, midnight, moment, texts, times
from sandbox.stel_order.generator.reference import AGENTS, series_id
from sandbox.stel_order.store import Record

_CURRENCIES = ("EUR",) * 17 + ("USD", "GBP", "MXN")


def build_accounts(builder: Builder) -> None:
    """Make clients with addresses and contacts, and leads."""
    rng = builder.rng("clients")
    count = builder.plan.count(150)
    for index in range(count):
        builder.parties.append(_client(builder, rng, index, count))
    rng = builder.rng("potentialClients")
    for index in range(builder.plan.count(8)):
        builder.leads.append(_lead(builder, rng, index))
    _contacts(builder)


def company_name(rng: Random, index: int) -> str:
    """Return a company's name; every fifth is in another script, and some names appear twice."""
    if index % 5 == 4:
        patterns = texts()["other_companies"]
        return str(patterns[index // 5 % len(patterns)]).format(n=index)
    return str(texts()["companies"][index % len(texts()["companies"])]).format(last=rng.choice(texts()["last_names"]))


def person_name(rng: Random, index: int) -> str:
    """Return a person's name, in one field as the interface has it."""
    first, last = texts()["people"][index % len(texts()["people"])]
    return f"{first} {last}" if rng.randrange(3) else f"{first} {rng.choice(texts()['last_names'])}"


def phone(rng: Random) -> str:
    """Return a phone number in one of the many ways people write them."""
    digits = f"{rng.choice('69')}{rng.randrange(10**8):08d}"
    forms = ("{0}", "+34 {1} {2} {3}", "0034{0}", "({1}) {2}-{3}", "{1}.{2}.{3} ext. 12")
    return rng.choice(forms).format(digits, digits[:3], digits[3:6], digits[6:])


def address(rng: Random, index: int, account_id: int) -> Record:
    """Return the address fields that client and address share."""
    city, province, postal_code, country = texts()["cities"][index % len(texts()["cities"])]
    street = f"{rng.choice(texts()['streets'])} {rng.randrange(1, 200)}"
    return {
        "account-id": account_id,
        "address-data": street if index % 13 else "",
        "extra-data": rng.choice(("", "3º 2ª", "Esc. B, bajos", "nave 7")),
        "postal-code": postal_code,
        "province": province,
        "city-town": city,
        "country-code": country,
        "latitude": round(40 + rng.random() * 3, 6) if index % 3 == 0 else None,
        "longitude": round(-4 + rng.random() * 6, 6) if index % 3 == 0 else None,
        "formatted-address": f"{street}, {postal_code} {city}, {country}",
    }


def client_record(rng: Random, index: int, client_id: int, legal_name: str) -> Record:
    """Return a client without times and address."""
    domain = f"cliente{client_id}.example"
    emails = (f"info@{domain}", f"info@{domain}; Administracion@{domain}", f"info@{domain}/taller@{domain}", "", None)
    return {
        "id": client_id,
        "reference": f"{client_id:05d}",
        "full-reference": f"CLI{client_id:05d}",
        **link("serial-number", "serialNumbers", series_id("clients")),
        "legal-name": legal_name,
        "name": None if index % 4 == 0 else legal_name.split(" ", maxsplit=1)[0][:40],
        "tax-identification-number": f"B{rng.randrange(10**8):08d}" if index % 9 else "",
        "email": emails[index % 5],
        "phone": phone(rng) if index % 7 else "",
        "phone2": f"{phone(rng)} / {phone(rng)}" if index % 11 == 0 else None,
        "fax": phone(rng) if index % 17 == 0 else "",
        "website": f"https://www.{domain}" if index % 3 == 0 else "",
        "account-category-id": 7 + index % 4,
        "agent-id": _agent(index),
        "rate-id": -2 if index % 6 else 81,
        "currency-code": _CURRENCIES[index % len(_CURRENCIES)],
        "discount-percentage": (0, 0, 5, 2.5)[index % 4],
        "primary-tax-enabled": True,
        "secondary-tax-enabled": False,
        "income-tax-enabled": False,
        "payment-adjustment": None,
        "bank-account": {"iban": "ES9121000418450200051332"} if index % 10 == 0 else None,
        "special-prices": [],
        "comments": rng.choice(texts()["texts"]) if index % 3 == 0 else "",
        "private-comments": rng.choice(texts()["texts"]) if index % 8 == 0 else None,
        "external-id": f"ERP-{client_id}" if index % 12 == 0 else None,
        **custom_properties(rng, index),
    }


def custom_properties(rng: Random, index: int) -> Record:
    """Return properties the tenant added: text, number, date, boolean and picklist values, nested and at the top level."""
    known: dict[str, Any] = texts()
    nested: Record = {
        "Zona comercial": known["zones"][index % len(known["zones"])],
        "Límite de crédito (€)": rng.randrange(0, 20) * 500 + (0.5 if index % 6 == 0 else 0),
        "Cliente VIP": index % 5 == 0,
        "Última visita": midnight(moment(rng, rng.random())) if index % 4 else None,
        "Observaciones de acceso": rng.choice(known["texts"]) if index % 6 == 0 else "",
    }
    record: Record = {"sector": known["sectors"][index % len(known["sectors"])]}
    if index % 2 == 0:
        record["custom-fields"] = nested
    return record


def _agent(index: int) -> int | None:
    return None if index % 14 == 13 else AGENTS[index % len(AGENTS)]


def _client(builder: Builder, rng: Random, index: int, count: int) -> Party:
    client_id = builder.new_id("clients")
    record = client_record(rng, index, client_id, company_name(rng, index))
    created = moment(rng, index / count * 0.6)
    record |= {"main-address": address(rng, index, client_id), **times(rng, created)}
    builder.put("clients", record)
    address_id = _address(builder, rng, record["main-address"], "DEFAULT", index)
    for kind in (("INVOICING",), (), ("DELIVERY",), (), ("DELIVERY", "OTHER"))[index % 5]:
        if index % 2 == 0:
            address_id = _address(builder, rng, address(rng, index + 3, client_id), kind, index)
    return Party(client_id, record["legal-name"], record["currency-code"], address_id, record["agent-id"])


def _address(builder: Builder, rng: Random, fields: Record, kind: str, index: int) -> int:
    account_id = fields["account-id"]
    names = {"DEFAULT": "Dirección principal", "INVOICING": "Facturación", "DELIVERY": "Almacén / entrega", "OTHER": "Otra"}
    return builder.put(
        "addresses",
        {
            **fields,
            **link("account", "clients", account_id),
            "address-type": kind,
            "address-type-name": names[kind],
            "name": names[kind] if index % 2 else "",
            "external-id": None,
            **times(rng, moment(rng, rng.random() * 0.6)),
        },
    )


def _lead(builder: Builder, rng: Random, index: int) -> Party:
    lead_id = builder.new_id("potentialClients")
    record = client_record(rng, index, lead_id, f"Posible cliente {company_name(rng, index)}")
    record |= {"full-reference": f"LEA{lead_id:05d}", "main-address": address(rng, index, lead_id), **times(rng, moment(rng, 0.5 + index / 100))}
    builder.put("potentialClients", record)
    return Party(lead_id, record["legal-name"], "EUR", 0, record["agent-id"])


def contact_record(rng: Random, index: int, account_id: int) -> Record:
    """Return a contact of a client without id and times."""
    name = person_name(rng, index)
    mail = f"persona{account_id}.{index}@example.net"
    return {
        **link("account", "clients", account_id),
        "name": name,
        "email": (mail, mail, f"{mail};segundo.{mail}", "", None, mail)[index % 6],
        "phone": (phone(rng), f"{phone(rng)} ; {phone(rng)}", "")[index % 3],
        "position": texts()["positions"][index % len(texts()["positions"])],
        "fax": phone(rng) if index % 15 == 0 else None,
        "comments": rng.choice(texts()["texts"]) if index % 5 == 0 else "",
        **_more_of_contact(index),
    }


def _more_of_contact(index: int) -> Record:
    """Return what only some accounts know of contacts: a mobile number and an address of their own."""
    city, province, postal_code, country = texts()["cities"][index % len(texts()["cities"])]
    own = {"address-data": f"{texts()['streets'][index % len(texts()['streets'])]} {index + 1}", "extra-data": "", "postal-code": postal_code}
    return {
        **({"mobile": f"+34 6{index:08d}"} if index % 4 == 1 else {}),
        **({"address": {**own, "city-town": city, "province": province, "country-code": country}} if index % 6 == 2 else {}),
    }


def _contacts(builder: Builder) -> None:
    """Make about 1.2 contacts a client: none for some, up to four for others."""
    rng = builder.rng("contacts")
    wanted = builder.plan.count(176)
    pattern = (1, 1, 0, 2, 1, 1, 0, 4, 1, 1)
    index = 0
    for position, party in enumerate(builder.parties):
        for _ in range(pattern[position % len(pattern)]):
            if index < wanted:
                builder.put("contacts", {**contact_record(rng, index, party.id), **times(rng, moment(rng, rng.random()))})
                index += 1
