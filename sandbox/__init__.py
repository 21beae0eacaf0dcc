"""A Pipedrive and the source systems to develop and rehearse against. The product never imports it; it knows only their URLs."""
