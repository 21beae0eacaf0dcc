"""ServiceTracker, read through the REST interface of the Salesforce platform it runs on."""
