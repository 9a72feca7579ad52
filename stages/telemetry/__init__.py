"""What engines, services and machines tell of themselves, as records that add up. Open `telemetry` first."""
