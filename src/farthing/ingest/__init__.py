"""Foreign bills and logs become facts. One importer is one file."""
