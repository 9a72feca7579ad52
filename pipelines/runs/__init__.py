"""A finished run's folder: `folder` knows where what lies, `read` loads a whole run, `report` shows it."""
