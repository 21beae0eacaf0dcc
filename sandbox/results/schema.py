"""Tables of a Results bundle: their file, their heads in order, and what each column holds."""

from typing import Final

# fmt: off
COLUMNS: Final[dict[str, dict[str, str]]] = {
    "users": {"User ID": "id", "User Name": "text", "Full Name": "text", "Email": "text", "Sales Rep Initials": "text", "Active": "bool"},
    "lookups": {"List Name": "text", "Value": "text", "Order": "int", "Inactive": "bool"},
    "user_defined_fields": {"Object": "text", "Label": "text", "Type": "text", "List Values": "text", "Tab": "text"},
    "opportunity_stages": {"Opportunity Type": "text", "Stage": "text", "Order": "int", "Probability": "percent", "Closed": "text"},
    "contacts": {
        "Contact ID": "id", "Contact Name": "text", "Contact Type": "text", "Code": "text", "Parent Contact ID": "id", "Group / Category": "text",
        "Source": "text", "Territory": "text", "Account Manager": "text", "Phone": "text", "Phone 2": "text", "Fax": "text", "Email": "text",
        "Web Site": "text", "Address 1": "text", "Address 2": "text", "City": "text", "State": "text", "Zip": "text", "Country": "text",
        "Ship Address 1": "text", "Ship Address 2": "text", "Ship City": "text", "Ship State": "text", "Ship Zip": "text", "Ship Country": "text",
        "Price Level": "text", "Terms": "text", "Tax Code": "text", "Mailing Codes": "text", "Balance": "money", "QBI List ID": "text",
        "Inactive": "bool", "Notes": "text", "Created Date": "datetime", "Created By": "text", "Modified Date": "datetime", "Modified By": "text",
        "UDF: Boiler Count": "number", "UDF: Contract Renewal": "date", "UDF: Key Account": "bool", "UDF: Building Type": "text",
        "UDF: Access Notes": "text",
    },
    "associates": {
        "Associate ID": "id", "Contact ID": "id", "First Name": "text", "Middle Name": "text", "Last Name": "text", "Salutation": "text",
        "Title": "text", "Associate Type": "text", "Relation Type": "text", "Primary": "bool", "Email": "text", "Email 2": "text", "Phone": "text",
        "Extension": "text", "Cell": "text", "Home Phone": "text", "Fax": "text", "Address 1": "text", "Address 2": "text", "City": "text",
        "State": "text", "Zip": "text", "Country": "text", "Birthday": "date", "Do Not Email": "bool", "Inactive": "bool", "Notes": "text",
        "Created Date": "datetime", "Modified Date": "datetime", "UDF: Preferred Language": "text",
    },
    "opportunities": {
        "Opportunity ID": "id", "Opportunity Name": "text", "Contact ID": "id", "Associate ID": "id", "Opportunity Type": "text", "Stage": "text",
        "Probability": "percent", "Status": "text", "Amount": "money", "Expected Close Date": "date", "Actual Close Date": "date",
        "Lost Reason": "text", "Competitor": "text", "Source": "text", "Sales Rep": "text", "Project ID": "id", "Description": "text",
        "Notes": "text", "QBI List ID": "text", "Created Date": "datetime", "Modified Date": "datetime",
        "UDF: Decision Date": "date", "UDF: Site Square Feet": "number", "UDF: Financing": "text",
    },
    "projects": {
        "Project ID": "id", "Project Name": "text", "Contact ID": "id", "Opportunity ID": "id", "Type": "text", "Stage": "text", "Status": "text",
        "Is Opportunity": "bool", "Project Started": "date", "Contract Approved Date": "date", "Start": "date", "End": "date", "Manager": "text",
        "QBI List ID": "text",
    },
    "activities": {
        "Activity ID": "id", "Activity Type": "text", "Activity Status": "text", "Subject": "text", "Notes": "text", "Start Date": "date",
        "Start Time": "time", "End Time": "time", "Duration": "int", "Completed": "bool", "Completed Date": "date", "Outcome": "text",
        "Contact ID": "id", "Associate ID": "id", "Opportunity ID": "id", "Project ID": "id", "Assigned To": "text", "Created By": "text",
        "Created Date": "datetime", "Modified Date": "datetime",
    },
    "products": {
        "Product ID": "id", "SKU": "text", "Product Name": "text", "Product Line": "text", "Description": "text", "Sales Price": "money",
        "Cost": "money", "Price Level: Contractor": "money", "Qty On Hand": "number", "Taxable": "bool", "Inactive": "bool", "QBI List ID": "text",
    },
    "documents": {
        "Document ID": "id", "Document Type": "text", "Number": "text", "Date": "date", "Contact ID": "id", "Opportunity ID": "id",
        "Project ID": "id", "Terms": "text", "Sales Rep": "text", "Ship Via": "text", "FOB": "text", "Class": "text", "Subtotal": "money",
        "Tax": "money", "Total": "money", "Balance Due": "money", "Status": "text", "Converted From": "id", "Due Date": "date",
        "QBI Txn ID": "text",
    },
    "document_lines": {
        "Line ID": "id", "Document ID": "id", "Line Number": "int", "Product ID": "text", "Description": "text", "Quantity": "number",
        "Rate": "money", "Discount": "percent", "Amount": "money", "Tax Code": "text",
    },
    "payments": {
        "Payment ID": "id", "Date": "date", "Contact ID": "id", "Invoice Number": "text", "Method": "text", "Reference": "text", "Amount": "money",
    },
    "attachments": {
        "Attachment ID": "id", "Object": "text", "Object ID": "id", "File Name": "text", "Path": "text", "Size": "int",
        "Created Date": "datetime", "Created By": "text", "Description": "text",
    },
    "field_service/jobs": {
        "Job ID": "id", "Project ID": "id", "Contact ID": "id", "Technician": "text", "Scheduled Start": "datetime", "Scheduled End": "datetime",
        "Workflow Status": "text", "Pause Reason": "text", "Job Notes": "text",
    },
    "field_service/media": {
        "Media ID": "id", "Job ID": "id", "Kind": "text", "Signed By": "text", "Taken At": "datetime", "File Name": "text", "Path": "text",
        "Size": "int",
    },
    "quickbooks/customers": {
        "List ID": "text", "Customer": "text", "Company": "text", "Phone": "text", "Email": "text", "Bill Address 1": "text", "Bill City": "text",
        "Bill State": "text", "Bill Zip": "text", "Balance": "money", "Balance As Of": "date", "Time Modified": "datetime",
    },
}
# fmt: on
"""By path without ending: head → kind of value."""
