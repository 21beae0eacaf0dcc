"""The org's objects and fields, and how `describe` shows them."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from typing import Any

_TEXT_LENGTHS = {"string": 255, "textarea": 32_000, "phone": 40, "url": 255, "email": 80, "id": 18, "reference": 18, "picklist": 255}
_UNFILTERABLE = {"base64", "address", "location"}
_COMPOUND_PARTS = ("Street", "City", "State", "PostalCode", "Country", "Latitude", "Longitude")


@dataclass(frozen=True, slots=True)
class Field:
    """One field of an object."""

    name: str
    type: str
    label: str
    refers_to: tuple[str, ...] = ()
    values: tuple[str, ...] = ()
    length: int = 0
    is_calculated: bool = False
    help_text: str = ""
    compound: str = ""
    """The compound field it is a part of."""

    @property
    def is_custom(self) -> bool:
        """Whether somebody added it to the platform's own fields."""
        return self.name.endswith("__c")

    @property
    def is_filterable(self) -> bool:
        """Whether it may stand in WHERE and ORDER BY: long texts, compounds and bytes may not."""
        return self.type not in _UNFILTERABLE and not (self.type == "textarea" and self.length > 255)

    def describe(self) -> dict[str, Any]:
        """Return the element of `fields[]` in a describe."""
        return {
            "name": self.name,
            "label": self.label,
            "type": self.type,
            "length": self.length or _TEXT_LENGTHS.get(self.type, 0),
            "precision": 18 if self.type in {"double", "currency", "percent"} else 0,
            "scale": 2 if self.type in {"double", "currency", "percent"} else 0,
            "digits": 9 if self.type == "int" else 0,
            "byteLength": 3 * (self.length or _TEXT_LENGTHS.get(self.type, 0)),
            "nillable": self.name not in {"Id", "IsDeleted", "SystemModstamp", "CreatedDate"},
            "defaultValue": None,
            "unique": False,
            "externalId": False,
            "custom": self.is_custom,
            "calculated": self.is_calculated,
            "autoNumber": False,
            "encrypted": False,
            "referenceTo": list(self.refers_to),
            "relationshipName": self.name.removesuffix("Id").replace("__c", "__r") if self.refers_to else None,
            "polymorphicForeignKey": len(self.refers_to) > 1,
            "picklistValues": [{"active": True, "defaultValue": False, "label": one, "value": one, "validFor": None} for one in self.values],
            "restrictedPicklist": False,
            "dependentPicklist": False,
            "controllerName": None,
            "compoundFieldName": self.compound or None,
            "inlineHelpText": self.help_text or None,
            "nameField": self.name == "Name",
            "filterable": self.is_filterable,
            "sortable": self.is_filterable,
            "permissionable": self.is_custom,
        }


@dataclass(frozen=True, slots=True)
class SObject:
    """One object of the org."""

    name: str
    label: str
    plural: str
    prefix: str
    fields: dict[str, Field] = field(default_factory=dict)
    is_replicateable: bool = True
    is_custom_setting: bool = False
    needs_filter: tuple[str, ...] = ()
    """A query must be filtered by one of these."""

    @property
    def is_custom(self) -> bool:
        """Whether it is none of the platform's own."""
        return self.name.endswith("__c")

    def summary(self, version: str) -> dict[str, Any]:
        """Return the element of `sobjects[]`."""
        base = f"/services/data/v{version}/sobjects/{self.name}"
        return {
            "name": self.name,
            "label": self.label,
            "labelPlural": self.plural,
            "keyPrefix": self.prefix,
            "custom": self.is_custom,
            "customSetting": self.is_custom_setting,
            "queryable": True,
            "retrieveable": True,
            "replicateable": self.is_replicateable,
            "deprecatedAndHidden": False,
            "associateParentEntity": None,
            "urls": {"sobject": base, "describe": f"{base}/describe", "rowTemplate": f"{base}/{{ID}}"},
        }


def _f(name: str, kind: str, label: str, *refers_to: str, values: str = "", length: int = 0, help_text: str = "", calculated: bool = False) -> Field:
    return Field(name, kind, label, refers_to, tuple(values.split("|")) if values else (), length, calculated, help_text)


def _system(owner: bool = True) -> Iterator[Field]:
    yield _f("Id", "id", "Record ID")
    yield _f("IsDeleted", "boolean", "Deleted")
    yield _f("CreatedDate", "datetime", "Created Date")
    yield _f("CreatedById", "reference", "Created By ID", "User")
    yield _f("LastModifiedDate", "datetime", "Last Modified Date")
    yield _f("LastModifiedById", "reference", "Last Modified By ID", "User")
    yield _f("SystemModstamp", "datetime", "System Modstamp")
    if owner:
        yield _f("OwnerId", "reference", "Owner ID", "User", "Group")


def _address(name: str, label: str) -> Iterator[Field]:
    yield _f(name + "Address", "address", f"{label} Address")
    for part in _COMPOUND_PARTS:
        kind = "double" if part in {"Latitude", "Longitude"} else "textarea" if part == "Street" else "string"
        yield Field(name + part, kind, f"{label} {part}", length=255 if kind == "textarea" else 0, compound=name + "Address")


def _object(name: str, label: str, plural: str, prefix: str, *fields: Field, owner: bool = True, **extra: Any) -> SObject:
    every = [*_system(owner), *fields]
    return SObject(name, label, plural, prefix, {one.name: one for one in every}, **extra)


def _standard() -> Iterator[SObject]:
    yield _object(
        *("User", "User", "Users", "005"),
        _f("Username", "string", "Username"),
        _f("Email", "email", "Email"),
        _f("FirstName", "string", "First Name"),
        _f("LastName", "string", "Last Name"),
        _f("Name", "string", "Full Name"),
        _f("IsActive", "boolean", "Active"),
        _f("UserType", "picklist", "User Type", values="Standard|CsnOnly|AutomatedProcess"),
        _f("TimeZoneSidKey", "picklist", "Time Zone"),
        owner=False,
    )
    yield _object("Group", "Group", "Groups", "00G", _f("Name", "string", "Name"), _f("Type", "picklist", "Type"), owner=False)
    yield _object(
        *("RecordType", "Record Type", "Record Types", "012"),
        _f("Name", "string", "Name"),
        _f("DeveloperName", "string", "Record Type Name"),
        _f("SobjectType", "picklist", "SObject Type Name"),
        _f("IsActive", "boolean", "Active"),
        owner=False,
    )
    yield _object(
        *("Contact", "Contact", "Contacts", "003"),
        _f("AccountId", "reference", "Account ID", "Account"),
        _f("Salutation", "picklist", "Salutation", values="Mr.|Ms.|Dr."),
        _f("FirstName", "string", "First Name"),
        _f("LastName", "string", "Last Name"),
        _f("Name", "string", "Full Name"),
        _f("Title", "string", "Title"),
        _f("Department", "string", "Department"),
        _f("Email", "email", "Email"),
        _f("Phone", "phone", "Business Phone"),
        _f("MobilePhone", "phone", "Mobile Phone"),
        _f("HasOptedOutOfEmail", "boolean", "Email Opt Out"),
        _f("Preferred_Language__c", "picklist", "Preferred Language", values="English|Welsh|Polish|日本語"),
        *_address("Mailing", "Mailing"),
    )
    yield _object(
        *("Attachment", "Attachment", "Attachments", "00P"),
        _f("ParentId", "reference", "Parent ID", "*"),
        _f("Name", "string", "File Name"),
        _f("ContentType", "string", "Content Type"),
        _f("BodyLength", "int", "Body Length"),
        _f("Body", "base64", "Body"),
        _f("Description", "textarea", "Description", length=500),
        _f("IsPrivate", "boolean", "Private"),
    )
    yield _object(
        *("Note", "Note", "Notes", "002"),
        _f("ParentId", "reference", "Parent ID", "*"),
        _f("Title", "string", "Title"),
        _f("Body", "textarea", "Body", length=32_000),
        _f("IsPrivate", "boolean", "Private"),
    )
    yield _object(
        *("ContentVersion", "Content Version", "Content Versions", "068"),
        _f("ContentDocumentId", "reference", "ContentDocument ID", "ContentDocument"),
        _f("Title", "string", "Title"),
        _f("PathOnClient", "string", "Path On Client"),
        _f("FileExtension", "string", "File Extension"),
        _f("FileType", "string", "File Type"),
        _f("ContentSize", "int", "Size"),
        _f("Checksum", "string", "Checksum"),
        _f("IsLatest", "boolean", "Is Latest"),
        _f("VersionData", "base64", "Version Data"),
    )
    yield _object(
        *("ContentDocumentLink", "Content Document Link", "Content Document Link", "06A"),
        _f("ContentDocumentId", "reference", "ContentDocument ID", "ContentDocument"),
        _f("LinkedEntityId", "reference", "Linked Entity ID", "*"),
        _f("ShareType", "picklist", "Share Type"),
        owner=False,
        needs_filter=("ContentDocumentId", "LinkedEntityId"),
    )
    yield _object(
        *("ContentNote", "Note", "Notes", "069"),
        _f("Title", "string", "Title"),
        _f("TextPreview", "string", "Text Preview"),
        _f("Content", "base64", "Content"),
        _f("FileType", "string", "File Type"),
        is_replicateable=False,
    )


def _activities() -> Iterator[SObject]:
    shared = (
        _f("WhoId", "reference", "Name ID", "Contact", "Lead"),
        _f("WhatId", "reference", "Related To ID", "*"),
        _f("Subject", "combobox", "Subject"),
        _f("ActivityDate", "date", "Due Date Only"),
        _f("Description", "textarea", "Description", length=32_000),
        _f("IsArchived", "boolean", "Archived"),
    )
    yield _object(
        *("Task", "Task", "Tasks", "00T"),
        *shared,
        _f("Status", "picklist", "Status", values="Not Started|In Progress|Completed|Waiting on someone else|Deferred"),
        _f("Priority", "picklist", "Priority", values="High|Normal|Low"),
    )
    yield _object(
        *("Event", "Event", "Events", "00U"),
        *shared,
        _f("StartDateTime", "datetime", "Start Date Time"),
        _f("EndDateTime", "datetime", "End Date Time"),
        _f("DurationInMinutes", "int", "Duration"),
        _f("IsAllDayEvent", "boolean", "All-Day Event"),
    )


def _product(ns: str) -> Iterator[SObject]:
    """Yield what the managed package brings, and what the customer added to it."""
    yield _object(
        *("Account", "Account", "Accounts", "001"),
        _f("Name", "string", "Account Name"),
        _f("ParentId", "reference", "Parent Account ID", "Account"),
        _f("MasterRecordId", "reference", "Master Record ID", "Account"),
        _f("RecordTypeId", "reference", "Record Type ID", "RecordType"),
        _f("AccountNumber", "string", "Account Number"),
        _f("Type", "picklist", "Account Type", values="Customer|Prospect|Supplier"),
        _f("Industry", "picklist", "Industry", values="Hospitality|Food|Healthcare|Public sector|Retail"),
        _f("Phone", "phone", "Account Phone"),
        _f("Fax", "phone", "Account Fax"),
        _f("Website", "url", "Website"),
        _f("Description", "textarea", "Account Description", length=32_000),
        _f("NumberOfEmployees", "int", "Employees"),
        _f("AnnualRevenue", "currency", "Annual Revenue"),
        _f(f"{ns}Primary_Contact_Name__c", "string", "Primary Contact Name"),
        _f(f"{ns}Primary_Contact_Email__c", "email", "Primary Contact Email"),
        _f(f"{ns}Primary_Contact_Phone__c", "phone", "Primary Contact Phone"),
        _f(f"{ns}On_Stop__c", "boolean", "On Stop"),
        _f("Rate_Type__c", "picklist", "Rate Type", values="Standard|Premium|Night", help_text="Which price list applies"),
        _f("Billing_Code__c", "string", "Billing Code"),
        _f("Pests_Covered__c", "multipicklist", "Pests Covered", values="Rats|Mice|Wasps|Bed bugs|Birds", length=4099),
        _f("First_Served__c", "date", "First Served"),
        _f("Credit_Limit__c", "currency", "Credit Limit"),
        *_address("Billing", "Billing"),
        *_address("Shipping", "Shipping"),
    )
    yield _object(
        *(f"{ns}Technician__c", "Technician", "Technicians", "a01"),
        _f("Name", "string", "Technician Name"),
        _f(f"{ns}Email__c", "email", "Email"),
        _f(f"{ns}User__c", "reference", "User", "User"),
        _f(f"{ns}Active__c", "boolean", "Active"),
    )
    yield _object(
        *(f"{ns}Site__c", "Site", "Sites", "a02"),
        _f("Name", "string", "Site Name"),
        _f(f"{ns}Client__c", "reference", "Client", "Account"),
        _f(f"{ns}Street__c", "textarea", "Street", length=255),
        _f(f"{ns}City__c", "string", "City"),
        _f(f"{ns}County__c", "string", "County"),
        _f(f"{ns}Postcode__c", "string", "Postcode"),
        _f(f"{ns}Country__c", "string", "Country"),
        _f(f"{ns}Latitude__c", "double", "Latitude"),
        _f(f"{ns}Longitude__c", "double", "Longitude"),
        _f(f"{ns}Access_Notes__c", "textarea", "Access Notes", length=32_000),
        _f("Key_Safe__c", "string", "Key Safe"),
    )
    yield _object(
        *(f"{ns}Equipment__c", "Asset", "Assets", "a03"),
        _f("Name", "string", "Asset Name"),
        _f(f"{ns}Client__c", "reference", "Client", "Account"),
        _f(f"{ns}Site__c", "reference", "Site", f"{ns}Site__c"),
        _f(f"{ns}Serial_Number__c", "string", "Serial Number"),
        _f(f"{ns}Asset_Location__c", "string", "Asset Location"),
        _f(f"{ns}Install_Date__c", "date", "Install Date"),
        _f(f"{ns}Warranty_Expiry__c", "date", "Warranty Expiry"),
        _f(f"{ns}Last_Service_Date__c", "date", "Last Service Date"),
        _f("Refrigerant__c", "picklist", "Refrigerant", values="R32|R410A|none"),
    )
    yield _object(
        *(f"{ns}Contract__c", "Contract", "Contracts", "a04"),
        _f("Name", "string", "Contract Number"),
        _f(f"{ns}Client__c", "reference", "Client", "Account"),
        _f(f"{ns}Start_Date__c", "date", "Start Date"),
        _f(f"{ns}End_Date__c", "date", "End Date"),
        _f(f"{ns}Renewal_Date__c", "date", "Renewal Date"),
        _f(f"{ns}SLA_Tier__c", "picklist", "SLA Tier", values="Gold|Silver|Bronze"),
        _f(f"{ns}Status__c", "picklist", "Status", values="Active|On Stop|On Hold|Expired"),
        _f(f"{ns}Annual_Value__c", "currency", "Annual Value"),
    )
    yield _object(
        *(f"{ns}Work_Order__c", "Work Order", "Work Orders", "a05"),
        _f("Name", "string", "Work Order Number"),
        _f("RecordTypeId", "reference", "Record Type ID", "RecordType"),
        _f(f"{ns}Client__c", "reference", "Client", "Account"),
        _f(f"{ns}Site__c", "reference", "Site", f"{ns}Site__c"),
        _f(f"{ns}Contact__c", "reference", "Contact", "Contact"),
        _f(f"{ns}Contract__c", "reference", "Contract", f"{ns}Contract__c"),
        _f(f"{ns}Technician__c", "reference", "Technician", f"{ns}Technician__c"),
        _f(f"{ns}Subject__c", "string", "Subject"),
        _f(f"{ns}Status__c", "picklist", "Status", values="Draft|Scheduled|In Progress|Completed|Cancelled|Aborted"),
        _f(f"{ns}Priority__c", "picklist", "Priority", values="Low|Medium|High|Emergency"),
        _f(f"{ns}Scheduled__c", "datetime", "Scheduled Time"),
        _f(f"{ns}Completed__c", "datetime", "Completed Time"),
        _f(f"{ns}Total_Value__c", "currency", "Total Value"),
        _f(f"{ns}Description__c", "textarea", "Description", length=32_000),
        _f("Billing_Reference__c", "string", "Billing Reference"),
        _f("Hours_On_Site__c", "double", "Hours On Site"),
        _f("Permit_Needed__c", "boolean", "Permit Needed"),
    )
    yield from _work(ns)


def _work(ns: str) -> Iterator[SObject]:
    """Yield what hangs on a work order."""
    order = _f(f"{ns}Work_Order__c", "reference", "Work Order", f"{ns}Work_Order__c")
    technician = _f(f"{ns}Technician__c", "reference", "Technician", f"{ns}Technician__c")
    yield _object(
        *(f"{ns}Visit__c", "Visit", "Visits", "a06"),
        *(_f("Name", "string", "Visit Number"), order, technician),
        _f(f"{ns}Start__c", "datetime", "Start Time"),
        _f(f"{ns}End__c", "datetime", "End Time"),
        _f(f"{ns}Status__c", "picklist", "Status", values="Planned|Done|Aborted"),
        _f(f"{ns}Internal_Notes__c", "textarea", "Internal Notes", length=32_000),
    )
    yield _object(
        *(f"{ns}Part__c", "Installed Part", "Installed Parts", "a07"),
        *(_f("Name", "string", "Part Name"), order),
        _f(f"{ns}Quantity__c", "double", "Quantity"),
        _f(f"{ns}Unit_Price__c", "currency", "Unit Price"),
        _f(f"{ns}Installed_Date__c", "date", "Installed Date"),
    )
    yield _object(
        *(f"{ns}Signature__c", "Sign Off", "Sign Offs", "a08"),
        *(_f("Name", "string", "Sign Off Number"), order),
        _f(f"{ns}Signed_By__c", "string", "Signed By"),
        _f(f"{ns}Signed_Time__c", "datetime", "Signed Time"),
    )
    yield _object(
        *(f"{ns}Inspection__c", "Inspection", "Inspections", "a09"),
        _f("Name", "string", "Inspection Number"),
        _f(f"{ns}Asset__c", "reference", "Asset", f"{ns}Equipment__c"),
        _f(f"{ns}Visit__c", "reference", "Visit", f"{ns}Visit__c"),
        technician,
        _f(f"{ns}Inspected__c", "date", "Inspection Date"),
        _f(f"{ns}Result__c", "picklist", "Result", values="Pass|Advisory|Fail"),
        _f(f"{ns}Findings__c", "textarea", "Findings", length=32_000),
    )
    yield _object(
        *(f"{ns}Invoice__c", "Invoice", "Invoices", "a0A"),
        *(_f("Name", "string", "Invoice Number"), order),
        _f(f"{ns}Client__c", "reference", "Client", "Account"),
        _f(f"{ns}Invoice_Date__c", "date", "Invoice Date"),
        _f(f"{ns}Amount__c", "currency", "Amount"),
        _f(f"{ns}Billable__c", "boolean", "Billable"),
        _f(f"{ns}Status__c", "picklist", "Status", values="Pending|Paid|Overdue"),
        _f(f"{ns}Payment_Date__c", "date", "Payment Date"),
    )
    yield _object(
        *("Rodent_Log__c", "Rodent Log", "Rodent Logs", "a0B"),
        _f("Name", "string", "Log Number"),
        _f("Site__c", "reference", "Site", f"{ns}Site__c"),
        _f("Bait_Station__c", "string", "Bait Station"),
        _f("Activity_Level__c", "picklist", "Activity Level", values="None|Low|High"),
        _f("Logged_On__c", "date", "Logged On"),
    )
    settings = _object(f"{ns}Settings__c", "Package Settings", "Package Settings", "a0C", _f("Name", "string", "Name"), is_custom_setting=True)
    yield settings
    yield _object(
        *(f"{ns}Work_Order__History", "Work Order History", "Work Order History", "017"),
        _f("ParentId", "reference", "Parent ID", f"{ns}Work_Order__c"),
        _f("Field", "picklist", "Changed Field"),
        owner=False,
    )


@cache
def objects(namespace: str) -> dict[str, SObject]:
    """Return all objects of an org by name; `namespace` is the managed package's."""
    ns = f"{namespace}__"
    return {one.name: one for one in (*_standard(), *_activities(), *_product(ns), *_wide())}


def _wide() -> Iterator[SObject]:
    """Yield an object with so many fields that its query is longer than an address may be."""
    columns = [_f(f"Survey_Question_Number_{number:03d}_Of_The_Annual_Water__c", "string", f"Question {number}") for number in range(1, 341)]
    client = _f("Client__c", "reference", "Client", "Account")
    yield _object("Water_Survey__c", "Water Survey", "Water Surveys", "a0D", _f("Name", "string", "Survey Number"), client, *columns)
