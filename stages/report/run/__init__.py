"""The report of one run: `report` puts it together from its parts."""
