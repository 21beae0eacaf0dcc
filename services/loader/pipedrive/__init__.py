"""How to speak to Pipedrive: one client, one seam through which every call goes, and what its answers mean."""
