"""Values only: exact money, billable units, time, and the nouns of the domain. No I/O, no clock, no settings."""
