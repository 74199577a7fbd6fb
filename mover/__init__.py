"""The program inside the copy Job: copies a tree, proves the copy, reports. Imports nothing of the rest."""

VERSION = "1.0"
