"""Studies: arms x seeds under one protocol, and the recipes that are shipped."""
